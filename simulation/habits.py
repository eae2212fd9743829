"""What riders do with their cards: commute, eat, visit."""

from __future__ import annotations

from math import gcd
from random import Random

from sdk.merchant.transaction import BusRide, CampusPurchase, ScenicEntry, Tap
from simulation.city import CAMPUSES, GATES, LINES, STOPS_A_LINE, Place, stop_id
from simulation.riders import Rider, card_identifier, rider

# (ride, eat or shop on the campus, visit) of a hundred days' doings.
STUDENT = (42, 95, 100)
ADULT = (88, 92, 100)
ELDER = (76, 76, 100)
VISITOR = (55, 55, 100)

MEALS_FEN = (350, 600, 800, 950, 1100, 1200, 1350, 1500, 1800, 2200)
GOODS_FEN = (150, 300, 450, 690, 990, 1280, 2500, 3990)


class Life:
    """Lets the riders of a city do one thing after the other, each in turn before anybody's second."""

    def __init__(self, cards: int, chance: Random) -> None:
        self._cards = cards
        self._chance = chance
        self._turn = chance.randrange(cards)
        # A step without a common divisor goes through the whole city in an order that nobody notices.
        self._step = next(step for step in range(int(cards * 0.618) + 1, 2 * cards + 2) if gcd(step, cards) == 1)
        self._cards_in_use: dict[int, str | None] = {}

    def lose(self, number: int) -> None:
        """The rider has no card for a while."""
        self._cards_in_use[number] = None

    def replace(self, number: int, identifier: str) -> None:
        """The rider uses another card from now on."""
        self._cards_in_use[number] = identifier

    def next_tap(self, now_ms: int) -> Tap:
        """The next thing that somebody does."""
        while True:
            self._turn = (self._turn + self._step) % self._cards
            person = rider(self._turn + 1)
            identifier = self._cards_in_use.get(person.number, card_identifier(person.number))
            if identifier is not None:
                return self._do(person, identifier, now_ms)

    def ride(self, identifier: str, person: Rider, now_ms: int) -> BusRide:
        """A boarding of a bus of the rider's line."""
        line = LINES[person.line]
        return BusRide(
            merchant_id=line.merchant_id,
            terminal_id=self._terminal(line),
            card_identifier=identifier,
            event_time_ms=now_ms,
            line_id=line.name,
            stop_id=stop_id(self._chance.randrange(STOPS_A_LINE)),
        )

    def _do(self, person: Rider, identifier: str, now_ms: int) -> Tap:
        ride, eat, _ = _habits(person)
        doing = self._chance.random() * 100
        if doing < ride:
            return self.ride(identifier, person, now_ms)
        if doing < eat:
            return self._buy(identifier, person, now_ms)
        gate = self._chance.choice(GATES)
        return ScenicEntry(
            merchant_id=gate.merchant_id,
            terminal_id=self._terminal(gate),
            card_identifier=identifier,
            event_time_ms=now_ms,
            gate_id=gate.name,
        )

    def _buy(self, identifier: str, person: Rider, now_ms: int) -> CampusPurchase:
        outlet = self._chance.choice(CAMPUSES[person.campus].places)
        return CampusPurchase(
            merchant_id=outlet.merchant_id,
            terminal_id=self._terminal(outlet),
            card_identifier=identifier,
            event_time_ms=now_ms,
            outlet_id=outlet.name,
            price_fen=self._chance.choice(GOODS_FEN if outlet.name == "SHOP" else MEALS_FEN),
        )

    def _terminal(self, place: Place) -> str:
        return self._chance.choice(place.terminals)


def _habits(person: Rider) -> tuple[int, int, int]:
    if not person.resident:
        return VISITOR
    if person.category == "student":
        return STUDENT
    return ELDER if person.age >= 60 else ADULT
