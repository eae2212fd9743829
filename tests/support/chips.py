"""Virtual cards, and somebody who has their keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulation.chips.assumed import card_key
from simulation.chips.card import Chip
from simulation.chips.cipher import encipher, mac4, padded
from simulation.chips.kind import PRODUCTS, Kind, read_kind, read_kinds
from simulation.chips.reader import Inserted

TRANSPORT: Final = bytes(range(16))
"""The supplier's root."""
KINDS: Final = {**read_kinds(PRODUCTS), "aes": read_kind(Path(__file__).parent / "products" / "aes.toml")}
FINAL: Final = bytes(range(32, 48))
"""A key of the city's."""


def blank(code: str = "ssc3", number: int = 1) -> Chip:
    """From the factory."""
    begin = bytes.fromhex("440700D156000005") + (0x80000000 + number).to_bytes(4)
    return Chip.blank(KINDS[code], begin + bytes.fromhex("C0FFEE00"), TRANSPORT)


def apdu(*parts: int | bytes) -> bytes:
    """Numbers are bytes."""
    return b"".join(bytes((part,)) if isinstance(part, int) else part for part in parts)


@dataclass(slots=True)
class Holder:
    """Who speaks with a card, and knows the key at each of its places."""

    card: Inserted
    kind: Kind
    keys: dict[int, bytes]

    @classmethod
    def of(cls, chip: Chip, card: Inserted | None = None) -> "Holder":
        """Of a blank; the keys are derived again, not read."""
        key = card_key(chip.kind.algorithm, TRANSPORT, chip.identifier)
        return cls(card or chip, chip.kind, dict.fromkeys(chip.kind.keys, key))

    def select(self) -> bytes:
        name = self.kind.application
        return self.card.transmit(apdu(0x00, 0xA4, 0x04, 0x00, len(name), name))

    def select_file(self, file: int) -> bytes:
        return self.card.transmit(apdu(0x00, 0xA4, 0x00, 0x00, 2, file.to_bytes(2)))

    def read(self, number: int, length: int = 0) -> bytes:
        return self.card.transmit(apdu(0x00, 0xB2, number, 0x04, length))

    def update(self, number: int, content: bytes) -> bytes:
        return self.card.transmit(apdu(0x00, 0xDC, number, 0x04, len(content), content))

    def challenge(self) -> bytes:
        answer = self.card.transmit(apdu(0x00, 0x84, 0x00, 0x00, self.kind.block_bytes))
        assert answer[-2:] == b"\x90\x00"
        return answer[:-2]

    def authenticate(self, name: str) -> bytes:
        address = self.kind.address(name)
        return self.prove(address, encipher(self.kind.algorithm, self.keys[address], self.challenge()))

    def prove(self, address: int, cryptogram: bytes) -> bytes:
        return self.card.transmit(apdu(0x00, 0x82, 0x00, address, len(cryptogram), cryptogram))

    def fail(self, name: str) -> bytes:
        """An attempt with a wrong key."""
        self.challenge()
        return self.prove(self.kind.address(name), bytes(self.kind.block_bytes))

    def load(self, name: str, key: bytes, challenge: bytes | None = None) -> bytes:
        """Replaces a key."""
        place = self.kind.keys[self.kind.address(name)]
        header = self.kind.load + bytes((place.address,))
        plain = self.kind.key_header + key
        answer = self.card.transmit(self.protected(header, plain, self.kind.address(place.under), challenge))
        if answer == b"\x90\x00":
            self.keys[place.address] = key
        return answer

    def reload_pin(self, digits: str, challenge: bytes | None = None) -> bytes:
        pin = bytes.fromhex(digits)
        plain = bytes((len(pin),)) + pin
        return self.card.transmit(self.protected(self.kind.pin_reload, plain, self.kind.address("pin_reload"), challenge))

    def verify_pin(self, digits: str) -> bytes:
        pin = bytes.fromhex(digits)
        return self.card.transmit(apdu(0x00, 0x20, 0x00, 0x00, len(pin), pin) if pin else b"\x00\x20\x00\x00")

    def protected(self, header: bytes, plain: bytes, address: int, challenge: bytes | None = None) -> bytes:
        """A whole command: what is enciphered, and its MAC over a fresh challenge."""
        challenge = self.challenge() if challenge is None else challenge
        algorithm, key, block = self.kind.algorithm, self.keys[address], self.kind.block_bytes
        secret = encipher(algorithm, key, padded(plain, block))
        begin = header + bytes((len(secret) + 4,))
        return begin + secret + mac4(algorithm, key, challenge, begin + secret, folded=self.kind.folded)


def holder_at_the_files(code: str = "ssc3") -> Holder:
    """Who has proven the keys that a writer needs, with EF05 selected."""
    chip = blank(code)
    holder = Holder.of(chip)
    holder.select()
    if any(place.name == "read" for place in chip.kind.keys.values()):
        assert holder.authenticate("read") == b"\x90\x00"
    assert holder.authenticate("update") == b"\x90\x00"
    holder.select_file(0xEF05)
    return holder
