"""What a vault does for a service, written around operations, never around keys: none of them hands out a key that it holds."""

from enum import IntEnum
from typing import NamedTuple, Protocol


class VaultError(Exception):
    """The vault did not do it; the message names the key's label, never a key or what it protects."""


class WrongPinError(VaultError):
    """The PIN is not the token's."""


class TokenLockedError(VaultError):
    """Too many wrong PINs in a row: a security administrator unlocks the token with the second PIN."""


class UnknownKeyError(VaultError):
    """The token has no key of this label, or not this version, or its purpose is another."""


class TamperedError(VaultError):
    """The ciphertext, or what it is bound to, is not what was sealed."""


class Purpose(IntEnum):
    """What a key may be used for, and nothing else."""

    WRAP = 1
    """SM4-GCM: wraps the keys of others."""
    MAC = 2
    """HMAC-SM3: finds, compares and seals."""


class Wrapped(NamedTuple):
    """A secret under a key of the vault."""

    version: int
    """Of the key: it must be named to have the secret back."""
    blob: bytes


class KeyVault(Protocol):
    """The operations. Keys have a label and versions from 1, one of them current. Raises VaultError."""

    def wrap(self, label: str, secret: bytes, bound_to: bytes) -> Wrapped:
        """Encrypt a secret under the current version; it is given back only to who names the same `bound_to`."""

    def unwrap(self, label: str, version: int, blob: bytes, bound_to: bytes) -> bytes:
        """The secret again."""

    def mac(self, label: str, version: int, message: bytes) -> bytes:
        """HMAC-SM3, 32 bytes."""

    def current(self, label: str) -> int:
        """The version that is used for what is new."""

    def versions(self, label: str) -> tuple[int, ...]:
        """All versions that can still be used, oldest first."""
