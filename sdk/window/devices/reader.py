"""A reader of chips, as a window needs it: wait for a card, pass commands through, let go of it."""

from __future__ import annotations

from typing import ClassVar, Protocol


class ChipError(Exception):
    """The chip did not answer; what it did with the last command is not known. The message says what a clerk can do."""

    says: ClassVar[str] = "卡片没有应答，请取出后重新插入。"

    def __init__(self, says: str = "") -> None:
        super().__init__(says or self.says)


class CardGoneError(ChipError):
    """It was pulled out, or lost its power."""

    says = "卡片已取出或接触不良，请重新插入同一张卡，系统会接着办理。"


class CardSilentError(ChipError):
    """It is there, and does not answer in time."""

    says = "卡片没有应答，请取出后擦拭芯片，再重新插入。"


class ReaderError(ChipError):
    """The reader itself."""

    says = "读卡器没有应答，请检查连接后重试。"


class CardReader(Protocol):
    """One slot. Methods block; they raise one of ChipError."""

    def connect(self, patience_seconds: float) -> bytes:
        """Wait for a card, power it up, and answer with its ATR. Raises CardGoneError when none came."""

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to a command: data ‖ SW1 SW2, as the chip gave it."""

    def disconnect(self) -> None:
        """Power the card down; it may be pulled out. Never raises."""
