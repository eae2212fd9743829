"""A printer of cards, as whoever issues a card sees it, and what it puts onto the plastic."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Protocol, Self

from onecard.issuance.v1 import issuance_pb2 as messages


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFace:
    """Both faces of a card. Personal: it shows itself to nobody, and nothing of it stays at the terminal."""

    name: str = field(repr=False)
    social_security_number: str = field(repr=False)
    card_number: str = field(repr=False)
    issue_date: date
    expiry_date: date
    photo: bytes = field(repr=False)
    """JPEG; as many dots as it has are printed."""
    authority: str
    """发卡机构."""
    temporary_card: bool = False

    @classmethod
    def of(cls, message: messages.CardFace) -> Self:
        """From the message that issuance sent. ValueError: a date is none."""
        return cls(
            name=message.name,
            social_security_number=message.social_security_number,
            card_number=message.card_number,
            issue_date=date.fromisoformat(message.issue_date),
            expiry_date=date.fromisoformat(message.expiry_date),
            photo=message.photo,
            authority=message.authority,
            temporary_card=message.temporary_card,
        )


class Printed(Enum):
    """What became of the card in the printer."""

    DONE = "done"
    FAILED_BEFORE = "failed_before"
    """Nothing touched the card."""
    UNKNOWN = "unknown"
    """Somebody has to look at the card. Nothing is printed again by itself."""


@dataclass(frozen=True, slots=True)
class PrinterState:
    """Whether a printer takes a card now, and if not why."""

    reason: str = ""
    """UPPER_SNAKE_CASE; empty: it is ready."""
    message: str = "打印机就绪。"
    """What a clerk can say, and do next."""

    @property
    def ready(self) -> bool:
        """It takes a card."""
        return not self.reason


READY = PrinterState()


class CannotPrintError(Exception):
    """A face cannot be printed as it is; the message is what a clerk can say, and do next."""


class CardPrinter(Protocol):
    """Prints one card at a time, and never the same card twice unless asked twice."""

    def ready(self) -> PrinterState:
        """Whether it takes a card now."""
        ...

    def refuses(self, face: CardFace) -> str:
        """Why it cannot print this face: characters that its type lacks, each by name …; empty: it can. No card is touched."""
        ...

    def print(self, face: CardFace) -> Printed:
        """Print both faces of the card that lies in it. What `refuses` names is `FAILED_BEFORE`."""
        ...
