"""Tariffs: what a tap costs, and who pays it. Data over the price and the rules of `rating`; a new city is a new file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from services.payments.domain.card import Card
from services.payments.domain.places import Quota, Slot
from services.payments.domain.rating.price import Identity, Journey, NamedPrice, Price
from services.payments.domain.rating.rule import Fare, Rating, Rule, State
from services.payments.domain.tap import Scene, Tap
from services.payments.domain.verdict import Reason

_FOR_EVER: Final = 2**63


@dataclass(frozen=True, slots=True)
class Line:
    """A line or route of a city."""

    mode: str = ""
    """What rides on it: bus, metro, ferry."""
    price: Price | None = None
    """None: the tariff's."""


_ANY_LINE: Final = Line()


class Step(NamedTuple):
    """What one rule did with a fare: for people."""

    name: str
    before: Fare
    after: Fare
    remembered: Any
    """What the rule remembers from now on; None: nothing."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The fares of one scene, or of some merchants in it, for as long as they are valid."""

    scene: Scene
    valid_from_ms: int
    price: Price
    rules: tuple[Rule, ...] = ()
    valid_to_ms: int = _FOR_EVER
    """From then on it is not in force."""
    merchants: frozenset[str] = frozenset()
    """Empty: everybody in the scene for whom there is no other tariff."""
    key: str = ""
    """Under which usage remembers what it counts: tariffs that follow each other have the same."""
    mode: str = ""
    """Of lines that are not listed."""
    lines: Mapping[str, Line] = field(default_factory=dict)
    most_riders: int = 1
    """How many ride on one card; the others pay the full price."""
    quota: Quota | None = None
    """How many a site takes; None: as many as come."""
    limits: tuple[Rule, ...] = field(init=False, default=())
    """The rules that may refuse."""
    remembers: bool = field(init=False, default=False)
    """Whether a fare depends on other taps; otherwise nothing is kept of a tap but its verdict."""
    longest_journey_ms: int = field(init=False, default=0)
    """How long the exit of a ride is awaited; 0: there are no rides with an exit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", tuple(rule for rule in self.rules if type(rule).refuse is not Rule.refuse))
        prices = [self.price, *(line.price for line in self.lines.values())]
        longest_ms = max((price.most_ms for price in prices if isinstance(price, Journey)), default=0)
        object.__setattr__(self, "longest_journey_ms", longest_ms)
        object.__setattr__(self, "remembers", longest_ms > 0 or any(rule.remembers for rule in self.rules))

    def rate(self, tap: Tap, card: Card, state: State, *, unmatched: bool = False) -> tuple[Fare, State]:
        """The fare of a tap, and what is remembered after it.

        Pure: called under the account's lock with what was read under it, and nowhere else. `unmatched` says of an entry that
        no exit of it came.
        """
        rating, price = self._begin(tap, card)
        if not self.remembers:
            price.rate(rating, {}, unmatched=unmatched)
            for rule in self.rules:
                rule.rate(rating, {})
            return _fare(rating), state
        after = dict(state)
        price.rate(rating, after, unmatched=unmatched)
        for rule in self.rules:
            rule.rate(rating, after)
        return _fare(rating), after

    def explain(self, tap: Tap, card: Card, state: State, *, unmatched: bool = False) -> Iterator[Step]:
        """How the fare comes about, step by step; the last step has the fare."""
        rating, price = self._begin(tap, card)
        after = dict(state)
        price.rate(rating, after, unmatched=unmatched)
        yield Step("price", Fare(0, 0), _fare(rating), after.get("journey"))
        for rule in self.rules:
            before = _fare(rating)
            rule.rate(rating, after)
            yield Step(rule.name, before, _fare(rating), after.get(rule.name))

    def refuse(self, tap: Tap) -> Reason | None:
        """Why the tap is not accepted, whoever the rider is."""
        if isinstance(self.price, NamedPrice):
            if tap.price_fen is None or not 1 <= tap.price_fen <= self.price.limit_fen:
                return Reason.BAD_PRICE
        elif tap.price_fen is not None:
            return Reason.PRICE_NOT_ALLOWED
        return Reason.TOO_MANY_RIDERS if tap.facts.riders > self.most_riders else None

    def knows(self, tap: Tap) -> bool:
        """Whether it has a price for the tap."""
        return self._price(tap).knows(tap)

    def looks_back(self, tap: Tap, state: State) -> tuple[Identity, bool] | None:
        """The earlier tap whose price this one changes, and whether it is now unmatched."""
        if not self.longest_journey_ms:
            return None
        price = self._price(tap)
        return price.looks_back(tap, state) if isinstance(price, Journey) else None

    def _price(self, tap: Tap) -> Price:
        return self.lines.get(tap.facts.line, _ANY_LINE).price or self.price

    def _begin(self, tap: Tap, card: Card) -> tuple[Rating, Price]:
        line = tap.facts.line
        known = self.lines.get(line)
        if known is None:
            return Rating(tap, card, line, self.mode), self.price
        return Rating(tap, card, line, known.mode), known.price or self.price


def _fare(rating: Rating) -> Fare:
    shares = tuple(rating.shares.items()) if rating.shares else ()
    return Fare(rating.fare_fen + rating.companions_fen, rating.due_fen + rating.companions_fen, shares)


class Tariffs:
    """All tariffs of a city, found by scene, merchant and the time of the tap."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._of_terminal: dict[int, Sequence[Tariff]] = {}
        self._limited: dict[int, bool] = {}
        """Whether a terminal's taps may take places, by its number: few do, and each batch asks of each tap."""
        self._newest_first: dict[tuple[Scene, str], list[Tariff]] = {}
        for tariff in sorted(tariffs, key=lambda t: t.valid_from_ms, reverse=True):
            for merchant in tariff.merchants or ("",):
                self._newest_first.setdefault((tariff.scene, merchant), []).append(tariff)
        self._has_quotas = any(tariff.quota for found in self._newest_first.values() for tariff in found)

    @property
    def longest_journey_ms(self) -> int:
        """How long the exit of any ride is awaited; 0: there are no rides with an exit."""
        return max((tariff.longest_journey_ms for tariffs in self._newest_first.values() for tariff in tariffs), default=0)

    def in_force(self, tap: Tap) -> Tariff | None:
        """The tariff at the time of the tap: price changes take effect by event time."""
        found = self._of_terminal.get(tap.terminal.number)
        if found is None:
            scene, merchant = tap.terminal.scene, tap.terminal.merchant_id
            found = self._of_terminal[tap.terminal.number] = self._of_merchant(scene, merchant)
        return _at(found, tap.event_time_ms)

    def of_merchant(self, scene: Scene, merchant_id: str, time_ms: int) -> Tariff | None:
        """The tariff of a merchant at an instant."""
        return _at(self._of_merchant(scene, merchant_id), time_ms)

    def slots(self, taps: Iterable[Tap], from_ms: int, until_ms: int) -> set[Slot]:
        """Whose places taps may take that happened in this time: an impossible clock opens no slot."""
        if not self._has_quotas:
            return set()
        limited = self._limited
        return {
            slot
            for tap in taps
            if limited.get(tap.terminal.number, True) and from_ms <= tap.event_time_ms <= until_ms
            for slot in self._slots_of(tap)
        }

    def _slots_of(self, tap: Tap) -> Iterable[Slot]:
        number = tap.terminal.number
        if number not in self._limited:
            found = self._of_merchant(tap.terminal.scene, tap.terminal.merchant_id)
            self._limited[number] = any(tariff.quota for tariff in found)
        tariff = self.in_force(tap)
        if tariff is None or tariff.quota is None or not tariff.quota.takes_place(tap):
            return ()
        return tariff.quota.near(tap.terminal.merchant_id, tap.event_time_ms)

    def _of_merchant(self, scene: Scene, merchant_id: str) -> Sequence[Tariff]:
        return self._newest_first.get((scene, merchant_id)) or self._newest_first.get((scene, "")) or ()


def _at(newest_first: Sequence[Tariff], time_ms: int) -> Tariff | None:
    for tariff in newest_first:
        if tariff.valid_from_ms <= time_ms:
            return tariff if time_ms < tariff.valid_to_ms else None
    return None
