"""What a terminal gets to hear: how things stand afterwards, and why nothing was done, if nothing was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import staff_pb2 as staff
from onecard.card.v1 import terminals_pb2 as terminals


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To a request with an id."""

    request_id: str
    refusal: applications.Refusal | None

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.refusal is None

    @classmethod
    def of(cls, request_id: str, answer: Any, **more: Any) -> Self:
        """From the message that came."""
        return cls(request_id=request_id, refusal=refusal_of(answer), **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAnswer(Answer):
    """A card as it stands afterwards."""

    card: cards.CardSummary
    remainder_fen: int = 0
    """Of a cancellation: what was left on the account and is handed out now; or what went to the bank."""
    remainder_to_come: bool = False
    """Not all of it could be paid out yet: to the bank it follows by itself, cash waits to be handed out."""
    fees_fen: int = 0
    """Of a cancellation: fees that were paid in cash, and go over the counter now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationAnswer(Answer):
    """An application as it stands afterwards."""

    application: applications.ApplicationSummary | None
    not_carried: tuple[str, ...] = ()
    """What the bank's file, the chip or the printer cannot carry of the name, in sentences."""
    hints: tuple[str, ...] = ()
    """What is worth a second look, and holds nothing back."""
    hand_out_fen: int = 0
    """Of a withdrawal: a fee that was paid in cash, and goes over the counter now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOutAnswer(Answer):
    """What goes over the counter now, in cash."""

    fees_fen: int
    remainder_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentAnswer(Answer):
    """What a holder has said to each purpose; a refusal says why this word does not count."""

    consents: tuple[applications.Consent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffAnswer(Answer):
    """An account as it stands afterwards."""

    member: staff.StaffMember


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalAnswer(Answer):
    """A terminal's request as it stands afterwards."""

    terminal: terminals.Terminal


@dataclass(frozen=True, slots=True)
class LetIn:
    """Somebody showed who they are, and was let in for minutes; or why not. The token is worth nothing elsewhere."""

    token: str = field(repr=False)
    expire_time_ms: int
    holder_id: int
    """0: whoever it is, is not registered yet, and may apply."""
    refusal: applications.Refusal | None

    @property
    def done(self) -> bool:
        """Whether somebody stands there now."""
        return self.refusal is None


def refusal_of(answer: Any) -> applications.Refusal | None:
    """Why it was not done; None: it was."""
    return answer.refusal if answer.HasField("refusal") else None
