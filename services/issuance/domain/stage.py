"""How far a card has come at its making."""

from enum import IntEnum


class Stage(IntEnum):
    """Never back. The numbers travel in messages and are stored: never changed, never used again."""

    CARD_READ = 1
    BLANK_RESERVED = 2
    AUTHENTICATED = 3
    HOLDER_WRITTEN = 4
    NUMBER_WRITTEN = 5
    KEYS_REPLACED = 6
    VERIFIED = 7
    PRINTED = 8
    HANDED_OVER = 9
    ENABLED = 10
