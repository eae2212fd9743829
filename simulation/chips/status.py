"""Status words (ISO/IEC 7816-4, PBOC), as these chips say them."""

DONE = b"\x90\x00"
WRONG_LENGTH = b"\x67\x00"
NOT_AUTHENTICATED = b"\x69\x82"
LOCKED = b"\x69\x83"
NO_CHALLENGE = b"\x69\x84"
"""There is none, it was used, or it has another length."""
CONDITIONS = b"\x69\x85"
NO_FILE_SELECTED = b"\x69\x86"
WRONG_MAC = b"\x69\x88"
WRONG_DATA = b"\x6a\x80"
NO_FILE = b"\x6a\x82"
NO_RECORD = b"\x6a\x83"
WRONG_PARAMETERS = b"\x6a\x86"
NO_KEY = b"\x6a\x88"
UNKNOWN_COMMAND = b"\x6d\x00"
UNKNOWN_CLASS = b"\x6e\x00"
SOMETHING_ELSE = b"\x6f\x00"
MORE = 0x61
"""61xx: done; xx bytes wait."""
OTHER_LENGTH = 0x6C
"""6Cxx: not done; there are xx bytes."""


def tries_left(tries: int) -> bytes:
    """63Cx."""
    return bytes((0x63, 0xC0 | tries))
