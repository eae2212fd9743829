"""A shift at a window or a kit: what came and went since it was closed last, and whether that adds up.

opening + received = issued + spoiled + transferred + returned + missing + on hand
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from services.issuance.domain.blank import ON_HAND, BlankState, Verb
from services.issuance.domain.refusal import Refusal


class Flow(StrEnum):
    """Why there is one more, or one less, of which a card may still come."""

    RECEIVED = "received"
    ISSUED = "issued"
    SPOILED = "spoiled"
    TRANSFERRED = "transferred"
    RETURNED = "returned"
    MISSING = "missing"


_GOING: Final = {
    Verb.HAND_OVER: Flow.ISSUED,
    Verb.SPOIL: Flow.SPOILED,
    Verb.TRANSFER: Flow.TRANSFERRED,
    Verb.RETURN_UNUSED: Flow.RETURNED,
    Verb.MISS: Flow.MISSING,
}


class Move(NamedTuple):
    """Entries of one kind, counted."""

    verb: Verb
    from_state: BlankState
    from_place: str
    to_state: BlankState
    to_place: str
    times: int = 1


def flow_of(move: Move, place: str) -> Flow | None:
    """What a move is for a place; None: there it changes nothing."""
    had = move.from_place == place and move.from_state in ON_HAND
    has = move.to_place == place and move.to_state in ON_HAND
    if had == has:
        return None
    return Flow.RECEIVED if has else _GOING[move.verb]


@dataclass(frozen=True, slots=True)
class Held:
    """What is at a place now, by the books."""

    unused: int
    """With those that are unfinished: their plastic is white."""
    spoiled: int
    lying: int
    """Printed, and not handed over yet."""
    unfinished: tuple[str, ...] = ()
    """Serials of those that are reserved or being made."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A shift's sum. The two sides are counted apart: the flows from the ledger, what is on hand from the blanks."""

    opening: int
    flows: Mapping[Flow, int]
    held: Held

    @property
    def on_hand(self) -> int:
        """Of which a card may still come."""
        return self.held.unused + self.held.lying

    @property
    def holds(self) -> bool:
        """Whether the equation does."""
        gone = sum(count for flow, count in self.flows.items() if flow is not Flow.RECEIVED)
        return self.opening + self.flows[Flow.RECEIVED] == gone + self.on_hand


def balance(place: str, opening: int, moves: Iterable[Move], held: Held) -> Balance:
    """Of a place since it was closed last, by the entries of that time."""
    flows = dict.fromkeys(Flow, 0)
    for move in moves:
        if flow := flow_of(move, place):
            flows[flow] += move.times
    return Balance(opening, flows, held)


@dataclass(frozen=True, slots=True)
class Count:
    """What a clerk counted."""

    unused: int
    spoiled: int
    lying: int
    cash_fen: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What was counted minus what should be there."""

    unused: int
    spoiled: int
    lying: int
    cash_fen: int

    @property
    def blanks_agree(self) -> bool:
        """Whether plastic and books do."""
        return not (self.unused or self.spoiled or self.lying)

    @property
    def agree(self) -> bool:
        """Whether all of it does."""
        return self.blanks_agree and not self.cash_fen

    def __str__(self) -> str:
        """For a second person's eyes."""
        return f"unused {self.unused:+}, spoiled {self.spoiled:+}, lying {self.lying:+}, cash_fen {self.cash_fen:+}"


def differences(count: Count, held: Held, cash_fen: int) -> Differences:
    """Between a count and the books; `cash_fen`: what should be in the till."""
    return Differences(
        count.unused - held.unused, count.spoiled - held.spoiled, count.lying - held.lying, count.cash_fen - cash_fen
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A count that did not agree with the books, and was told so."""

    count: Count
    differed: Differences


def told_otherwise(count: Count, shown: Iterable[Shown]) -> list[Shown]:
    """Of the counts before those that said something else than this one does, after which the books were shown.

    Whoever was shown a difference has learnt what to say: that the next count agrees proves nothing any more. Who says the same
    once more has learnt nothing, and it is the books that have come to it: a fee was late, or what is missing was reported.
    """
    return [one for one in shown if one.count != count]


def closable(found: Differences, otherwise: Sequence[Shown], reason: str, *, moved_since: bool) -> Refusal | None:
    """Why a shift is not closed on a count; None: it may be, with a second signature if cash differs or `otherwise`."""
    if moved_since:
        return Refusal.COUNT_AGAIN
    if not found.blanks_agree:
        return Refusal.BLANKS_DIFFER
    if found.cash_fen and not reason:
        return Refusal.CASH_REASON_NEEDED
    return Refusal.COUNT_REASON_NEEDED if otherwise and not reason else None
