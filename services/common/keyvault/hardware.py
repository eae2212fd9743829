"""A vault behind PKCS#11: roots of AES, of chips' keys and of terminals', are made, brought and used in the token, and never
leave it.

A chip's key is derived in the token too, as an object of the session. Its PINs and its own first setting up are the module's
affair (`softhsm2-util --init-token`, or the maker's tool). `python-pkcs11` is wanted: `make devices` installs it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

import msgspec

from services.common.keyvault.algorithms import CHIP_KEY_BYTES, chip_check_value
from services.common.keyvault.epochs import epoch_message
from services.common.keyvault.vault import (
    Purpose,
    TokenGoneError,
    TokenLockedError,
    UnknownKeyError,
    VaultError,
    WrongPinError,
)

_CURRENT: Final = "onecard.current"
"""A data object of the token: which version of each label is used for what is new."""
_BLOCK: Final = 16
_VERSION_BYTES: Final = 4
_GONE: Final = frozenset(
    {
        "DeviceError",
        "DeviceRemoved",
        "SessionClosed",
        "SessionHandleInvalid",
        "TokenNotPresent",
        "TokenNotRecognised",
        "UserNotLoggedIn",
        "PKCS11NotInitialized",
    }
)
"""Errors of the library, by name, after which the session is good for nothing."""


class _Current(msgspec.Struct, frozen=True):
    """Of two that a cut left behind the later counts."""

    number: int
    versions: dict[str, int]


class _TokenKey:
    """A key in the token, by its handle."""

    def __init__(self, vault: "HardwareVault", handle: Any) -> None:
        self._vault = vault
        self._handle = handle

    def encipher(self, blocks: bytes) -> bytes:
        """Each block by itself."""
        with self._vault.at_work() as p11:
            return bytes(self._handle.encrypt(blocks, mechanism=p11.Mechanism.AES_ECB))

    def chain(self, start: bytes, blocks: bytes) -> bytes:
        """The last block of CBC."""
        with self._vault.at_work() as p11:
            return bytes(self._handle.encrypt(blocks, mechanism=p11.Mechanism.AES_CBC, mechanism_param=start))[-_BLOCK:]


class HardwareVault:
    """A token that was opened; one session, one operation at a time."""

    development = False

    def __init__(self, p11: ModuleType, session: Any, label: str) -> None:
        self.label = label
        self._p11 = p11
        self._session = session
        self._lock = threading.RLock()
        self._keys: dict[tuple[str, int], Any] = {}
        self._read()

    @contextmanager
    def at_work(self) -> Iterator[Any]:
        """The library, for one operation. Its own errors quote nothing, and become ours."""
        with self._lock:
            try:
                yield self._p11
            except self._p11.PKCS11Error as error:
                name = type(error).__name__
                kind = TokenGoneError if name in _GONE else VaultError
                raise kind(f"the token {self.label} did not do it: {name}") from None

    def _read(self) -> None:
        p11: Any = self._p11
        with self.at_work():
            # A search that is not read to its end keeps the session busy.
            found = list(self._session.get_objects({p11.Attribute.CLASS: p11.ObjectClass.SECRET_KEY}))
            self._keys = {
                (key[p11.Attribute.LABEL], int.from_bytes(key[p11.Attribute.ID])): key
                for key in found
                if key[p11.Attribute.TOKEN]
            }

    @contextmanager
    def use(self, label: str, version: int, factor: bytes = b"") -> Iterator[_TokenKey]:
        """A chip's key, derived in the token and destroyed there; or a root itself."""
        root = self._key(label, version)
        if self._purpose_of(root) is not Purpose.CHIP_AES:
            raise UnknownKeyError(f"the token {self.label} has no root of chips {label} of version {version}")
        if not factor:
            yield _TokenKey(self, root)
            return
        with self.at_work() as p11:
            derived = root.derive_key(
                p11.KeyType.AES,
                CHIP_KEY_BYTES * 8,
                mechanism=p11.Mechanism.AES_ECB_ENCRYPT_DATA,
                mechanism_param=factor,
                template=self._template(stored=False),
            )
        try:
            yield _TokenKey(self, derived)
        finally:
            with self.at_work():
                derived.destroy()

    def derive_terminal_epoch(self, label: str, version: int, epoch: int) -> bytes:
        """AES-CMAC of the epoch under the root, made in the token."""
        root = self._key(label, version)
        if self._purpose_of(root) is not Purpose.TERMINAL:
            raise UnknownKeyError(f"the token {self.label} has no root of terminals {label} of version {version}")
        return self._cmac(root, epoch_message(epoch))

    def current(self, label: str) -> int:
        """The version that was activated last."""
        self.versions(label)
        return self._current().versions[label]

    def versions(self, label: str) -> tuple[int, ...]:
        """All that are there, oldest first."""
        found = tuple(sorted(version for known, version in self._keys if known == label))
        if not found:
            raise UnknownKeyError(f"the token {self.label} has no key {label}")
        return found

    def check_values(self) -> list[tuple[str, int, Purpose, str]]:
        """Label, version, purpose and check value of each key, computed in the token."""
        return [
            (label, version, self._purpose_of(key), self._check_value(key))
            for (label, version), key in sorted(self._keys.items())
        ]

    def keeps(self, purpose: Purpose) -> bool:
        """Roots of AES."""
        return purpose in (Purpose.CHIP_AES, Purpose.TERMINAL)

    def add_version(self, label: str, purpose: Purpose, secret: bytes | None = None) -> int:
        """A new key, random in the token unless it was put together from components. Answers its version."""
        if any(self._purpose_of(key) is not purpose for (known, _), key in self._keys.items() if known == label):
            raise VaultError(f"the key {label} serves another purpose")
        if not self.keeps(purpose):
            raise VaultError(f"the token {self.label} keeps roots of AES alone, not {label}")
        if secret is not None and len(secret) != CHIP_KEY_BYTES:
            raise VaultError(f"the key {label} must have {CHIP_KEY_BYTES} bytes")
        version = max((known for name, known in self._keys if name == label), default=0) + 1
        named = version.to_bytes(_VERSION_BYTES)
        with self.at_work() as p11:
            template = self._template(stored=True, signs=purpose is Purpose.TERMINAL)
            if secret is None:
                self._session.generate_key(
                    p11.KeyType.AES, CHIP_KEY_BYTES * 8, label=label, id=named, store=True, template=template
                )
            else:
                self._session.create_object(
                    {
                        **template,
                        p11.Attribute.CLASS: p11.ObjectClass.SECRET_KEY,
                        p11.Attribute.KEY_TYPE: p11.KeyType.AES,
                        p11.Attribute.VALUE: secret,
                        p11.Attribute.LABEL: label,
                        p11.Attribute.ID: named,
                    }
                )
        self._read()
        if version == 1:
            self._set_current(label, version)
        return version

    def activate(self, label: str, version: int) -> None:
        """From now on what is new is made with this version."""
        self._key(label, version)
        self._set_current(label, version)

    def destroy_version(self, label: str, version: int) -> None:
        """For ever. Whether something still needs it, its caller knows."""
        key = self._key(label, version)
        if version == self.current(label):
            raise VaultError(f"version {version} of the key {label} is the current one: activate another one first")
        with self.at_work():
            key.destroy()
        self._read()

    def close(self) -> None:
        """Log out."""
        with self.at_work():
            self._session.close()

    def _key(self, label: str, version: int) -> Any:
        key = self._keys.get((label, version))
        if key is None:
            raise UnknownKeyError(f"the token {self.label} has no root {label} of version {version}")
        return key

    def _purpose_of(self, key: Any) -> Purpose:
        with self.at_work() as p11:
            return Purpose.TERMINAL if key[p11.Attribute.SIGN] else Purpose.CHIP_AES

    def _check_value(self, key: Any) -> str:
        if self._purpose_of(key) is Purpose.TERMINAL:
            return chip_check_value(self._cmac(key, bytes(_BLOCK)))
        return chip_check_value(_TokenKey(self, key).encipher(bytes(_BLOCK)))

    def _cmac(self, key: Any, message: bytes) -> bytes:
        with self.at_work() as p11:
            return bytes(key.sign(message, mechanism=p11.Mechanism.AES_CMAC))

    def _template(self, *, stored: bool, signs: bool = False) -> dict[Any, Any]:
        """Of a key that nobody can read, and that enciphers and derives alone, or makes codes alone."""
        attribute: Any = self._p11.Attribute
        return {
            attribute.TOKEN: stored,
            attribute.PRIVATE: True,
            attribute.SENSITIVE: True,
            attribute.EXTRACTABLE: False,
            attribute.ENCRYPT: not signs,
            attribute.DECRYPT: False,
            attribute.SIGN: signs,
            attribute.VERIFY: False,
            attribute.WRAP: False,
            attribute.UNWRAP: False,
            attribute.DERIVE: stored and not signs,
        }

    def _current_objects(self) -> list[Any]:
        with self.at_work() as p11:
            wanted = {p11.Attribute.CLASS: p11.ObjectClass.DATA, p11.Attribute.LABEL: _CURRENT}
            return list(self._session.get_objects(wanted))

    def _current(self) -> _Current:
        latest = _Current(0, {})
        for found in self._current_objects():
            with self.at_work() as p11:
                read = msgspec.msgpack.decode(bytes(found[p11.Attribute.VALUE]), type=_Current)
            latest = max(latest, read, key=lambda one: one.number)
        return latest

    def _set_current(self, label: str, version: int) -> None:
        before, old = self._current(), self._current_objects()
        after = _Current(before.number + 1, {**before.versions, label: version})
        with self.at_work() as p11:
            self._session.create_object(
                {
                    p11.Attribute.CLASS: p11.ObjectClass.DATA,
                    p11.Attribute.LABEL: _CURRENT,
                    p11.Attribute.VALUE: msgspec.msgpack.encode(after),
                    p11.Attribute.TOKEN: True,
                    p11.Attribute.PRIVATE: True,
                }
            )
            for one in old:
                one.destroy()


def open_hardware(module: str, label: str, pin: str) -> HardwareVault:
    """Log in to a token by its label. Raises VaultError."""
    try:
        import pkcs11  # noqa: PLC0415 - no other vault needs it
    except ImportError:
        raise VaultError("python-pkcs11 is not installed: `make devices` installs it") from None
    try:
        # A token that was set up since the library was loaded is not seen by it: processes are started afterwards.
        return HardwareVault(pkcs11, pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=pin), label)
    except pkcs11.exceptions.PinIncorrect:
        raise WrongPinError(f"this is not the PIN of the token {label}") from None
    except pkcs11.exceptions.PinLocked:
        raise TokenLockedError(f"the token {label} is locked: unlock it with its maker's tool") from None
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise VaultError(f"{module} gives no token {label}: {type(error).__name__}") from None
