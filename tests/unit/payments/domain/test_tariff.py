"""Fares at their boundaries: the birthday, the fen, the first day of a tariff."""

from datetime import date
from typing import Any

import pytest

from services.payments.domain.calendar import age_on, service_date
from services.payments.domain.card import Card, CategoryPeriod
from services.payments.domain.tap import Scene, Tap, Terminal
from services.payments.domain.tariff import Concession, Fare, FlatFare, NamedPrice, Rounding, Tariff, Tariffs

FUND = 2
NOON = 1_622_520_000_000  # 2021-06-01 12:00 in Shanghai
TERMINAL = Terminal(1, "M", "T", Scene.BUS, 1000, retired=False)

# Guangzhou and Jiangmen: 60 to 64 half, from 65 free. Panan: ordinary 95 %, students of 6 to 14 80 %, 60 to 69 half, from 70 free.
JIANGMEN = Tariff(
    Scene.BUS, 0, FlatFare(200), (Concession("65", 0, FUND, from_age=65), Concession("60", 50, FUND, from_age=60, to_age=64))
)
PANAN = Tariff(
    Scene.BUS,
    0,
    FlatFare(200),
    (
        Concession("70", 0, FUND, from_age=70),
        Concession("60-69", 50, FUND, from_age=60),
        Concession("student", 80, FUND, from_age=6, to_age=14, category="student"),
        Concession("card", 95, FUND),
    ),
)


def card(birth: date, category: str = "ordinary", *, resident: bool = True) -> Card:
    return Card("C", birth, (), (CategoryPeriod(category, resident, 0),), 1, 1)


def tap(at_ms: int = NOON, price_fen: int | None = None) -> Tap:
    return Tap(TERMINAL, 1, b"", "C", at_ms, price_fen)


def charged(tariff: Tariff, rider: Card, **of_tap: Any) -> int:
    fare, _ = tariff.rate(tap(**of_tap), rider, {})
    assert fare.fare_fen == 200
    return fare.charged_fen


@pytest.mark.parametrize(
    ("birth", "fen"),
    [
        (date(1961, 6, 2), 200),
        (date(1961, 6, 1), 100),
        (date(1956, 6, 2), 100),
        (date(1956, 6, 1), 0),
        (date(1931, 1, 1), 0),
        (date(2015, 6, 1), 200),
    ],
)
def test_jiangmen_elders_pay_by_age_on_the_day_of_the_ride(birth: date, fen: int) -> None:
    assert charged(JIANGMEN, card(birth)) == fen


@pytest.mark.parametrize(
    ("birth", "category", "fen"),
    [
        (date(1990, 1, 1), "ordinary", 190),
        (date(2011, 1, 1), "student", 160),
        (date(2015, 6, 1), "student", 160),
        (date(2015, 6, 2), "student", 190),
        (date(2006, 6, 2), "student", 160),
        (date(2006, 6, 1), "student", 190),
        (date(1961, 6, 1), "ordinary", 100),
        (date(1951, 6, 1), "ordinary", 0),
    ],
)
def test_panan_shares_by_age_and_category(birth: date, category: str, fen: int) -> None:
    assert charged(PANAN, card(birth, category)) == fen


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
    tariff = Tariff(Scene.BUS, 0, FlatFare(200), (Concession("resident", 0, FUND, residents_only=True),))
    moved_in = Card("C", date(1990, 1, 1), (), (CategoryPeriod("ordinary", True, NOON),), 1, 1)
    assert charged(tariff, moved_in, at_ms=NOON - 1) == 200
    assert charged(tariff, moved_in, at_ms=NOON) == 0


@pytest.mark.parametrize(("rounding", "fen"), [(Rounding.DOWN, 100), (Rounding.HALF_UP, 101), (Rounding.UP, 101)])
def test_half_a_fen_is_rounded_as_the_tariff_says(rounding: Rounding, fen: int) -> None:
    assert rounding.percent_of(201, 50) == fen
    assert rounding.percent_of(200, 50) == 100


def test_a_named_price_is_what_the_merchant_says() -> None:
    tariff = Tariff(Scene.CAMPUS, 0, NamedPrice(20_000))
    assert tariff.rate(tap(price_fen=1250), card(date(1990, 1, 1)), {})[0] == Fare(1250, 1250, 0)


def test_a_price_change_takes_effect_by_event_time() -> None:
    old, new = Tariff(Scene.BUS, 1_000, FlatFare(100)), Tariff(Scene.BUS, 2_000, FlatFare(200))
    tariffs = Tariffs([new, old])
    assert tariffs.in_force(Scene.BUS, 999) is None
    assert tariffs.in_force(Scene.BUS, 1_000) is old
    assert tariffs.in_force(Scene.BUS, 1_999) is old
    assert tariffs.in_force(Scene.BUS, 2_000) is new
    assert tariffs.in_force(Scene.SCENIC, 2_000) is None


def test_the_service_day_is_shanghais() -> None:
    assert service_date(0) == date(1970, 1, 1)
    assert service_date(16 * 3_600_000 - 1) == date(1970, 1, 1)
    assert service_date(16 * 3_600_000) == date(1970, 1, 2)
