"""A vault in a file, for machines without a hardware module: the keys lie encrypted under a key that the PIN makes.

It keeps keys from whoever reads the disk or a backup. It does not keep them from who can read this process's memory, which a
hardware module does; `process.harden` makes that as hard as an operating system can.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from services.common.keyvault.agreement import SECRET_BYTES, open_sealed, point_of, private_key
from services.common.keyvault.algorithms import CHIP_KEY_BYTES, SoftwareKey, chip_check_value
from services.common.keyvault.epochs import epoch_message
from services.common.keyvault.field import KEY_BYTES, seal, unseal
from services.common.keyvault.vault import (
    CHIP_ALGORITHMS,
    Purpose,
    Sealed,
    TamperedError,
    TokenLockedError,
    UnknownKeyError,
    VaultError,
    Wrapped,
    WrongPinError,
)

MOST_WRONG_PINS: Final = 8
LEAST_PIN_LENGTH: Final = 8
MAC_KEY_BYTES: Final = 32
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Hardness:
    """What guessing a PIN costs (argon2id); stands in the token, so that it can be raised."""

    passes: int = 3
    memory_kib: int = 64 * 1024
    lanes: int = 2


class _Key(msgspec.Struct, frozen=True):
    label: str
    version: int
    purpose: Purpose
    secret: bytes
    current: bool = False
    """What is new is wrapped with it. A version that was added waits until every process knows it."""


class _Token(msgspec.Struct, frozen=True):
    """The file. `label`, `development` and `hardness` are in the clear, and authenticated with the keys."""

    format: int
    label: str
    development: bool
    hardness: Hardness
    salt: bytes
    sealed_by_pin: bytes
    """The token's own key."""
    so_salt: bytes
    sealed_by_so_pin: bytes
    keys: bytes
    """Sealed under the token's own key."""

    def header(self) -> bytes:
        return msgspec.msgpack.encode((self.format, self.label, self.development, self.hardness))


class SoftwareVault:
    """A token that was opened. What changes its keys is for the commands of a security administrator."""

    def __init__(self, file: Path, token: _Token, token_key: SM4, keys: tuple[_Key, ...]) -> None:
        self.file = file
        self.development = token.development
        """Made for a single machine; refused by whoever serves others."""
        self.label = token.label
        self._token = token
        self._token_key = token_key
        self._take(keys)

    def _take(self, keys: tuple[_Key, ...]) -> None:
        self._keys = keys
        self._ciphers = {(k.label, k.version): SM4(k.secret) for k in keys if k.purpose is Purpose.WRAP}
        self._macs = {(k.label, k.version): HMAC(k.secret, SM3()) for k in keys if k.purpose is Purpose.MAC}
        self._roots = {
            (k.label, k.version): SoftwareKey(CHIP_ALGORITHMS[k.purpose], k.secret)
            for k in keys
            if k.purpose in CHIP_ALGORITHMS
        }
        self._terminals = {(k.label, k.version): CMAC(SM4(k.secret)) for k in keys if k.purpose is Purpose.TERMINAL}
        self._agreeing = {(k.label, k.version): private_key(k.secret) for k in keys if k.purpose is Purpose.AGREE}
        versions: dict[str, tuple[int, ...]] = {}
        for key in sorted(keys, key=lambda k: k.version):
            versions[key.label] = (*versions.get(key.label, ()), key.version)
        self._versions = versions
        self._current = {key.label: key.version for key in keys if key.current}

    def wrap(self, label: str, secret: bytes, bound_to: bytes) -> Wrapped:
        """Encrypt under the current version."""
        version = self.current(label)
        return Wrapped(version, seal(self._cipher(label, version), secret, _bound(label, version, bound_to)))

    def unwrap(self, label: str, version: int, blob: bytes, bound_to: bytes) -> bytes:
        """The secret again."""
        return unseal(self._cipher(label, version), blob, _bound(label, version, bound_to))

    def mac(self, label: str, version: int, message: bytes) -> bytes:
        """HMAC-SM3."""
        keyed = self._macs.get((label, version))
        if keyed is None:
            raise UnknownKeyError(f"the token {self.label} has no MAC key {label} of version {version}")
        context = keyed.copy()
        context.update(message)
        return context.finalize()

    def derive_terminal_epoch(self, label: str, version: int, epoch: int) -> bytes:
        """SM4-CMAC of the epoch under the root."""
        keyed = self._terminals.get((label, version))
        if keyed is None:
            raise UnknownKeyError(f"the token {self.label} has no root of terminals {label} of version {version}")
        context = keyed.copy()
        context.update(epoch_message(epoch))
        return context.finalize()

    @contextmanager
    def use(self, label: str, version: int, factor: bytes = b"") -> Iterator[SoftwareKey]:
        """A chip's key, or a root itself, for as long as it is used."""
        root = self._roots.get((label, version))
        if root is None:
            raise UnknownKeyError(f"the token {self.label} has no root {label} of version {version}")
        yield SoftwareKey(root.algorithm, root.encipher(factor)) if factor else root

    def public_key(self, label: str, version: int) -> bytes:
        """The point of 65 bytes."""
        return point_of(self._agreeing_key(label, version))

    def unseal(self, label: str, sealed: Sealed, info: bytes, bound_to: bytes) -> bytes:
        """What was sealed to the public half."""
        return open_sealed(self._agreeing_key(label, sealed.version), sealed, info, bound_to)

    def current(self, label: str) -> int:
        """The version that was activated last."""
        self.versions(label)
        return self._current[label]

    def versions(self, label: str) -> tuple[int, ...]:
        """All that are there, oldest first."""
        if label not in self._versions:
            raise UnknownKeyError(f"the token {self.label} has no key {label}")
        return self._versions[label]

    def check_values(self) -> list[tuple[str, int, Purpose, str]]:
        """Label, version, purpose and check value (three bytes, in hexadecimal digits) of each key: for people to compare."""
        return [(k.label, k.version, k.purpose, check_value(k.purpose, k.secret)) for k in self._keys]

    def keeps(self, purpose: Purpose) -> bool:
        """All kinds."""
        return purpose in _LENGTH

    def add_version(self, label: str, purpose: Purpose, secret: bytes | None = None) -> int:
        """A new key, random unless it was put together from components; the first version is current. Answers its version."""
        known = self._versions.get(label, ())
        if any(k.purpose is not purpose for k in self._keys if k.label == label):
            raise VaultError(f"the key {label} serves another purpose")
        secret = secret or secrets.token_bytes(_LENGTH[purpose])
        if len(secret) != _LENGTH[purpose]:
            raise VaultError(f"the key {label} must have {_LENGTH[purpose]} bytes")
        version = known[-1] + 1 if known else 1
        self._store((*self._keys, _Key(label, version, purpose, secret, current=not known)))
        return version

    def activate(self, label: str, version: int) -> None:
        """From now on what is new is wrapped with this version: every process must know it by then, for all must open it."""
        if version not in self.versions(label):
            raise UnknownKeyError(f"the token {self.label} has no key {label} of version {version}")
        self._store(
            tuple(
                msgspec.structs.replace(key, current=key.version == version) if key.label == label else key
                for key in self._keys
            )
        )

    def destroy_version(self, label: str, version: int) -> None:
        """Destroy a key: what only it can open is gone for ever. Whether something still needs it, its caller knows."""
        if (label, version) not in {(k.label, k.version) for k in self._keys}:
            raise UnknownKeyError(f"the token {self.label} has no key {label} of version {version}")
        if version == self.current(label):
            raise VaultError(f"version {version} of the key {label} is the current one: activate another one first")
        self._store(tuple(k for k in self._keys if (k.label, k.version) != (label, version)))

    def _store(self, keys: tuple[_Key, ...]) -> None:
        token = msgspec.structs.replace(self._token, keys=_seal_keys(self._token_key, self._token.header(), keys))
        _write(self.file, token)
        self._token = token
        self._take(keys)

    def _cipher(self, label: str, version: int) -> SM4:
        cipher = self._ciphers.get((label, version))
        if cipher is None:
            raise UnknownKeyError(f"the token {self.label} has no wrapping key {label} of version {version}")
        return cipher

    def _agreeing_key(self, label: str, version: int) -> EllipticCurvePrivateKey:
        key = self._agreeing.get((label, version))
        if key is None:
            raise UnknownKeyError(f"the token {self.label} has no agreement key {label} of version {version}")
        return key


def create_token(
    file: Path, label: str, pin: str, so_pin: str, *, development: bool = False, hardness: Hardness = Hardness()
) -> SoftwareVault:
    """A token without keys, in a file that its owner alone may read. Raises VaultError when there is one already."""
    if file.exists():
        raise VaultError(f"{file} exists: a token is never written over")
    if len(pin) < LEAST_PIN_LENGTH or len(so_pin) < LEAST_PIN_LENGTH or pin == so_pin:
        raise VaultError(f"two different PINs of {LEAST_PIN_LENGTH} characters or more are wanted")
    key, salt, so_salt = os.urandom(KEY_BYTES), os.urandom(16), os.urandom(16)
    token = _Token(_FORMAT, label, development, hardness, salt, b"", so_salt, b"", b"")
    header = token.header()
    token = msgspec.structs.replace(
        token,
        sealed_by_pin=seal(_key_of(pin, salt, hardness), key, header),
        sealed_by_so_pin=seal(_key_of(so_pin, so_salt, hardness), key, header),
        keys=_seal_keys(SM4(key), header, ()),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, token)
    return SoftwareVault(file, token, SM4(key), ())


def open_token(file: Path, pin: str) -> SoftwareVault:
    """Open a token. A try is counted before the PIN is looked at. Raises VaultError."""
    token = _read(file)
    with _counted_try(file):
        key = SM4(_token_key(token, token.sealed_by_pin, pin, token.salt))
        keys = msgspec.msgpack.decode(unseal(key, token.keys, token.header()), type=tuple[_Key, ...])
    return SoftwareVault(file, token, key, keys)


def unlock_token(file: Path, so_pin: str, new_pin: str) -> None:
    """Give a locked token a new PIN. Raises VaultError."""
    if len(new_pin) < LEAST_PIN_LENGTH or new_pin == so_pin:
        raise VaultError(f"a new PIN of {LEAST_PIN_LENGTH} characters or more is wanted, other than the second PIN")
    token = _read(file)
    key = _token_key(token, token.sealed_by_so_pin, so_pin, token.so_salt)
    salt = os.urandom(16)
    sealed = seal(_key_of(new_pin, salt, token.hardness), key, token.header())
    _write(file, msgspec.structs.replace(token, salt=salt, sealed_by_pin=sealed))
    _tries_file(file).unlink(missing_ok=True)


def check_value(purpose: Purpose, secret: bytes) -> str:
    """What a key makes of zeros, or its public half's digest: tells it without giving it away. Raises VaultError."""
    if len(secret) != _LENGTH[purpose]:
        raise VaultError(f"such a key must have {_LENGTH[purpose]} bytes")
    if algorithm := CHIP_ALGORITHMS.get(purpose):
        return chip_check_value(SoftwareKey(algorithm, secret).encipher(bytes(algorithm.block_bytes)))
    if purpose is Purpose.WRAP:
        return Cipher(SM4(secret), ECB()).encryptor().update(bytes(16))[:3].hex().upper()  # noqa: S305 - one block of zeros
    if purpose is Purpose.TERMINAL:
        keyed = CMAC(SM4(secret))
        keyed.update(bytes(16))
        return keyed.finalize()[:3].hex().upper()
    if purpose is Purpose.AGREE:
        return hashlib.sha256(point_of(private_key(secret))).hexdigest()[:6].upper()
    context = HMAC(secret, SM3())
    context.update(bytes(16))
    return context.finalize()[:3].hex().upper()


def combine(components: list[bytes]) -> bytes:
    """A key from what two or more custodians hold: their exclusive or. Raises VaultError."""
    if len(components) < 2 or len({len(c) for c in components}) != 1:
        raise VaultError("two or more components of the same length are wanted")
    key = bytes(len(components[0]))
    for component in components:
        key = bytes(a ^ b for a, b in zip(key, component, strict=True))
    return key


_LENGTH: Final = {
    Purpose.WRAP: KEY_BYTES,
    Purpose.MAC: MAC_KEY_BYTES,
    Purpose.AGREE: SECRET_BYTES,
    Purpose.TERMINAL: KEY_BYTES,
    **dict.fromkeys(CHIP_ALGORITHMS, CHIP_KEY_BYTES),
}


def _bound(label: str, version: int, bound_to: bytes) -> bytes:
    return label.encode() + b"\0" + version.to_bytes(4) + bound_to


def _key_of(pin: str, salt: bytes, hardness: Hardness) -> SM4:
    return SM4(
        hash_secret_raw(
            pin.encode(), salt, hardness.passes, hardness.memory_kib, hardness.lanes, hash_len=KEY_BYTES, type=Type.ID
        )
    )


def _token_key(token: _Token, sealed: bytes, pin: str, salt: bytes) -> bytes:
    try:
        return unseal(_key_of(pin, salt, token.hardness), sealed, token.header())
    except TamperedError:
        raise WrongPinError(f"this is not the PIN of the token {token.label}, or its file was altered") from None


def _seal_keys(token_key: SM4, header: bytes, keys: tuple[_Key, ...]) -> bytes:
    return seal(token_key, msgspec.msgpack.encode(keys), header)


def _read(file: Path) -> _Token:
    try:
        if file.stat().st_mode & 0o077:
            raise VaultError(f"{file} can be read by others: `chmod 600` it")
        token = msgspec.msgpack.decode(file.read_bytes(), type=_Token)
    except FileNotFoundError:
        raise VaultError(f"there is no token in {file}: `vault create` makes one") from None
    except msgspec.DecodeError:
        raise VaultError(f"{file} is no token") from None
    if token.format != _FORMAT:
        raise VaultError(f"{file} has a format that this release does not know")
    return token


def _write(file: Path, token: _Token) -> None:
    """Whole or not at all."""
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(msgspec.msgpack.encode(token))
        written.flush()
        os.fsync(written.fileno())
    partial.rename(file)


def _tries_file(file: Path) -> Path:
    return file.with_suffix(".tries")


@contextmanager
def _counted_try(file: Path) -> Iterator[None]:
    """One try after the other: a byte more in a file, on the disk before the PIN is looked at; none after a good one."""
    descriptor = os.open(_tries_file(file), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size >= MOST_WRONG_PINS:
            raise TokenLockedError(f"{file} is locked after {MOST_WRONG_PINS} wrong PINs: unlock it with the second PIN")
        os.write(descriptor, b".")
        os.fsync(descriptor)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
