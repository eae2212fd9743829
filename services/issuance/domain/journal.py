"""What is written of a card's making, each time at once: how its record stands, what its chip is sent, where its blank is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState, Verb
from services.issuance.domain.effects import Change, Outcome, Past
from services.issuance.domain.record import Debt, Record, RecordState, Taken
from services.issuance.domain.stage import Stage


class NoteClass(IntEnum):
    """The numbers are stored: never changed, never used again."""

    INTENT = 1
    """Before it is released."""
    OUTCOME = 2
    EVIDENCE = 3
    """An answer that came when another stream had taken the record: nothing is decided by it."""


@dataclass(frozen=True, slots=True)
class Note:
    """A row of the journal: a run of commands that changes the card, never its data."""

    step: int
    kind: NoteClass
    change: Change
    digest: bytes
    """SM3 of the commands."""
    outcome: Outcome = Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Move:
    """Of the blank."""

    blank: Blank
    """As it was."""
    verb: Verb
    to: BlankState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Owing:
    """Something that the card service has to be told."""

    debt: Debt
    what: bytes = field(repr=False, default=b"")
    """Of a completion: who took the card. It is sealed, and forgotten when it was told."""


@dataclass(frozen=True, slots=True)
class Entry:
    """All of it is written, or nothing: not when another stream has taken the record."""

    record: Record
    actor: Actor
    state: RecordState
    stage: Stage
    card: int = 0
    reason: str = ""
    """Why it is spoiled."""
    notes: tuple[Note, ...] = ()
    move: Move | None = None
    owes: Owing | None = None
    paid: Debt | None = None
    """The card service was told."""
    answer: str = ""
    """Why it said no."""
    tells: int = 0
    """onecard.issuance.v1.IssueOutcome of the event; 0: none."""


@dataclass(frozen=True, slots=True)
class Due:
    """What the card service has to be told, and nobody has."""

    taken: Taken
    """The record as it is, under the name of whoever has caused it."""
    debt: Debt
    number: int
    what: bytes = field(repr=False)
    """Of a completion."""


def past_of(notes: Iterable[Note]) -> Past:
    """What a new stream knows of all streams before it; in the order of the journal."""
    rows: list[tuple[Change, Outcome]] = []
    intents: dict[int, int] = {}
    for note in notes:
        if note.kind is NoteClass.INTENT:
            intents[note.step] = len(rows)
            rows.append((note.change, Outcome.UNKNOWN))
        elif note.kind is NoteClass.OUTCOME:
            rows[intents[note.step]] = (note.change, note.outcome)
    return Past(tuple(rows))
