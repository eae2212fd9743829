"""What is computed with the keys of chips. Nothing here gives a key."""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq

from services.common.keyvault.algorithms import Algorithm as Cipher
from services.common.keyvault.vault import CHIP_PURPOSES, BlockKey, Purpose, Roots
from services.issuance.domain.assumed import diversification, padded, pin_block
from services.issuance.domain.product import MAC_BYTES, Algorithm, MacForm, Product

TRANSPORT: Final = "transport"
"""The supplier's: on every place of a blank's chip until ours are there."""
IRK: Final = "irk"
"""Makes the last four bytes of card identifiers."""
IDENTIFIER_BODY: Final = 12
"""City code, D156000005 and serial; its MAC follows."""


def label_of(algorithm: Algorithm, name: str) -> str:
    """Of a root in the token."""
    return f"{algorithm.lower()}.{name}"


def roots_of(product: Product) -> tuple[str, ...]:
    """The roots that a product's chips need, and its identifiers."""
    return tuple(label_of(product.algorithm, name) for name in (TRANSPORT, *(key.name for key in product.keys), IRK))


def roots_for(products: tuple[Product, ...]) -> dict[str, Purpose]:
    """All roots of an installation."""
    return {label: CHIP_PURPOSES[Cipher(one.algorithm)] for one in products for label in roots_of(one)}


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A root; with a card's identifier, that card's key."""

    label: str
    version: int


@dataclass(frozen=True, slots=True)
class ChipKeys:
    """For chips of one algorithm. Whether somebody may ask is not looked at here. Raises VaultError."""

    roots: Roots
    algorithm: Algorithm
    mac_form: MacForm

    def external_authenticate(self, key: KeyRef, identifier: bytes, challenge: bytes) -> bytes:
        """What proves the key to the card."""
        with self.roots.use(key.label, key.version, diversification(identifier)) as ours:
            return ours.encipher(challenge)

    def load_key(
        self, new: KeyRef, under: KeyRef, identifier: bytes, challenge: bytes, *, header: bytes, key_header: bytes
    ) -> bytes:
        """The card's new key, enciphered, and the MAC of `header` ‖ that. The header names the key's address.

        The one place where a key of a card is in this process's memory, whatever the roots are kept in.
        """
        factor = diversification(identifier)
        with self.roots.use(new.label, new.version) as root:
            plain = key_header + root.encipher(factor)
        return self._protect(under, identifier, challenge, header, plain)

    def reload_pin(self, key: KeyRef, identifier: bytes, challenge: bytes, *, header: bytes, pin: str) -> bytes:
        """The PIN, enciphered, and the MAC of `header` ‖ that."""
        return self._protect(key, identifier, challenge, header, pin_block(pin))

    def mac(self, key: KeyRef, identifier: bytes, challenge: bytes, message: bytes) -> bytes:
        """Four bytes."""
        with self.roots.use(key.label, key.version, diversification(identifier)) as ours:
            return self._mac(ours, challenge, message)

    def verify_internal(self, key: KeyRef, identifier: bytes, challenge: bytes, answer: bytes) -> bool:
        """Whether a card with that key answers like this."""
        return bytes_eq(self.external_authenticate(key, identifier, challenge), answer)

    def identifier_mac(self, key: KeyRef, body: bytes) -> bytes:
        """The last four bytes of the card identifier that begins with these twelve; under the root itself."""
        with self.roots.use(key.label, key.version) as root:
            return self._mac(root, bytes(self.algorithm.block_bytes), body)

    def check_identifier(self, label: str, identifier: bytes) -> bool:
        """Whether any version of the root made it."""
        body, mac = identifier[:IDENTIFIER_BODY], identifier[IDENTIFIER_BODY:]
        return any(bytes_eq(self.identifier_mac(KeyRef(label, version), body), mac) for version in self.roots.versions(label))

    def _protect(self, key: KeyRef, identifier: bytes, challenge: bytes, header: bytes, plain: bytes) -> bytes:
        with self.roots.use(key.label, key.version, diversification(identifier)) as ours:
            secret = ours.encipher(padded(plain, self.algorithm.block_bytes))
            return secret + self._mac(ours, challenge, header + secret)

    def _mac(self, key: BlockKey, challenge: bytes, message: bytes) -> bytes:
        last = key.chain(challenge, padded(message, self.algorithm.block_bytes))
        if self.mac_form is MacForm.LEFT:
            return last[:MAC_BYTES]
        folded = 0
        for at in range(0, len(last), MAC_BYTES):
            folded ^= int.from_bytes(last[at : at + MAC_BYTES])
        return folded.to_bytes(MAC_BYTES)


def chip_keys(roots: Roots, product: Product) -> ChipKeys:
    """For a product's chips."""
    return ChipKeys(roots, product.algorithm, product.mac)
