"""The cryptography of the cards in the tests, written out once more: block ciphers, MACs and keys derived from roots."""

import hashlib
from functools import lru_cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from services.issuance.domain.effects import (
    Answer,
    AskVault,
    Cryptogram,
    Generation,
    KeyUse,
    Operation,
    Proof,
)
from services.issuance.domain.product import Algorithm, MacForm, Product


def encipher(product: Product, key: bytes, message: bytes) -> bytes:
    """Block by block."""
    return Cipher(_cipher(product.algorithm, key), ECB()).encryptor().update(message)


def decipher(product: Product, key: bytes, message: bytes) -> bytes:
    """Block by block."""
    return Cipher(_cipher(product.algorithm, key), ECB()).decryptor().update(message)


def pad(product: Product, message: bytes) -> bytes:
    """80 00 …"""
    return message + b"\x80" + bytes(-(len(message) + 1) % product.algorithm.block_bytes)


def mac(product: Product, key: bytes, challenge: bytes, message: bytes) -> bytes:
    """Four bytes."""
    last = Cipher(_cipher(product.algorithm, key), CBC(challenge)).encryptor().update(pad(product, message))
    last = last[-product.algorithm.block_bytes :]
    if product.mac is MacForm.LEFT:
        return last[:4]
    words = [last[at : at + 4] for at in range(0, len(last), 4)]
    return bytes(a ^ b ^ c ^ d for a, b, c, d in zip(*words, strict=True))


@lru_cache(maxsize=4096)
def card_key(product: Product, identifier: bytes, use: KeyUse) -> bytes:
    """Of one card."""
    root = hashlib.sha256(f"test root {product.code} {use.address} {use.generation}".encode()).digest()[:16]
    factor = identifier[-8:]
    return encipher(product, root, factor + bytes(byte ^ 0xFF for byte in factor))


class ChipVault:
    """Answers for one card identifier, as the vault does."""

    def __init__(self, product: Product, identifier: bytes) -> None:
        self.product = product
        self.identifier = identifier
        self.asked: list[AskVault] = []

    def answer(self, question: AskVault) -> Answer:
        """What it computes."""
        self.asked.append(question)
        key = card_key(self.product, self.identifier, question.key)
        match question.operation:
            case Operation.EXTERNAL_AUTHENTICATE:
                return Cryptogram(encipher(self.product, key, question.challenge))
            case Operation.VERIFY_CARD:
                return Proof(encipher(self.product, key, question.challenge) == question.data)
            case Operation.LOAD_KEY:
                assert question.loads is not None
                final = card_key(self.product, self.identifier, KeyUse(question.loads, Generation.FINAL))
                plain = self.product.key_header + final
            case Operation.RELOAD_PIN:
                digits = bytes.fromhex(question.data.decode())
                plain = bytes((len(digits),)) + digits
        secret = encipher(self.product, key, pad(self.product, plain))
        return Cryptogram(secret + mac(self.product, key, question.challenge, question.header + secret))


def _cipher(algorithm: Algorithm, key: bytes) -> SM4 | AES | TripleDES:
    match algorithm:
        case Algorithm.SM4:
            return SM4(key)
        case Algorithm.AES:
            return AES(key)
        case Algorithm.DES:
            return TripleDES(key + key[:8])
