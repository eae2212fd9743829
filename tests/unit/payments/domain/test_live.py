"""Live windows: what is counted where, and what raises an alert."""

from collections.abc import Iterable, Iterator
from itertools import count

import pytest

from services.payments.domain.alert import Alert, AlertKind
from services.payments.domain.calendar import service_day
from services.payments.domain.live import LiveRules, LiveWindows, minute_of
from services.payments.domain.place import Place
from services.payments.domain.tap import Facts, Scene, Side, Tap, Terminal

MINUTE = 60_000
MIDNIGHT = 1_800_028_800_000 // 86_400_000 * 86_400_000 - 8 * 3_600_000
"""Of the city, not of UTC."""
NOON = MIDNIGHT + 12 * 60 * MINUTE
CARD, OTHER = b"c" * 16, b"o" * 16
RULES = LiveRules(card_taps=3, terminal_taps=5, places={"CAMPUS": Place(0, 0), "SITE": Place(0, 1)})
"""111.2 km apart: 22 minutes and 14.3 seconds at 300 km/h."""
_numbers = count(1)


def tap(
    scene: Scene = Scene.BUS,
    *,
    merchant: str = "BUS",
    terminal: str = "T1",
    at: int = NOON,
    price: int | None = None,
    line: str = "L1",
    riders: int = 1,
    side: Side = Side.SINGLE,
) -> Tap:
    facts = Facts(line=line, riders=riders, side=side) if scene is Scene.BUS else Facts()
    return Tap(Terminal(1, merchant, terminal, scene, 1, False), next(_numbers), b"", "C", at, price, facts)


def lunch(at: int, price: int | None = 500, merchant: str = "CAMPUS", terminal: str = "T1") -> Tap:
    return tap(Scene.CAMPUS, merchant=merchant, terminal=terminal, at=at, price=price)


def visit(at: int) -> Tap:
    return tap(Scene.SCENIC, merchant="SITE", at=at)


def counted(windows: LiveWindows, taps: Iterable[Tap], card: bytes = CARD, now: int = NOON) -> list[Alert]:
    return [alert for tap in taps for alert in windows.count(tap, card, now)]


def cards() -> Iterator[bytes]:
    return (number.to_bytes(16, "big") for number in count(1))


def test_riders_are_counted_by_line_and_minute() -> None:
    windows = LiveWindows(RULES)
    rides = [tap(at=NOON), tap(at=NOON + MINUTE - 1, riders=2), tap(at=NOON + MINUTE), tap(line="L2"), tap(side=Side.ENTRY)]
    for ride, card in zip(rides, cards(), strict=False):
        windows.count(ride, card, NOON + 2 * MINUTE)
    assert windows.riders.of(minute_of(NOON)) == {"L1": 4, "L2": 1}
    assert windows.riders.of(minute_of(NOON) + 1) == {"L1": 1}


def test_who_leaves_a_vehicle_rides_no_second_time_and_a_terminal_cannot_bend_a_figure() -> None:
    windows = LiveWindows(RULES)
    counted(
        windows,
        [tap(side=Side.EXIT), tap(riders=2**32 - 1), lunch(NOON, 20_001), lunch(NOON, 2**62), lunch(NOON, 0), lunch(NOON, -5)],
    )
    counted(windows, [lunch(NOON, 20_000, "SHOP"), tap(price=500, side=Side.EXIT)])
    assert windows.riders.of(minute_of(NOON)) == {"L1": 100}
    day = service_day(NOON)
    assert windows.takings.of(day) == {"SHOP": 20_000}
    assert windows.taps.of(day) == {"BUS": 3, "CAMPUS": 4, "SHOP": 1}


def test_takings_are_of_the_day_in_which_the_city_was() -> None:
    windows = LiveWindows(RULES)
    counted(windows, [lunch(MIDNIGHT - 1, 100), lunch(MIDNIGHT, 200), lunch(NOON, 400), visit(NOON - 60 * MINUTE)])
    today = service_day(MIDNIGHT)
    assert windows.takings.of(today - 1) == {"CAMPUS": 100}
    assert windows.takings.of(today) == {"CAMPUS": 600}
    assert windows.taps.of(today) == {"CAMPUS": 2, "SITE": 1}


def test_what_is_older_than_a_window_or_ahead_of_every_clock_is_not_counted_in_it() -> None:
    windows = LiveWindows(RULES)
    oldest = NOON - 60 * MINUTE
    ahead = NOON + RULES.clock_tolerance_ms
    counted(windows, [tap(at=oldest), tap(at=oldest - 1), tap(at=ahead), tap(at=ahead + 1)])
    assert [windows.riders.of(minute_of(at)) for at in (oldest, oldest - 1, ahead)] == [{"L1": 1}, {}, {"L1": 1}]
    counted(windows, [lunch(MIDNIGHT - 24 * 60 * MINUTE), lunch(MIDNIGHT - 24 * 60 * MINUTE - 1)])
    today = service_day(NOON)
    assert [windows.takings.of(day) for day in (today - 1, today - 2)] == [{"CAMPUS": 500}, {}]


def test_the_tap_after_the_last_ordinary_one_of_a_minute_is_a_burst_and_told_once() -> None:
    windows = LiveWindows(RULES)
    assert counted(windows, [tap(at=NOON + n, terminal=f"T{n}") for n in range(3)]) == []
    burst = counted(windows, [tap(at=NOON + n, terminal=f"T{n}") for n in (50, 40)])
    assert burst == [Alert(AlertKind.CARD_BURST, "BUS", "T50", NOON + 50, CARD)]
    assert counted(windows, [tap(at=NOON + MINUTE + n, terminal=f"T{n}") for n in range(3)], now=NOON + MINUTE) == []


def test_taps_on_both_sides_of_the_turn_of_a_minute_are_no_burst() -> None:
    windows = LiveWindows(RULES)
    assert counted(windows, [tap(at=NOON + MINUTE + n, terminal=f"T{n}") for n in (-2, -1, 0, 1)]) == []


def test_a_burst_of_a_terminal_names_no_card() -> None:
    windows = LiveWindows(RULES)
    alerts = [
        alert
        for card, at in zip(cards(), range(NOON, NOON + 7), strict=False)
        for alert in windows.count(tap(at=at), card, NOON)
    ]
    assert alerts == [Alert(AlertKind.TERMINAL_BURST, "BUS", "T1", NOON + 5)]


def test_what_is_told_late_is_no_burst() -> None:
    windows = LiveWindows(RULES)
    assert counted(windows, [tap(at=NOON - 6 * MINUTE + n, terminal=f"T{n}") for n in range(9)]) == []


@pytest.mark.parametrize(
    ("minutes", "kinds"), [(10, [AlertKind.IMPOSSIBLE_TRAVEL]), (22, [AlertKind.IMPOSSIBLE_TRAVEL]), (23, []), (-10, [AlertKind.IMPOSSIBLE_TRAVEL])]
)  # fmt: skip
def test_a_card_that_was_at_two_places_too_soon_raises_an_alert_in_whichever_order_it_is_told(
    minutes: int, kinds: list[AlertKind]
) -> None:
    windows = LiveWindows(RULES)
    start = NOON - 30 * MINUTE
    alerts = counted(windows, [lunch(start), visit(start + minutes * MINUTE)])
    assert [alert.kind for alert in alerts] == kinds
    assert {(alert.merchant_id, alert.card) for alert in alerts} <= {("SITE", CARD)}


def test_two_cards_or_two_vehicles_are_no_travel() -> None:
    windows = LiveWindows(RULES)
    assert counted(windows, [lunch(NOON)], CARD) + counted(windows, [visit(NOON)], OTHER) == []
    assert counted(windows, [tap(at=NOON), tap(merchant="FERRY", at=NOON)], b"v" * 16) == []


def test_a_merchant_that_has_no_place_any_more_is_left_out() -> None:
    windows = LiveWindows(RULES)
    windows.whereabouts.restore({"0": f"{CARD.hex()} {NOON} GONE"})
    assert counted(windows, [lunch(NOON)]) == []


def test_what_is_over_is_forgotten() -> None:
    windows = LiveWindows(LiveRules(card_taps=1, terminal_taps=1, places=RULES.places))
    counted(windows, [tap(at=NOON), lunch(NOON)])
    for part in (windows.riders, windows.taps, windows.takings, windows.cards, windows.terminals, windows.whereabouts):
        assert [value for _, value in part.changes() if value is None] == []
    windows.forget(NOON + 61 * MINUTE)
    assert [value for _, value in windows.riders.changes()] == [None]
    assert [value for _, value in windows.cards.changes()] == [None]
    assert [value for _, value in windows.terminals.changes()] == [None, None]
    assert [value for _, value in windows.whereabouts.changes()] == [None]
    assert list(windows.taps.changes()) == []
    windows.forget(MIDNIGHT + 2 * 24 * 60 * MINUTE)
    assert [value for _, value in windows.taps.changes()] == [None, None]
