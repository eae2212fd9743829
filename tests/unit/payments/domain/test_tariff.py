"""Fares at their boundaries: the birthday, the fen, the first day of a tariff."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.payments.domain.calendar import age_on
from services.payments.domain.card import Card, CategoryPeriod
from services.payments.domain.rating.concession import Concession, Concessions
from services.payments.domain.rating.cumulative import Measure, Tier, Tiers
from services.payments.domain.rating.limit import Limit
from services.payments.domain.rating.network import Network, Track
from services.payments.domain.rating.periods import Period, PeriodKind
from services.payments.domain.rating.price import Band, Brackets, Flat, Journey, Marginal, NamedPrice, Stretch
from services.payments.domain.rating.rounding import Direction, Rounding
from services.payments.domain.rating.rule import Fare, State
from services.payments.domain.tap import Facts, Scene, Side, Tap, Terminal
from services.payments.domain.tariff import Tariff, Tariffs
from services.payments.domain.verdict import Reason

FUND = 2
NOON = 1_622_520_000_000  # 2021-06-01 12:00 in Shanghai
TERMINAL = Terminal(1, "M", "T", Scene.BUS, 1000, retired=False)


def card(birth: date, category: str = "ordinary", *, resident: bool = True) -> Card:
    return Card("C", birth, (), (CategoryPeriod(category, resident, 0),), 1, 1)


def tap(at_ms: int = NOON, price_fen: int | None = None) -> Tap:
    return Tap(TERMINAL, 1, b"", "C", at_ms, price_fen)


def charged(tariff: Tariff, rider: Card, **of_tap: Any) -> int:
    fare, _ = tariff.rate(tap(**of_tap), rider, {})
    assert fare.fare_fen == 200
    return fare.charged_fen


JIANGMEN = Tariff(
    Scene.BUS,
    0,
    Flat(200),
    (Concessions("elders", (Concession("65", 0, FUND, from_age=65), Concession("60", 50, FUND, from_age=60, to_age=64))),),
)


def test_a_birthday_begins_at_midnight_in_shanghai() -> None:
    midnight = NOON - 12 * 3_600_000
    turns_65 = card(date(1956, 6, 1))
    assert charged(JIANGMEN, turns_65, at_ms=midnight - 1) == 100
    assert charged(JIANGMEN, turns_65, at_ms=midnight) == 0


def test_who_was_born_on_29_february_has_the_birthday_on_1_march_in_other_years() -> None:
    assert age_on(date(1960, 2, 29), date(2025, 2, 28)) == 64
    assert age_on(date(1960, 2, 29), date(2025, 3, 1)) == 65
    assert age_on(date(1960, 2, 29), date(2024, 2, 29)) == 64


def test_a_concession_for_residents_is_judged_at_the_instant_of_the_ride() -> None:
    tariff = Tariff(Scene.BUS, 0, Flat(200), (Concessions("r", (Concession("resident", 0, FUND, residents_only=True),)),))
    moved_in = Card("C", date(1990, 1, 1), (), (CategoryPeriod("ordinary", True, NOON),), 1, 1)
    assert charged(tariff, moved_in, at_ms=NOON - 1) == 200
    assert charged(tariff, moved_in, at_ms=NOON) == 0


@pytest.mark.parametrize(("rounding", "fen"), [(Direction.DOWN, 100), (Direction.HALF_UP, 101), (Direction.UP, 101)])
def test_half_a_fen_is_rounded_as_the_tariff_says(rounding: Direction, fen: int) -> None:
    assert Rounding(rounding).percent_of(201, 50) == fen
    assert Rounding(rounding).percent_of(200, 50) == 100


@pytest.mark.parametrize(("rounding", "fen"), [(Direction.DOWN, 120), (Direction.HALF_UP, 130), (Direction.UP, 130)])
def test_a_city_that_takes_no_small_coins_rounds_to_its_smallest(rounding: Direction, fen: int) -> None:
    assert Rounding(rounding, unit_fen=10).percent_of(250, 50) == fen
    assert Rounding(rounding, unit_fen=10).percent_of(255, 100) == 255


def test_a_named_price_is_what_the_merchant_says() -> None:
    tariff = Tariff(Scene.CAMPUS, 0, NamedPrice(20_000))
    assert tariff.rate(tap(price_fen=1250), card(date(1990, 1, 1)), {})[0] == Fare(1250, 1250)


def test_a_price_change_takes_effect_by_event_time() -> None:
    old, new = Tariff(Scene.BUS, 1_000, Flat(100)), Tariff(Scene.BUS, 2_000, Flat(200))
    tariffs = Tariffs([new, old])
    assert tariffs.in_force(tap(999)) is None
    assert tariffs.in_force(tap(1_000)) is old
    assert tariffs.in_force(tap(1_999)) is old
    assert tariffs.in_force(tap(2_000)) is new


def test_a_tariff_ends_when_it_says_so() -> None:
    tariffs = Tariffs([Tariff(Scene.BUS, 1_000, Flat(100), valid_to_ms=2_000)])
    assert tariffs.in_force(tap(1_999)) is not None
    assert tariffs.in_force(tap(2_000)) is None


def test_a_merchant_may_have_a_tariff_of_its_own() -> None:
    everybodys, own = Tariff(Scene.BUS, 0, Flat(100)), Tariff(Scene.BUS, 0, Flat(200), merchants=frozenset({"M"}))
    other = tap()._replace(terminal=TERMINAL._replace(merchant_id="N"))
    assert Tariffs([everybodys, own]).in_force(tap()) is own
    assert Tariffs([everybodys, own]).in_force(other) is everybodys


def tiers(measure: Measure, *, on_excess: bool) -> Tiers:
    bounds = (Tier(0, 100), Tier(1_000, 50), Tier(1_500, 0))
    return Tiers("t", Period(PeriodKind.DAY), measure, on_excess, bounds)


@pytest.mark.parametrize(
    ("measure", "on_excess", "paid"),
    [
        (Measure.PAID, False, [700, 700, 350, 0]),
        (Measure.FARE, False, [700, 700, 350, 0]),
        # 300 in full and 400 for half; 100 for half; then nothing.
        (Measure.FARE, True, [700, 500, 50, 0]),
        # 300 in full, and what is left for half, until 1,500 are paid.
        (Measure.PAID, True, [700, 500, 300, 0]),
    ],
)
def test_tiers_judge_before_the_ride_or_on_the_excess(measure: Measure, on_excess: bool, paid: list[int]) -> None:
    tariff = Tariff(Scene.BUS, 0, Flat(700), (tiers(measure, on_excess=on_excess),))
    state: State = {}
    charges = []
    for n in range(4):
        fare, state = tariff.rate(tap(NOON + n), card(date(1990, 1, 1)), state)
        charges.append(fare.charged_fen)
    assert charges == paid


def test_rides_are_counted_too() -> None:
    tariff = Tariff(
        Scene.BUS, 0, Flat(200), (Tiers("n", Period(PeriodKind.WEEK), Measure.RIDES, tiers=(Tier(0, 100), Tier(2, 50))),)
    )
    state: State = {}
    charges = []
    for n in range(4):
        fare, state = tariff.rate(tap(NOON + n), card(date(1990, 1, 1)), state)
        charges.append(fare.charged_fen)
    assert charges == [200, 200, 100, 100]
    monday = NOON + 6 * 86_400_000 - 12 * 3_600_000
    assert tariff.rate(tap(monday - 1), card(date(1990, 1, 1)), state)[0].charged_fen == 100
    assert tariff.rate(tap(monday), card(date(1990, 1, 1)), state)[0].charged_fen == 200


def test_a_rolling_period_begins_with_the_first_tap_that_is_in_none() -> None:
    week = Period(PeriodKind.ROLLING, length_ms=7_000)
    assert week.anchor(None, 500) == 500
    assert week.anchor(500, 7_499) == 500
    assert week.anchor(500, 7_500) == 7_500
    assert week.together(500, 600, 7_499)
    assert not week.together(500, 600, 7_500)


def test_marginal_bands_cost_what_each_stretch_costs() -> None:
    by_distance = Marginal(200, (Stretch(10_000, 5_000, 100), Stretch(20_000, 2_000, 100)))
    fares = {0: 200, 10_000: 200, 10_001: 300, 15_000: 300, 20_000: 400, 20_001: 500, 22_000: 500, 22_001: 600}
    assert {metres: by_distance.fare_fen(metres) for metres in fares} == fares


def test_distances_are_those_of_the_shortest_way() -> None:
    network = Network([Track(("A", "B", "C"), (5, 5)), Track(("A", "D", "C"), (1, 2)), Track(("X", "Y"), (1,))])
    assert network.metres("A", "C") == 3
    assert network.metres("B", "D") == 6
    assert network.metres("A", "X") is None
    assert network.longest_metres() == 6


def test_companions_pay_the_full_price_and_count_for_nothing() -> None:
    ride = tap()._replace(facts=Facts(riders=3))
    elder = card(date(1950, 1, 1))
    assert JIANGMEN.refuse(ride) is Reason.TOO_MANY_RIDERS
    tariff = replace(JIANGMEN, most_riders=3)
    assert tariff.refuse(ride) is None
    assert tariff.rate(ride, elder, {})[0] == Fare(600, 400, ((FUND, 200),))


def metro() -> Tariff:
    journey = Journey(Brackets((Band(10, 300),)), Network([Track(("A", "B"), (10,))]), 3_600_000, 500)
    return Tariff(Scene.BUS, 0, journey)


def test_an_exit_without_an_entry_costs_the_most() -> None:
    leave = tap()._replace(facts=Facts(stop="B", side=Side.EXIT))
    assert metro().rate(leave, card(date(1990, 1, 1)), {})[0].charged_fen == 500


@pytest.mark.parametrize(("late_ms", "fen", "back"), [(3_600_000, 300, None), (3_600_001, 500, ((1, 1), True))])
def test_an_exit_belongs_to_its_entry_until_the_last_instant(late_ms: int, fen: int, back: object) -> None:
    rider, tariff = card(date(1990, 1, 1)), metro()
    fare, state = tariff.rate(tap()._replace(facts=Facts(stop="A", side=Side.ENTRY)), rider, {})
    assert fare.charged_fen == 0
    leave = tap(NOON + late_ms)._replace(facts=Facts(stop="B", side=Side.EXIT), sequence=2)
    assert tariff.looks_back(leave, state) == back
    assert tariff.rate(leave, rider, state)[0].charged_fen == fen


def test_a_second_entry_says_that_the_first_had_no_exit() -> None:
    rider, tariff = card(date(1990, 1, 1)), metro()
    enter = tap()._replace(facts=Facts(stop="A", side=Side.ENTRY))
    _, state = tariff.rate(enter, rider, {})
    assert tariff.looks_back(enter._replace(sequence=2), state) == ((1, 1), True)
    fare, state = tariff.rate(enter, rider, {}, unmatched=True)
    assert fare.charged_fen == 500
    assert tariff.looks_back(enter._replace(sequence=2), state) is None
    leave = enter._replace(facts=Facts(stop="B", side=Side.EXIT))
    assert tariff.looks_back(leave, state) == ((1, 1), False)


def test_each_step_of_a_fare_can_be_told() -> None:
    steps = list(JIANGMEN.explain(tap(), card(date(1950, 1, 1)), {}))
    assert [(step.name, step.after.charged_fen) for step in steps] == [("price", 200), ("elders", 0)]


def test_a_limit_of_money_counts_what_the_holder_pays_of_a_rated_fare_too() -> None:
    half = Concessions("half", (Concession("half", 50, FUND),))
    most = Limit("day", Period(PeriodKind.DAY), most_fen=250)
    for rules, accepted in (((most,), 1), ((half, most), 2)):
        tariff = Tariff(Scene.BUS, 0, Flat(200), rules)
        state: State = {}
        verdicts = []
        for _ in range(3):
            _, after = tariff.rate(tap(), card(date(1990, 1, 1)), state)
            verdicts.append(most.refuse(tap(), state, state, after))
            state = state if verdicts[-1] else after
        assert verdicts.count(None) == accepted
        assert verdicts[-1] is Reason.OVER_PERIOD_LIMIT
