"""Commands for a chip and its answers (ISO/IEC 7816-4, LD/T 32.5), as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NO_STATUS: Final = 0
OK: Final = 0x9000
MORE: Final = 0x6100
"""61xx: done, and xx bytes wait for GET RESPONSE."""
OTHER_LENGTH: Final = 0x6C00
"""6Cxx: not done, for the answer has xx bytes."""
END_OF_RECORD: Final = 0x6282
NO_RECORD: Final = 0x6A83
NO_FILE: Final = 0x6A82
WRONG_LENGTH: Final = 0x6700
NOT_ALLOWED: Final = 0x6982
LOCKED: Final = 0x6983
CONDITIONS: Final = 0x6985
WRONG_MAC: Final = 0x6988
_TRIES: Final = 0x63C0
_TEMPLATE: Final = 256
"""What a card may tell of what was selected."""
_ANY: Final = frozenset({MORE, OTHER_LENGTH})
"""Stand for all that begin with their first byte, as in the messages."""

MEANINGS: Final[Mapping[int, str]] = {
    OK: "done",
    MORE: "done, more data wait",
    END_OF_RECORD: "the end was reached before the length that was asked for",
    _TRIES: "authentication failed, so many tries are left",
    0x6400: "nothing was changed",
    0x6581: "the memory failed",
    WRONG_LENGTH: "wrong length",
    0x6882: "secure messaging is not supported",
    0x6981: "the file is of another kind",
    NOT_ALLOWED: "the security conditions are not met",
    LOCKED: "the key or PIN is locked",
    0x6984: "the challenge is used up",
    CONDITIONS: "the conditions of use are not met",
    0x6986: "no file is selected",
    0x6987: "the MAC is missing",
    WRONG_MAC: "the MAC is wrong",
    0x6A80: "the data are wrong",
    0x6A81: "not supported, or the card is locked",
    NO_FILE: "no such file",
    NO_RECORD: "no such record",
    0x6A84: "no room in the file",
    0x6A86: "wrong P1 P2",
    0x6A88: "no such key",
    0x6B00: "beyond the end of the file",
    OTHER_LENGTH: "the answer has another length",
    0x6D00: "no such instruction",
    0x6E00: "no such class",
    0x6F00: "the card cannot say what is wrong",
    0x9302: "the MAC is wrong",
    0x9303: "the application is locked for ever",
    0x9403: "no such key",
}


@dataclass(frozen=True, slots=True)
class Response:
    """What the chip answered; `data` without the status word."""

    data: bytes = field(repr=False)
    status: int

    @property
    def ok(self) -> bool:
        """9000."""
        return self.status == OK

    @property
    def tries_left(self) -> int | None:
        """x of 63Cx; 0 where the key is locked already; None: it says nothing of tries."""
        if self.status & 0xFFF0 == _TRIES:
            return self.status & 0xF
        return 0 if self.status == LOCKED else None


@dataclass(frozen=True, slots=True)
class Command:
    """One APDU, and the status words that let the terminal go on. Its data are never shown."""

    apdu: bytes = field(repr=False)
    expected: tuple[int, ...] = (OK,)
    most: int = 0
    """Bytes that the answer may have before its status word."""

    def expects(self, response: Response) -> bool:
        """Whether the terminal goes on behind this answer."""
        return response.status in self.expected or (response.status & 0xFF00 in _ANY.intersection(self.expected))


def response_of(raw: bytes) -> Response | None:
    """data ‖ SW1 SW2; None: too short to be an answer."""
    return Response(raw[:-2], int.from_bytes(raw[-2:])) if len(raw) >= 2 else None


def meaning(status: int) -> str:
    """For people who mend cards."""
    general = _TRIES if status & 0xFFF0 == _TRIES else status & 0xFF00
    said = MEANINGS.get(status) or (MEANINGS.get(general) if general in {_TRIES, *_ANY} else None)
    return f"{status:04X} {said or 'unknown'}"


def select_application(name: bytes) -> Command:
    """By its name; afterwards nobody is authenticated."""
    return Command(_with_data(b"\x00\xa4\x04\x00", name), (OK, MORE), _TEMPLATE)


def select_file(file: int) -> Command:
    """By its identifier, 0xEF05."""
    return Command(_with_data(b"\x00\xa4\x00\x00", file.to_bytes(2)), (OK, MORE), _TEMPLATE)


def read_record(number: int, length: int) -> Command:
    """A record that should have this length; that it has another, or is not there, is an answer too."""
    return Command(bytes((0x00, 0xB2, number, 0x04, length)), (OK, END_OF_RECORD, OTHER_LENGTH, NO_RECORD), length)


def update_record(number: int, content: bytes) -> Command:
    """Write a whole record; one that is not there yet is appended."""
    return Command(_with_data(bytes((0x00, 0xDC, number, 0x04)), content))


def get_challenge(length: int) -> Command:
    """A random number that the next command is bound to."""
    return Command(bytes((0x00, 0x84, 0x00, 0x00, length)), (OK,), length)


def get_response(length: int) -> Command:
    """Data that 61xx announced."""
    return Command(bytes((0x00, 0xC0, 0x00, 0x00, length)), (OK,), length)


def external_authenticate(address: int, cryptogram: bytes) -> Command:
    """Prove to the card that we have a key of it; a failure costs a try."""
    return Command(_with_data(bytes((0x00, 0x82, 0x00, address)), cryptogram))


def internal_authenticate(address: int, challenge: bytes) -> Command:
    """Let the card prove that it has a key."""
    return Command(_with_data(bytes((0x00, 0x88, 0x00, address)), challenge), (OK, MORE), len(challenge))


def protected(header: bytes, data: bytes) -> Command:
    """A command whose data the vault enciphered and authenticated, CLA INS P1 P2 Lc ‖ data."""
    return Command(header + data)


def _with_data(header: bytes, data: bytes) -> bytes:
    if len(data) > 0xFF:
        raise ValueError("a short APDU carries no more than 255 bytes")
    return header + bytes((len(data),)) + data
