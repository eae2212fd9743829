"""What a vault does for a service, written around operations, never around keys: none of them hands out a key that it holds."""

from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from services.common.keyvault.algorithms import Algorithm


class VaultError(Exception):
    """The vault did not do it; the message names the key's label, never a key or what it protects."""


class WrongPinError(VaultError):
    """The PIN is not the token's."""


class TokenLockedError(VaultError):
    """Too many wrong PINs in a row: a security administrator unlocks the token with the second PIN."""


class TokenGoneError(VaultError):
    """The token was taken away or has forgotten who is logged in: nothing works until it is opened anew."""


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
    CHIP_SM4 = 3
    """A root: the keys of chips are derived from it."""
    CHIP_DES = 4
    CHIP_AES = 5
    AGREE = 6
    """ECDH on P-256: opens what others sealed to its public key."""
    TERMINAL = 7
    """A root: the keys of terminals' epochs are derived from it. SM4-CMAC; AES-CMAC where a module knows AES alone."""


CHIP_PURPOSES: Final = {
    Algorithm.SM4: Purpose.CHIP_SM4,
    Algorithm.DES: Purpose.CHIP_DES,
    Algorithm.AES: Purpose.CHIP_AES,
}
CHIP_ALGORITHMS: Final = {purpose: algorithm for algorithm, purpose in CHIP_PURPOSES.items()}


class Wrapped(NamedTuple):
    """A secret under a key of the vault."""

    version: int
    """Of the key: it must be named to have the secret back."""
    blob: bytes


class Sealed(NamedTuple):
    """What somebody sealed to a public key of the vault."""

    version: int
    """Of the key."""
    ephemeral_key: bytes = b""
    """The sender's key of one use."""
    ciphertext: bytes = b""


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

    def public_key(self, label: str, version: int) -> bytes:
        """The public half of a key, as a point of 65 bytes."""

    def unseal(self, label: str, sealed: Sealed, info: bytes, bound_to: bytes) -> bytes:
        """What was sealed to the public half, for this use and bound to this."""


class BlockKey(Protocol):
    """A key while it is used: of one chip, or a root itself."""

    def encipher(self, blocks: bytes) -> bytes:
        """Each block by itself."""

    def chain(self, start: bytes, blocks: bytes) -> bytes:
        """The last block of CBC."""


class Roots(Protocol):
    """The roots of chips' keys, by label and version. Raises VaultError."""

    development: bool

    def use(self, label: str, version: int, factor: bytes = b"") -> AbstractContextManager[BlockKey]:
        """The key that the root makes of a chip's factor, one block or two; without a factor the root itself."""

    def current(self, label: str) -> int:
        """The version that is used for what is new."""

    def versions(self, label: str) -> tuple[int, ...]:
        """All versions that can still be used, oldest first."""


class EpochRoots(Protocol):
    """The root of terminals' keys, by label and version. Raises VaultError."""

    label: str
    development: bool

    def derive_terminal_epoch(self, label: str, version: int, epoch: int) -> bytes:
        """The key of an epoch, 16 bytes: the one thing that is handed out, for whoever verifies does so in its memory."""

    def current(self, label: str) -> int:
        """The version that is used for what is new."""

    def versions(self, label: str) -> tuple[int, ...]:
        """All versions that can still be used, oldest first."""


class Token(Protocol):
    """What a security administrator does with the keys of a vault, wherever they are. Raises VaultError."""

    label: str
    development: bool

    def keeps(self, purpose: Purpose) -> bool:
        """Whether it can keep such keys."""

    def add_version(self, label: str, purpose: Purpose, secret: bytes | None = None) -> int:
        """A new key, random unless it was put together from components; the first version is current. Answers its version."""

    def activate(self, label: str, version: int) -> None:
        """From now on what is new is made with this version."""

    def destroy_version(self, label: str, version: int) -> None:
        """For ever."""

    def current(self, label: str) -> int:
        """The version that is used for what is new."""

    def check_values(self) -> list[tuple[str, int, Purpose, str]]:
        """Label, version, purpose and check value of each key."""
