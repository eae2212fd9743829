"""Cards that answer wrongly: broken, forged, or of somebody who looks for the hole in the service."""

from __future__ import annotations

from enum import Enum

from simulation.chips import status
from simulation.chips.card import Chip, Silence
from simulation.chips.cipher import MAC_BYTES


class Way(Enum):
    """What is wrong with it; the value is for people."""

    FOREIGN_IDENTIFIER = "it says that it is another card"
    UNREADABLE_IDENTIFIER = "its identifier cannot be read"
    STALE_CHALLENGE = "it gives the same random number again"
    SHORT_CHALLENGE = "its random number is too short"
    WRONG_STATUS = "a status word that means nothing"
    NO_STATUS = "an answer of one byte"
    SHORT_FILE = "a record lacks its last byte"
    TOO_MANY_BYTES = "more bytes than were asked for"
    SILENCE = "nothing at all"
    MAC_REFUSED = "every MAC is wrong"
    KEY_REFUSED = "every key is wrong, until none may be tried any more"
    KEY_LOCKED = "no key may be tried any more"
    NOT_WRITTEN = "records are said to be written, and are not"
    NOT_GENUINE = "it cannot prove that it has its key"


class HostileChip:
    """A card like another one, but for one way; from the nth command on that the way concerns."""

    def __init__(self, chip: Chip, way: Way, behind: int = 0) -> None:
        """`behind`: so many of those commands it still answers rightly."""
        self.chip = chip
        self.way = way
        self.behind = behind
        self.wrong = 0
        """Answers that were."""
        self._challenge = b""
        self._refused = {address: place.tries for address, place in chip.kind.keys.items()}

    @property
    def atr(self) -> bytes:
        """What its reset answers."""
        return self.chip.atr

    def power_up(self) -> None:
        """Reset."""
        self.chip.power_up()

    def transmit(self, apdu: bytes) -> bytes:
        """data ‖ SW1 SW2, or what it takes for that. Raises PowerCut, Silence."""
        if not self._concerns(apdu):
            return self.chip.transmit(apdu)
        if self.behind > 0:
            self.behind -= 1
            answer = self.chip.transmit(apdu)
            if apdu[1:2] == b"\x84":
                self._challenge = answer[:-2]
            return answer
        self.wrong += 1
        return self._wrong(apdu)

    def _concerns(self, apdu: bytes) -> bool:
        instruction = apdu[1] if len(apdu) > 1 else 0
        match self.way:
            case Way.FOREIGN_IDENTIFIER | Way.UNREADABLE_IDENTIFIER:
                return instruction == 0xB2 and self._reads_identifier(apdu)
            case Way.STALE_CHALLENGE | Way.SHORT_CHALLENGE:
                return instruction == 0x84
            case Way.SHORT_FILE:
                return instruction == 0xB2
            case Way.TOO_MANY_BYTES:
                return instruction in {0xB2, 0x84, 0xC0, 0x82, 0xDC}
            case Way.MAC_REFUSED:
                return apdu[:1] == b"\x84"
            case Way.KEY_REFUSED | Way.KEY_LOCKED:
                return instruction == 0x82
            case Way.NOT_WRITTEN:
                return instruction == 0xDC
            case Way.NOT_GENUINE:
                return instruction == 0x88
            case Way.WRONG_STATUS | Way.NO_STATUS | Way.SILENCE:
                return True

    def _reads_identifier(self, apdu: bytes) -> bool:
        answer = self.chip.transmit(apdu)
        return answer[2:-2] == self.chip.identifier

    def _wrong(self, apdu: bytes) -> bytes:
        match self.way:
            case Way.WRONG_STATUS:
                return status.SOMETHING_ELSE
            case Way.NO_STATUS:
                return b"\x90"
            case Way.SILENCE:
                raise Silence
            case Way.UNREADABLE_IDENTIFIER:
                return status.NO_RECORD
            case Way.NOT_WRITTEN:
                return status.DONE
            case Way.KEY_REFUSED:
                address = int.from_bytes(apdu[3:4])
                self._refused[address] = max(0, self._refused.get(address, 0) - 1)
                return status.tries_left(self._refused[address])
            case Way.KEY_LOCKED:
                return status.LOCKED
            case Way.MAC_REFUSED:
                last = apdu[-1] ^ 1
                return self.chip.transmit(apdu[:-1] + bytes((last,)) if len(apdu) > MAC_BYTES else apdu)
        return self._changed(apdu, self.chip.transmit(apdu))

    def _changed(self, apdu: bytes, answer: bytes) -> bytes:
        data, word = answer[:-2], answer[-2:]
        match self.way:
            case Way.FOREIGN_IDENTIFIER:
                data = data[:-5] + bytes((data[-5] ^ 1,)) + data[-4:]
            case Way.STALE_CHALLENGE:
                data = self._challenge = self._challenge or data
            case Way.SHORT_CHALLENGE | Way.SHORT_FILE:
                data = data[:-1]
            case Way.TOO_MANY_BYTES:
                data += bytes(40)
            case Way.NOT_GENUINE if word == status.DONE:
                data = bytes(byte ^ 0xFF for byte in data)
            case Way.NOT_GENUINE:  # it lies in wait for GET RESPONSE
                data, word = bytes(self.chip.kind.block_bytes), status.DONE
        return data + word
