"""A reader of chips, as a window needs it: wait for a card, pass commands through, let go of it."""

from __future__ import annotations

from typing import Protocol


class ChipError(Exception):
    """The chip did not answer; what it did with the last command is not known."""


class CardGoneError(ChipError):
    """It was pulled out, or lost its power."""


class CardSilentError(ChipError):
    """It is there, and does not answer in time."""


class ReaderError(ChipError):
    """The reader itself; the message says what a clerk can do."""


class CardReader(Protocol):
    """One slot. Methods block; they raise one of ChipError."""

    def connect(self, patience_seconds: float) -> bytes:
        """Wait for a card, power it up, and answer with its ATR. Raises CardGoneError when none came."""

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to a command: data ‖ SW1 SW2, as the chip gave it."""

    def disconnect(self) -> None:
        """Power the card down; it may be pulled out. Never raises."""
