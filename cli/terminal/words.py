"""How values of the platform look on a screen."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cli.terminal.texts import Texts
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1.card_events_pb2 import SpendingLimits
from sdk.merchant.files import CITY_TIME

DOCUMENTS: Final = tuple(applications.DocumentKind.Name(kind) for kind in range(1, 9))
RELATIONS: Final = tuple(applications.Relation.Name(relation) for relation in range(1, 7))
_ISSUED: Final = 70
"""CardSummary.production of a card that was handed over."""


def time_of(milliseconds: int) -> str:
    """In the city's time, to the minute."""
    return datetime.fromtimestamp(milliseconds / 1000, CITY_TIME).strftime("%Y-%m-%d %H:%M") if milliseconds else ""


def yuan(fen: int) -> str:
    """An amount, exact."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def fen_of(text: str) -> int | None:
    """Of yuan as somebody keyed them in; None: that is no amount."""
    whole, _, part = text.strip().partition(".")
    if not whole.isascii() or not whole.isdecimal() or len(whole) > 9 or len(part) > 2 or (part and not part.isdecimal()):
        return None
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)


def limits(told: SpendingLimits, texts: Texts) -> str:
    """What a guardian allows."""
    values = ((field.name, value) for field, value in told.ListFields())
    return "  ".join(texts(f"limit.{name}", value=yuan(value) if name.endswith("_fen") else value) for name, value in values)


def social(card: cards.CardSummary, texts: Texts) -> str:
    """A card's social side."""
    word = texts.of("social", cards.SocialStatus.Name(card.social).removeprefix("SOCIAL_STATUS_"))
    return f"{word} {texts('card.until', time=time_of(card.loss_until_ms))}" if card.loss_until_ms else word


def financial(card: cards.CardSummary, texts: Texts) -> str:
    """A card's side of the bank."""
    return texts.of("financial", cards.FinancialStatus.Name(card.financial).removeprefix("FINANCIAL_STATUS_"))


def note(card: cards.CardSummary, texts: Texts) -> str:
    """What else is to be known of a card. One that nobody ever had was spoiled, or given up."""
    if card.successor_card_id:
        return texts("card.succeeded", card=card.successor_card_id)
    if card.social == cards.SOCIAL_STATUS_CANCELLED and card.production < _ISSUED:
        return texts("card.never_issued")
    return texts("card.temporary") if card.temporary_card else ""


def state(application: applications.ApplicationSummary, texts: Texts, last_step: str = "") -> str:
    """How far an application is; behind a card of which nothing came it waits for another one."""
    word = texts.of("state", applications.ApplicationState.Name(application.state).removeprefix("APPLICATION_STATE_"))
    if last_step == "FAIL":
        word = texts("application.made_again")
    return f"{word} {texts('application.overdue')}" if application.overdue else word


def kind(application: applications.ApplicationSummary, texts: Texts) -> str:
    """What is applied for."""
    return texts.of("kind", applications.ApplicationKind.Name(application.kind).removeprefix("APPLICATION_KIND_"))


def mode(application: applications.ApplicationSummary, texts: Texts) -> str:
    """How the card is made."""
    return texts.of("mode", applications.Mode.Name(application.mode).removeprefix("MODE_"))


def document(kind_: applications.DocumentKind, texts: Texts) -> str:
    """A kind of identity document."""
    return texts.of("document", applications.DocumentKind.Name(kind_).removeprefix("DOCUMENT_KIND_"))
