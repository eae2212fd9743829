"""A chip in memory that keeps its product's rules: security state, challenges, MACs, tries. Each command is atomic."""

import random
from dataclasses import dataclass

from services.issuance.domain.effects import Generation, KeyUse
from services.issuance.domain.product import Encoding, Product, Record, Source
from tests.support.chip_crypto import card_key, decipher, encipher, mac, pad


class PowerCut(Exception):  # noqa: N818 - an event
    """The card has no power any more, and forgot everything but its files and keys."""


@dataclass(slots=True)
class Cut:
    """At the nth command from now, before or behind its execution."""

    command: int
    executed: bool


class Chip:
    """As the factory delivers it."""

    def __init__(self, product: Product, identifier: bytes, seed: int = 0, *, short_protocol: bool = False) -> None:
        self.product = product
        self.identifier = identifier
        self.keys = {
            key.address: card_key(product, identifier, KeyUse(key.address, Generation.TRANSPORT)) for key in product.keys
        }
        self.tries = {key.address: key.tries for key in product.keys if key.authenticates}
        self.least_tries = dict(self.tries)
        self.records: dict[tuple[int, int], bytes] = {}
        self.pin: str | None = None
        self.cut: Cut | None = None
        self.commands = 0
        self.writes: list[tuple[int, int] | str] = []
        self._random = random.Random(seed)
        self._short = short_protocol
        self._files = {file.identifier: file for file in product.files}
        for file, record in product.records():
            if record.factory:
                value = self._factory(record)
                self.records[file.identifier, record.number] = bytes((record.tag, record.length)) + value
        self.power_up()

    def _factory(self, record: Record) -> bytes:
        if record.source is Source.CARD_IDENTIFIER:
            return self.identifier
        return bytes.fromhex(record.constant) if record.encoding is Encoding.HEX else record.constant.encode()

    def power_up(self) -> None:
        """Reset."""
        self._selected = False
        self._file: int | None = None
        self._proven: set[str] = set()
        self._challenge: bytes | None = None
        self._pending = b""

    def transmit(self, apdu: bytes) -> bytes:
        """data ‖ SW1 SW2; raises PowerCut."""
        self.commands += 1
        if self.cut:
            self.cut.command -= 1
            if self.cut.command < 0:
                self._lose_power(apdu if self.cut.executed else None)
        return self._execute(apdu)

    def _lose_power(self, apdu: bytes | None) -> None:
        self.cut = None
        if apdu:
            self._execute(apdu)
        self.power_up()
        raise PowerCut

    def _execute(self, apdu: bytes) -> bytes:
        challenge, self._challenge = self._challenge, None
        _, instruction, p1, p2 = apdu[:4]
        data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        match instruction:
            case 0xA4:
                return self._select(p1, data)
            case 0xC0:
                pending, self._pending = self._pending, b""
                return pending + b"\x90\x00"
            case 0x84:
                self._challenge = self._random.randbytes(apdu[4])
                return self._challenge + b"\x90\x00"
            case 0x82:
                return self._external_authenticate(p2, challenge, data)
            case 0x88:
                self._pending = encipher(self.product, self.keys[p2], data)
                if self._short:
                    return bytes((0x61, len(self._pending)))
                return self._pending + b"\x90\x00"
            case 0xB2:
                return self._read(p1, apdu[4])
            case 0xDC:
                return self._update(p1, data)
            case 0xD4:
                return self._load(apdu, challenge, data)
            case 0x5E:
                return self._reload_pin(apdu, challenge, data)
            case _:
                return b"\x6d\x00"

    def _select(self, p1: int, data: bytes) -> bytes:
        if p1 == 4:
            self.power_up()
            self._selected = data == self.product.application
            if not self._selected:
                return b"\x6a\x82"
        else:
            if not self._selected or int.from_bytes(data) not in self._files:
                return b"\x6a\x82"
            self._file = int.from_bytes(data)
        return b"\x61\x10" if self._short else b"\x90\x00"

    def _external_authenticate(self, address: int, challenge: bytes | None, data: bytes) -> bytes:
        if address not in self.tries:
            return b"\x6a\x88"
        if not self.tries[address]:
            return b"\x69\x83"
        if challenge is None:
            return b"\x69\x84"
        key = self.product.key_at(address)
        if data == encipher(self.product, self.keys[address], challenge):
            self.tries[address] = key.tries
            self._proven.add(key.name)
            return b"\x90\x00"
        self.tries[address] -= 1
        self.least_tries[address] = min(self.least_tries[address], self.tries[address])
        return bytes((0x63, 0xC0 | self.tries[address]))

    def _read(self, number: int, length: int) -> bytes:
        if self._file is None:
            return b"\x69\x86"
        needed = self._files[self._file].read_with
        if needed and needed not in self._proven:
            return b"\x69\x82"
        content = self.records.get((self._file, number))
        if content is None:
            return b"\x6a\x83"
        if length not in (0, len(content)):
            return bytes((0x6C, len(content)))
        return content + b"\x90\x00"

    def _update(self, number: int, data: bytes) -> bytes:
        if self._file is None:
            return b"\x69\x86"
        if self._files[self._file].write_with not in self._proven:
            return b"\x69\x82"
        self.records[self._file, number] = data
        self.writes.append((self._file, number))
        return b"\x90\x00"

    def _load(self, apdu: bytes, challenge: bytes | None, data: bytes) -> bytes:
        key = self.product.key_at(apdu[3])
        protector = self.keys[self.product.key(key.under).address]
        if self.product.key(key.under).name not in self._proven:
            return b"\x69\x82"
        if challenge is None or mac(self.product, protector, challenge, apdu[:5] + data[:-4]) != data[-4:]:
            return b"\x69\x88"
        plain = decipher(self.product, protector, data[:-4])
        header = self.product.key_header
        if not plain.startswith(header) or plain != pad(self.product, plain[: len(header) + 16]):
            return b"\x6a\x80"
        self.keys[key.address] = plain[len(header) :][:16]
        self.writes.append(key.name)
        return b"\x90\x00"

    def _reload_pin(self, apdu: bytes, challenge: bytes | None, data: bytes) -> bytes:
        assert self.product.pin
        key = self.keys[self.product.key(self.product.pin.key).address]
        if challenge is None or mac(self.product, key, challenge, apdu[:5] + data[:-4]) != data[-4:]:
            return b"\x69\x88"
        plain = decipher(self.product, key, data[:-4])
        self.pin = plain[1 : 1 + plain[0]].hex()
        return b"\x90\x00"
