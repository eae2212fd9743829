"""A chip that keeps its rules: security state, challenges that are good once, MACs, tries that run out. Commands are atomic."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulation.chips import status
from simulation.chips.assumed import card_key, pin_of
from simulation.chips.cipher import KEY_BYTES, MAC_BYTES, decipher, encipher, mac4, unpadded
from simulation.chips.command import Command, MalformedError
from simulation.chips.kind import ChipFile, KeyPlace, Kind

PIN_TRIES = 6
INTERNAL = "internal"
"""The key with which a card proves itself, and with which it does nothing else."""
_BY_NAME, _BY_IDENTIFIER = 0x04, 0x00
_THIS_RECORD = 0x04
_RANDOM_BYTES = frozenset({4, 8, 16})


class PowerCut(Exception):  # noqa: N818 - an event
    """The card has no power any more, and forgot everything but its files and keys."""


class Silence(Exception):  # noqa: N818 - an event
    """It has power, and says nothing."""


class _Refused(Exception):  # noqa: N818 - an answer, from the depth of a command
    def __init__(self, word: bytes) -> None:
        super().__init__(word.hex())
        self.word = word


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
        self.keep: Callable[[Chip], None] = _keep_nothing
        """Called behind every change that outlives the power, and before it is answered."""
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
        try:
            return self._answer(Command.of(apdu), challenge, waiting)
        except MalformedError:
            return status.WRONG_LENGTH
        except _Refused as refused:
            return refused.word

    def _answer(self, command: Command, challenge: bytes, waiting: bytes) -> bytes:
        head = command.header
        if head[:3] == self.kind.load:
            return self._load_key(command, challenge)
        if self.kind.pin_key and head == self.kind.pin_reload:
            return self._reload_pin(command, challenge)
        return self._plain(command, challenge, waiting)

    def _plain(self, command: Command, challenge: bytes, waiting: bytes) -> bytes:
        match tuple(command.header):
            case [0x00, 0xA4, by, 0x00]:
                return self._select(by, command.data)
            case [0x00, 0xC0, 0x00, 0x00]:
                return self._get_response(command.expected, waiting)
            case [0x00, 0x84, 0x00, 0x00]:
                return self._get_challenge(command.expected)
            case [0x00, 0x82, 0x00, address]:
                return self._external_authenticate(address, challenge, command.data)
            case [0x00, 0x88, 0x00, address]:
                return self._internal_authenticate(address, command.data)
            case [0x00, 0xB2, number, how]:
                return self._read(number, how, command.expected)
            case [0x00, 0xDC, number, how]:
                return self._update(number, how, command.data)
            case [0x00, 0x20, 0x00, 0x00]:
                return self._verify_pin(command.data)
            case [0x00, 0xA4 | 0xC0 | 0x84 | 0x82 | 0x88 | 0x20, _, _]:
                return status.WRONG_PARAMETERS
            case [0x00 | 0x84, _, _, _]:
                return status.UNKNOWN_COMMAND
            case _:
                return status.UNKNOWN_CLASS

    # Files

    def _select(self, by: int, name: bytes) -> bytes:
        if by == _BY_NAME:
            self.power_up()
            self._selected = name == self.kind.application
            if not self._selected:
                return status.NO_FILE
            return self._let_wait(b"\x6f" + bytes((len(name) + 2, 0x84, len(name))) + name)
        if by != _BY_IDENTIFIER:
            return status.WRONG_PARAMETERS
        number = int.from_bytes(name)
        if self._selected and len(name) == 2 and number in self.kind.directories:
            self.power_up()  # another place, other keys; back again by the application's name
            return status.DONE
        file = self.kind.files.get(number) if len(name) == 2 else None
        if not self._selected or file is None:
            return status.NO_FILE
        self._file = file
        return status.DONE

    def _let_wait(self, answer: bytes) -> bytes:
        self._waiting = answer
        return bytes((status.MORE, len(answer)))

    def _get_response(self, expected: int, waiting: bytes) -> bytes:
        if not waiting:
            return status.CONDITIONS
        if expected > len(waiting):
            self._waiting = waiting
            return bytes((status.OTHER_LENGTH, len(waiting)))
        length = expected or len(waiting)
        rest = waiting[length:]
        return waiting[:length] + (self._let_wait(rest) if rest else status.DONE)

    def _of_file(self, how: int) -> ChipFile:
        if how != _THIS_RECORD:
            raise _Refused(status.WRONG_PARAMETERS)
        if self._file is None:
            raise _Refused(status.NO_FILE_SELECTED)
        return self._file

    def _read(self, number: int, how: int, expected: int) -> bytes:
        file = self._of_file(how)
        if file.read_with and file.read_with not in self._proven:
            return status.NOT_AUTHENTICATED
        content = self.records.get((file.number, number))
        if content is None:
            return status.NO_RECORD
        return content + status.DONE if expected in (0, len(content)) else bytes((status.OTHER_LENGTH, len(content)))

    def _update(self, number: int, how: int, content: bytes) -> bytes:
        file = self._of_file(how)
        if file.write_with not in self._proven:
            return status.NOT_AUTHENTICATED
        header = file.headers.get(number)
        if header is None:
            return status.NO_RECORD
        if number in file.factory:
            return status.CONDITIONS
        if content[:2] != header or len(content) != 2 + header[1]:
            return status.WRONG_DATA
        self.records[file.number, number] = content
        self.keep(self)
        return status.DONE

    # Keys

    def _get_challenge(self, length: int) -> bytes:
        if length not in _RANDOM_BYTES:
            return status.WRONG_LENGTH
        self._challenge = self.randomness(length)
        return self._challenge + status.DONE

    def _external_authenticate(self, address: int, challenge: bytes, cryptogram: bytes) -> bytes:
        if address not in self.tries:
            return status.NO_KEY
        if not self._selected:
            return status.CONDITIONS
        if not self.tries[address]:
            return status.LOCKED
        if len(challenge) != self.kind.block_bytes:
            return status.NO_CHALLENGE
        if len(cryptogram) != len(challenge):
            return status.WRONG_LENGTH
        place = self.kind.keys[address]
        if cryptogram == encipher(self.kind.algorithm, self.keys[address], challenge):
            if self.tries[address] != place.tries:
                self.tries[address] = place.tries
                self.keep(self)
            self._proven.add(place.name)
            return status.DONE
        self.tries[address] -= 1
        self._proven.discard(place.name)
        self.keep(self)
        return status.tries_left(self.tries[address])

    def _internal_authenticate(self, address: int, challenge: bytes) -> bytes:
        if address not in self.keys or self.kind.keys[address].name != INTERNAL:
            return status.NO_KEY
        if not self._selected:
            return status.CONDITIONS
        if len(challenge) != self.kind.block_bytes:
            return status.WRONG_LENGTH
        return self._let_wait(encipher(self.kind.algorithm, self.keys[address], challenge))

    def _load_key(self, command: Command, challenge: bytes) -> bytes:
        place = self.kind.keys.get(command.header[3])
        if place is None:
            return status.NO_KEY
        plain = self._unprotect(self.kind.keys[self.kind.address(place.under)], command, challenge)
        key = plain.removeprefix(self.kind.key_header)
        if len(key) != KEY_BYTES or len(plain) != len(self.kind.key_header) + KEY_BYTES:
            return status.WRONG_DATA
        self.keys[place.address] = key
        if place.tries:
            self.tries[place.address] = place.tries
        self.keep(self)
        return status.DONE

    def _reload_pin(self, command: Command, challenge: bytes) -> bytes:
        digits = pin_of(self._unprotect(self.kind.keys[self.kind.address(self.kind.pin_key)], command, challenge))
        if digits is None or len(digits) != self.kind.pin_bytes:
            return status.WRONG_DATA
        self.pin, self.pin_tries = digits.hex(), PIN_TRIES
        self.keep(self)
        return status.DONE

    def _unprotect(self, place: KeyPlace, command: Command, challenge: bytes) -> bytes:
        """What was enciphered under a key, if the command's MAC is right, and the key was proven where it can be."""
        if not self._selected:
            raise _Refused(status.CONDITIONS)
        if place.tries and place.name not in self._proven:
            raise _Refused(status.NOT_AUTHENTICATED)
        if len(challenge) != self.kind.block_bytes:
            raise _Refused(status.NO_CHALLENGE)
        secret, mac = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        if not secret or len(secret) % self.kind.block_bytes:
            raise _Refused(status.WRONG_LENGTH)
        key, algorithm = self.keys[place.address], self.kind.algorithm
        signed = command.header + bytes((len(command.data),)) + secret
        if mac != mac4(algorithm, key, challenge, signed, folded=self.kind.folded):
            raise _Refused(status.WRONG_MAC)
        plain = unpadded(decipher(algorithm, key, secret), self.kind.block_bytes)
        if plain is None:
            raise _Refused(status.WRONG_DATA)
        return plain

    def _verify_pin(self, digits: bytes) -> bytes:
        if not self._selected:
            return status.CONDITIONS
        if not self.pin:
            return status.NO_KEY
        if not self.pin_tries:
            return status.LOCKED
        if not digits:  # asks how many there are
            return status.tries_left(self.pin_tries)
        if len(digits) != self.kind.pin_bytes:
            return status.WRONG_LENGTH
        right = digits.hex() == self.pin
        left = PIN_TRIES if right else self.pin_tries - 1
        if left != self.pin_tries:
            self.pin_tries = left
            self.keep(self)
        return status.DONE if right else status.tries_left(left)

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


def _keep_nothing(chip: Chip) -> None:
    """In memory a card is kept as it is."""
