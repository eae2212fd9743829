"""Epochs of terminals' keys: rows of `payments.terminal_epoch`, and the keys that the vault makes of them."""

import time
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import milliseconds
from services.common.keyvault.commands import open_vault
from services.common.keyvault.vault import EpochRoots, UnknownKeyError, VaultError
from services.payments.config import Config
from services.payments.domain.epoch import Epoch, live
from services.payments.keys import TERMINAL_ROOT

log = structlog.get_logger()

_READ: Final = text("select epoch, root_version, valid_from, retired_time from payments.terminal_epoch order by epoch")


async def read_epochs(connection: AsyncConnection) -> list[Epoch]:
    """All of them, the oldest first."""
    return [
        Epoch(number, version, milliseconds(valid_from), retired is not None)
        for number, version, valid_from, retired in await connection.execute(_READ)
    ]


def open_terminal_vault(config: Config, *, on_loopback: bool) -> EpochRoots:
    """The vault with the root of terminals' keys. Raises VaultError, also for a development token that would serve others."""
    if not config.vault_pin:
        raise VaultError("ONECARD_VAULT_PIN is not set; it must hold the PIN of the token")
    vault = open_vault(config.vault, config.vault_pin)
    if vault.development and not on_loopback:
        raise VaultError(f"{config.vault} is a development token: serve on 127.0.0.1, or make another one with `vault create`")
    vault.current(TERMINAL_ROOT)
    return vault


class EpochKeys:
    """The keys of the epochs that count, as this process knows them; those of retired ones are forgotten.

    The vault is opened once: an epoch that began with a version of the root that came later has no key until the next start.
    """

    def __init__(self, engine: AsyncEngine, vault: EpochRoots) -> None:
        self._engine = engine
        self._vault = vault
        self._keys: dict[int, bytes] = {}
        self._read_at = float("-inf")
        self.epochs: tuple[Epoch, ...] = ()

    async def begin(self) -> None:
        """Read them for the first time. Raises VaultError when one that counts has no key: nobody begins to work without it."""
        await self.refresh()
        for epoch in live(self.epochs):
            if epoch.number not in self._keys:
                raise VaultError(f"{TERMINAL_ROOT} has no version {epoch.root_version}, of which epoch {epoch.number} is made")

    async def refresh(self) -> bool:
        """Read them again; False when nothing is new."""
        async with self._engine.connect() as connection:
            epochs = tuple(await read_epochs(connection))
        self._read_at = time.monotonic()
        if epochs == self.epochs:
            return False
        keys = {epoch.number: self._keys.get(epoch.number) or self._derive(epoch) for epoch in live(epochs)}
        self._keys = {number: key for number, key in keys.items() if key}
        self.epochs = epochs
        return True

    @property
    def age_seconds(self) -> float:
        """Since they were read."""
        return time.monotonic() - self._read_at

    def has(self, epoch: int) -> bool:
        """Whether an epoch counts, and has a key."""
        return epoch in self._keys

    def of(self, epoch: int) -> bytes:
        """The key of an epoch that counts."""
        return self._keys[epoch]

    @property
    def live(self) -> list[Epoch]:
        """The epochs that count and have a key, the oldest first."""
        return [epoch for epoch in live(self.epochs) if epoch.number in self._keys]

    def _derive(self, epoch: Epoch) -> bytes | None:
        try:
            return self._vault.derive_terminal_epoch(TERMINAL_ROOT, epoch.root_version, epoch.number)
        except UnknownKeyError:
            log.warning("epoch_without_key", epoch=epoch.number, root_version=epoch.root_version)
            return None
