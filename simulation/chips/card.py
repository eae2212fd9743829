"""A chip that keeps its rules: security state, challenges that are good once, MACs, tries that run out. Commands are atomic."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulation.chips.cipher import MAC_BYTES, card_key, decipher, encipher, mac4, padded
from simulation.chips.kind import ChipFile, KeyPlace, Kind

DONE = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
NOT_AUTHENTICATED = b"\x69\x82"
LOCKED = b"\x69\x83"
NO_CHALLENGE = b"\x69\x84"
NO_FILE_SELECTED = b"\x69\x86"
WRONG_MAC = b"\x69\x88"
WRONG_DATA = b"\x6a\x80"
NO_FILE = b"\x6a\x82"
NO_RECORD = b"\x6a\x83"
NO_KEY = b"\x6a\x88"
UNKNOWN_COMMAND = b"\x6d\x00"
PIN_TRIES = 6


class PowerCut(Exception):  # noqa: N818 - an event
    """The card has no power any more, and forgot everything but its files and keys."""


@dataclass(slots=True)
class Cut:
    """Of the power, at the nth command from now (0: the next), before or behind its execution."""

    command: int
    executed: bool


class Chip:
    """One card."""

    def __init__(self, kind: Kind, identifier: bytes, keys: dict[int, bytes], records: dict[tuple[int, int], bytes]) -> None:
        self.kind = kind
        self.identifier = identifier
        self.keys = keys
        self.records = records
        self.tries = {place.address: place.tries for place in kind.keys.values() if place.tries}
        self.pin = ""
        self.pin_tries = PIN_TRIES
        self.cut: Cut | None = None
        self.commands = 0
        self.randomness: Callable[[int], bytes] = os.urandom
        self.power_up()

    @classmethod
    def blank(cls, kind: Kind, identifier: bytes, transport: bytes) -> Chip:
        """As the factory delivers it: its own data, and the transport key at every place."""
        key = card_key(kind.algorithm, transport, identifier)
        records = {
            (file.number, number): content or bytes((file.identifier_tag, len(identifier))) + identifier
            for file in kind.files.values()
            for number, content in file.factory.items()
        }
        return cls(kind, identifier, dict.fromkeys(kind.keys, key), records)

    @property
    def atr(self) -> bytes:
        """What its reset answers."""
        return self.kind.atr

    def power_up(self) -> None:
        """Reset."""
        self._selected = False
        self._file: ChipFile | None = None
        self._proven: set[str] = set()
        self._challenge = b""
        self._waiting = b""

    def transmit(self, apdu: bytes) -> bytes:
        """data ‖ SW1 SW2. Raises PowerCut."""
        self.commands += 1
        if self.cut is None:
            return self._execute(apdu)
        self.cut.command -= 1
        if self.cut.command >= 0:
            return self._execute(apdu)
        executed, self.cut = self.cut.executed, None
        if executed:
            self._execute(apdu)
        self.power_up()
        raise PowerCut

    def _execute(self, apdu: bytes) -> bytes:
        challenge, self._challenge = self._challenge, b""  # good for the very next command alone
        waiting, self._waiting = self._waiting, b""
        if len(apdu) < 4:
            return WRONG_LENGTH
        length, data = (apdu[4] if len(apdu) > 4 else 0), apdu[5:]
        if data and len(data) not in (length, length + 1):
            return WRONG_LENGTH
        data = data[:length]
        instruction, first, second = apdu[1:4]
        match instruction:
            case 0xA4:
                return self._select(first, data)
            case 0xC0:
                return waiting[: length or 256] + DONE if waiting else NO_CHALLENGE
            case 0x84:
                if length != self.kind.block_bytes:
                    return WRONG_LENGTH
                self._challenge = self.randomness(length)
                return self._challenge + DONE
            case 0x82:
                return self._external_authenticate(second, challenge, data)
            case 0x88:
                return self._internal_authenticate(second, data)
            case 0xB2:
                return self._read(first, length)
            case 0xDC:
                return self._update(first, data)
            case 0xD4:
                return self._load_key(second, challenge, apdu[:5], data)
            case 0x5E:
                return self._reload_pin(challenge, apdu[:5], data)
            case 0x20:
                return self._verify_pin(data)
        return UNKNOWN_COMMAND

    def _select(self, by: int, name: bytes) -> bytes:
        if by == 4:
            self.power_up()
            self._selected = name == self.kind.application
            if not self._selected:
                return NO_FILE
            self._waiting = b"\x6f" + bytes((len(name) + 2, 0x84, len(name))) + name
            return bytes((0x61, len(self._waiting)))
        file = self.kind.files.get(int.from_bytes(name))
        if not self._selected or file is None:
            return NO_FILE
        self._file = file
        return DONE

    def _external_authenticate(self, address: int, challenge: bytes, cryptogram: bytes) -> bytes:
        if address not in self.tries:
            return NO_KEY
        if not self.tries[address]:
            return LOCKED
        if not challenge:
            return NO_CHALLENGE
        place = self.kind.keys[address]
        if cryptogram == encipher(self.kind.algorithm, self.keys[address], challenge):
            self.tries[address] = place.tries
            self._proven.add(place.name)
            return DONE
        self.tries[address] -= 1
        self._proven.discard(place.name)
        return bytes((0x63, 0xC0 | self.tries[address]))

    def _internal_authenticate(self, address: int, challenge: bytes) -> bytes:
        if address not in self.keys or self.kind.keys[address].name != "internal":
            return NO_KEY
        if len(challenge) != self.kind.block_bytes:
            return WRONG_LENGTH
        return encipher(self.kind.algorithm, self.keys[address], challenge) + DONE

    def _read(self, number: int, length: int) -> bytes:
        if self._file is None:
            return NO_FILE_SELECTED
        if self._file.read_with and self._file.read_with not in self._proven:
            return NOT_AUTHENTICATED
        content = self.records.get((self._file.number, number))
        if content is None:
            return NO_RECORD
        return content + DONE if length in (0, len(content)) else bytes((0x6C, len(content)))

    def _update(self, number: int, content: bytes) -> bytes:
        if self._file is None:
            return NO_FILE_SELECTED
        if self._file.write_with not in self._proven:
            return NOT_AUTHENTICATED
        if len(content) < 2 or content[1] != len(content) - 2:
            return WRONG_DATA
        self.records[self._file.number, number] = content
        return DONE

    def _load_key(self, address: int, challenge: bytes, header: bytes, data: bytes) -> bytes:
        place = self.kind.keys.get(address)
        if place is None:
            return NO_KEY
        plain = self._unprotect(self._protector(place), challenge, header, data)
        if isinstance(plain, _Wrong):
            return plain.status
        begin = self.kind.key_header
        key = plain[len(begin) : len(begin) + 16]
        if plain != padded(begin + key, self.kind.block_bytes):
            return WRONG_DATA
        self.keys[address] = key
        return DONE

    def _protector(self, place: KeyPlace) -> KeyPlace:
        return self.kind.keys[self.kind.address(place.under)]

    def _reload_pin(self, challenge: bytes, header: bytes, data: bytes) -> bytes:
        if not self.kind.pin_key:
            return UNKNOWN_COMMAND
        plain = self._unprotect(self.kind.keys[self.kind.address(self.kind.pin_key)], challenge, header, data)
        if isinstance(plain, _Wrong):
            return plain.status
        digits = plain[1 : 1 + plain[0]]
        if plain != padded(plain[:1] + digits, self.kind.block_bytes) or not digits.hex().isdecimal():
            return WRONG_DATA
        self.pin, self.pin_tries = digits.hex(), PIN_TRIES
        return DONE

    def _unprotect(self, place: KeyPlace, challenge: bytes, header: bytes, data: bytes) -> bytes | _Wrong:
        """What was enciphered under a key, if the command's MAC is right and the key was proved where it can be."""
        if place.tries and place.name not in self._proven:
            return _Wrong(NOT_AUTHENTICATED)
        if not challenge:
            return _Wrong(NO_CHALLENGE)
        secret, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
        if not secret or len(secret) % self.kind.block_bytes:
            return _Wrong(WRONG_LENGTH)
        key, algorithm = self.keys[place.address], self.kind.algorithm
        if mac != mac4(algorithm, key, challenge, header + secret, folded=self.kind.folded):
            return _Wrong(WRONG_MAC)
        return decipher(algorithm, key, secret)

    def _verify_pin(self, digits: bytes) -> bytes:
        if not self.pin or not self.pin_tries:
            return LOCKED
        if digits.hex() == self.pin:
            self.pin_tries = PIN_TRIES
            return DONE
        self.pin_tries -= 1
        return bytes((0x63, 0xC0 | self.pin_tries))

    # As it lies in a drawer

    def state(self) -> dict[str, Any]:
        """Everything that outlives the power, as JSON can hold it. It has the card's keys: it is the plastic itself."""
        return {
            "kind": self.kind.code,
            "identifier": self.identifier.hex(),
            "keys": {str(address): key.hex() for address, key in self.keys.items()},
            "records": {f"{file}/{number}": content.hex() for (file, number), content in self.records.items()},
            "tries": {str(address): tries for address, tries in self.tries.items()},
            "pin": self.pin,
            "pin_tries": self.pin_tries,
        }

    @classmethod
    def of_state(cls, kinds: dict[str, Kind], state: dict[str, Any]) -> Chip:
        """The card again, without power."""
        records = {}
        for place, content in state["records"].items():
            file, number = place.split("/")
            records[int(file), int(number)] = bytes.fromhex(content)
        keys = {int(address): bytes.fromhex(key) for address, key in state["keys"].items()}
        chip = cls(kinds[state["kind"]], bytes.fromhex(state["identifier"]), keys, records)
        chip.tries = {int(address): tries for address, tries in state["tries"].items()}
        chip.pin, chip.pin_tries = state["pin"], state["pin_tries"]
        return chip


@dataclass(frozen=True, slots=True)
class _Wrong:
    status: bytes
