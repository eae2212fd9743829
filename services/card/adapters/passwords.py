"""Passwords and PINs: a keyed digest first, then argon2id in threads of its own: guessing costs, and nobody else waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from services.common.errors import Code, DomainError
from services.common.keyvault.vault import KeyVault

R = TypeVar("R")

PIN_KEY: Final = "pin"
_THREADS: Final = 2
_MOST_WAITING: Final = 64


class StoredPassword(NamedTuple):
    """What is kept of a password."""

    encoded: str
    """argon2id with its parameters, over the keyed digest."""
    key_version: int


class Passwords:
    """Without the vault's key a stolen table cannot be guessed against."""

    def __init__(self, vault: KeyVault, hasher: PasswordHasher, whose: str = "staff") -> None:
        """`whose`: staff, card, … Those of one kind do not wait for those of another, and are nothing worth among them."""
        self._vault = vault
        self._hasher = hasher
        self._whose = whose
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"{whose}-password")
        self._waiting = 0
        self._nobodys = StoredPassword(hasher.hash("nobody has this password"), vault.current(PIN_KEY))

    async def store(self, name: str, password: str) -> StoredPassword:
        """What is to be kept of a new password."""
        version = self._vault.current(PIN_KEY)
        return StoredPassword(await self._run(self._hasher.hash, self._keyed(name, password, version)), version)

    async def matches(self, name: str, password: str, stored: StoredPassword | None) -> bool:
        """Whether it is the password; takes as long for somebody who does not exist. An empty one never is."""
        known = stored or self._nobodys
        keyed = self._keyed(name, password, known.key_version)
        right = await self._run(self._verify, known.encoded, keyed)
        return right and stored is not None and bool(password)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _verify(self, encoded: str, keyed: str) -> bool:
        try:
            return self._hasher.verify(encoded, keyed)
        except VerificationError:
            return False

    def _keyed(self, name: str, password: str, version: int) -> str:
        return self._vault.mac(PIN_KEY, version, f"{self._whose}\n{name}\n{password}".encode()).hex()

    async def _run(self, work: Callable[..., R], *arguments: str) -> R:
        if self._waiting >= _MOST_WAITING:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_SIGN_INS", "办理人数过多，请稍后再试")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
