"""A rule of a tariff, and the fare that is on its way through the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from services.payments.domain.card import Card
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason

State = Mapping[str, Any]
"""What the rules of one scene remember of a holder: JSON values under the names of the rules, never changed in place."""


class Fare(NamedTuple):
    """What a tap costs. The merchant earns `fare_fen`; what the holder does not pay of it is paid by funds of the city."""

    fare_fen: int
    charged_fen: int
    shares: tuple[tuple[int, int], ...] = ()
    """(account of a fund, fen); together with the charge they are the fare."""


class Rating:
    """The fare of one tap while the rules work on it. It counts for the holder alone; companions are added at the end."""

    __slots__ = (
        "boards",
        "card",
        "charges",
        "companions_fen",
        "due_fen",
        "fare_fen",
        "line",
        "mode",
        "shares",
        "tap",
        "time_ms",
    )

    def __init__(self, tap: Tap, card: Card, line: str, mode: str) -> None:
        self.tap = tap
        self.card = card
        self.time_ms = tap.event_time_ms
        self.line = line
        self.mode = mode
        self.due_fen = 0
        """What the holder pays."""
        self.fare_fen = 0
        """What the merchant earns of it."""
        self.companions_fen = 0
        """What those pay who ride on the same card: the full price, which counts for nothing."""
        self.shares: dict[int, int] = {}
        self.boards = True
        """Whether a ride begins with it: everything but the exit of a ride that is known."""
        self.charges = True
        """Whether a ride is paid with it: everything but an entry whose exit is awaited."""

    def set_price(self, fen: int) -> None:
        """What everybody would pay."""
        self.due_fen = self.fare_fen = fen
        self.companions_fen = (self.tap.facts.riders - 1) * fen

    def reduce_to(self, due_fen: int, payer: int) -> None:
        """Let the holder pay less; `payer` bears the difference: the account of a fund, or 0: the merchant, who earns less."""
        less = self.due_fen - due_fen
        if less <= 0:
            return
        self.due_fen = due_fen
        if payer:
            self.shares[payer] = self.shares.get(payer, 0) + less
        else:
            self.fare_fen -= less


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rides a rule is for; empty: all."""

    modes: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()

    def covers(self, rating: Rating) -> bool:
        """Whether the ride is one of them."""
        return (not self.modes or rating.mode in self.modes) and (not self.lines or rating.line in self.lines)


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Rule:
    """One step of a tariff. Under its name it remembers what it needs to know of the holder."""

    remembers: ClassVar[bool] = True
    """Whether it keeps something of a tap for those that follow."""

    name: str

    def rate(self, rating: Rating, state: dict[str, Any]) -> None:
        """Change the fare, and remember. A function of the accepted taps in the order of their times: it refuses nothing."""
        raise NotImplementedError

    def refuse(self, tap: Tap, state: State, before: State, after: State) -> Reason | None:
        """Why a tap is not accepted, if it is not; asked once, when the tap arrives.

        `state` is everything it is counted with; `before` and `after` are what is remembered where it is put, without it and
        with it: what it adds by itself.
        """
        return None

    def counts_together(self, state: State, time_ms: int, later_ms: int) -> bool:
        """Whether a later tap belongs to what a tap of `time_ms` is counted with. `state` is that before the tap."""
        return False
