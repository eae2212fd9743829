"""What everybody would pay: the first step of a tariff."""

from dataclasses import dataclass, field
from typing import Any, Final

from services.payments.domain.rating.network import Network
from services.payments.domain.rating.rule import Rating, State
from services.payments.domain.tap import Side, Tap

Identity = tuple[int, int]
"""(terminal number, sequence)"""
_SINGLE: Final = Side.SINGLE
JOURNEY: Final = "journey"
"""Under which the state remembers where a ride began: [stop, time, terminal, sequence, whether it counts as unmatched]."""


@dataclass(frozen=True, slots=True)
class Flat:
    """Every tap costs the same; zero is a free entry."""

    amount_fen: int

    def rate(self, rating: Rating, state: dict[str, Any], *, unmatched: bool) -> None:
        """Set the price."""
        rating.set_price(self.amount_fen)

    def knows(self, tap: Tap) -> bool:
        """Whether it has a price for the tap."""
        return tap.facts.side is _SINGLE


@dataclass(frozen=True, slots=True)
class NamedPrice:
    """The merchant names the price in the body (canteen, shop)."""

    limit_fen: int
    """The largest price that the city accepts for one purchase."""

    def rate(self, rating: Rating, state: dict[str, Any], *, unmatched: bool) -> None:
        """Set the price that was named; acceptance has checked it."""
        assert rating.tap.price_fen is not None
        rating.set_price(rating.tap.price_fen)

    def knows(self, tap: Tap) -> bool:
        """Whether it has a price for the tap."""
        return True


@dataclass(frozen=True, slots=True)
class Tickets:
    """A price for each kind of ticket; the ordinary one has no name."""

    prices_fen: dict[str, int]

    def rate(self, rating: Rating, state: dict[str, Any], *, unmatched: bool) -> None:
        """Set the price."""
        rating.set_price(self.prices_fen[rating.tap.facts.ticket])

    def knows(self, tap: Tap) -> bool:
        """Whether it has a price for the tap."""
        return tap.facts.ticket in self.prices_fen


@dataclass(frozen=True, slots=True)
class Band:
    """Up to a distance, that metre included."""

    to_metres: int
    fen: int


@dataclass(frozen=True, slots=True)
class Brackets:
    """By distance: what each bracket costs as a whole, and what is added beyond the last one for each length that was begun."""

    bands: tuple[Band, ...]
    then_every_metres: int = 0
    """0: beyond the last bracket it costs no more."""
    then_fen: int = 0

    def fare_fen(self, metres: int) -> int:
        """The fare of a distance."""
        for band in self.bands:
            if metres <= band.to_metres:
                return band.fen
        last = self.bands[-1]
        if not self.then_every_metres:
            return last.fen
        return last.fen + -(-(metres - last.to_metres) // self.then_every_metres) * self.then_fen


@dataclass(frozen=True, slots=True)
class Stretch:
    """Beyond a distance, each length that was begun costs so much more."""

    from_metres: int
    every_metres: int
    fen: int


@dataclass(frozen=True, slots=True)
class Marginal:
    """By distance: a price to begin with, and each stretch of the way at its own."""

    base_fen: int
    stretches: tuple[Stretch, ...]
    """In order; each ends where the next one begins."""

    def fare_fen(self, metres: int) -> int:
        """The fare of a distance."""
        fen = self.base_fen
        ends = (*(stretch.from_metres for stretch in self.stretches[1:]), metres)
        for stretch, end in zip(self.stretches, ends, strict=True):
            length = min(metres, end) - stretch.from_metres
            if length > 0:
                fen += -(-length // stretch.every_metres) * stretch.fen
        return fen


@dataclass(frozen=True, slots=True)
class Journey:
    """Entry and exit: paid at the exit, by distance. Where one of the two is missing it costs the most."""

    by_distance: Brackets | Marginal
    network: Network = field(compare=False)
    most_ms: int
    """How long after its entry an exit still belongs to it."""
    maximum_fen: int

    def rate(self, rating: Rating, state: dict[str, Any], *, unmatched: bool) -> None:
        """Set the price. `unmatched` says of an entry that no exit of it came."""
        tap = rating.tap
        facts = tap.facts
        if facts.side is Side.ENTRY:
            rating.charges = unmatched
            rating.set_price(self.maximum_fen if unmatched else 0)
            state[JOURNEY] = [facts.stop, rating.time_ms, tap.terminal.number, tap.sequence, int(unmatched)]
            return
        began = state.pop(JOURNEY, None)
        if began is None or rating.time_ms - began[1] > self.most_ms:
            rating.set_price(self.maximum_fen)
            return
        rating.boards = False
        metres = self.network.metres(began[0], facts.stop)
        rating.set_price(self.maximum_fen if metres is None else self.by_distance.fare_fen(metres))

    def knows(self, tap: Tap) -> bool:
        """Whether it has a price for the tap."""
        return tap.facts.side is not Side.SINGLE and self.network.knows(tap.facts.stop)

    def looks_back(self, tap: Tap, state: State) -> tuple[Identity, bool] | None:
        """The earlier entry whose price this tap changes, and whether it is now unmatched."""
        began = state.get(JOURNEY)
        if began is None:
            return None
        matched = tap.facts.side is Side.EXIT and tap.event_time_ms - began[1] <= self.most_ms
        return ((began[2], began[3]), not matched) if matched == bool(began[4]) else None


Price = Flat | NamedPrice | Tickets | Journey
