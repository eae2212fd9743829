"""The way of one payment as it is told afterwards: by what it is known, and what happened to it when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID


class Place(NamedTuple):
    """An event's row in the journal."""

    batch: int
    row: int


class Identity(NamedTuple):
    """Of a tap, or of what was asked online."""

    merchant_id: str
    """Empty: somebody's, whom the request id alone has to tell."""
    terminal_id: str
    """Empty: any of the merchant's."""
    sequence: int = 0
    """0: what was asked online."""
    request_id: str = ""


Name = Place | Identity | UUID
"""What an operator has in hand; a UUID is that of a payment or of a transfer."""


class Step(NamedTuple):
    """One thing that happened to it."""

    time_ms: int
    where: str
    """terminal, broker, ledger, seal; or the process whose log says it."""
    what: str
    facts: Mapping[str, Any] = {}


@dataclass(slots=True)
class Trail:
    """Everything that is known of it."""

    identity: Identity
    payment: bytes | None = None
    scene: int = 0
    card_identifiers: tuple[str, ...] = ()
    """Of the holder: under one of them a tap lies on the road. Never shown whole."""
    decide_time_ms: int = 0
    """0: it has no verdict."""
    places: list[Place] = field(default_factory=list)
    """Where in the journal it left something, its own event first."""
    request_ids: list[str] = field(default_factory=list)
    """Of everything that was asked about it."""
    steps: list[Step] = field(default_factory=list)
    now: dict[str, Any] = field(default_factory=dict)
    """How it stands."""
    unseen: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""

    def add(self, time_ms: int, where: str, what: str, **facts: Any) -> None:
        """Something happened to it; facts that say nothing are left out."""
        self.steps.append(Step(time_ms, where, what, {name: fact for name, fact in facts.items() if fact not in ("", None)}))

    def in_order(self) -> list[Step]:
        """By time; what happened in one moment, in the order in which it was found."""
        return sorted(self.steps, key=lambda step: step.time_ms)


def name_of(words: tuple[str, ...]) -> Name:
    """Read what was typed: PAYMENT · BATCH/ROW · REQUEST · MERCHANT REQUEST · MERCHANT TERMINAL SEQUENCE-or-REQUEST.

    Raises ValueError where it can be none of these.
    """
    match words:
        case (one,):
            batch, slash, row = one.partition("/")
            if slash and batch.isdecimal() and row.isdecimal():
                return Place(int(batch), int(row))
            try:
                return UUID(one)
            except ValueError:
                return Identity("", "", request_id=one)
        case (merchant, request):
            return Identity(merchant, "", request_id=request)
        case (merchant, terminal, sequence) if sequence.isdecimal():
            return Identity(merchant, terminal, sequence=int(sequence))
        case (merchant, terminal, request):
            return Identity(merchant, terminal, request_id=request)
    raise ValueError("a payment is named by its id, its place BATCH/ROW, or MERCHANT TERMINAL SEQUENCE")


def masked_card(card_identifier: str) -> str:
    """440700…0178: enough to compare with a card in hand, too little to pay with."""
    return f"{card_identifier[:6]}…{card_identifier[-4:]}" if len(card_identifier) > 12 else "…"
