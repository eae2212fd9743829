"""A dead letter as people see it, and what they do to it."""

from enum import IntEnum
from typing import NamedTuple

from services.payments.domain.verdict import Cause, Reason


class Letter(NamedTuple):
    """What is known of a record without a verdict."""

    number: int
    topic: str
    partition: int
    offset: int
    append_time_ms: int
    cause: Cause
    sqlstate: str
    merchant_id: str | None
    terminal_id: str | None
    sequence: int | None
    card_identifier: str | None
    create_time_ms: int
    end_time_ms: int
    """0: it lies open."""
    refusal: int | None
    """The approval by which it was refused."""
    record_bytes: int


class Standing(IntEnum):
    """Whether a replay would decide a record; the numbers are those of onecard.payments.v1.Standing."""

    ENDED = 1
    STANDS = 2
    MENDED = 3
    DECIDED = 4
    UNTRIED = 5


class ReplayOutcome(IntEnum):
    """What became of a record; the numbers are those of onecard.payments.v1.ReplayOutcome."""

    POSTED = 1
    REFUSED = 2
    REPEATED = 3
    STILL_DEAD = 4
    ENDED = 5
    UNKNOWN = 6


class Replayed(NamedTuple):
    """A record that was replayed."""

    number: int
    outcome: ReplayOutcome
    reason: Reason = Reason.NONE
    cause: Cause | None = None


class ActKind(IntEnum):
    """What a person did; the numbers are stored and are those of onecard.payments.v1.ActKind."""

    REPLAY = 1
    ASK_REFUSAL = 2
    APPROVE_REFUSAL = 3
    REJECT_REFUSAL = 4


class Act(NamedTuple):
    """Something that a person did to dead letters."""

    number: int
    kind: ActKind
    actor: str
    """The subject of a certificate."""
    time_ms: int
    letters: tuple[int, ...]
    reason: str
    asked: int | None
    """Of an approval or a rejection: the act that asked."""


def mask(card_identifier: str) -> str:
    """Enough of a card to find it among others, too little to pay with it."""
    return f"{card_identifier[:8]}…{card_identifier[-4:]}" if len(card_identifier) > 12 else "…" if card_identifier else ""
