"""The published rules of cities, each with its vectors: the fen, the birthday, the last second."""

from datetime import date

import pytest

from services.payments.domain.rating.rule import Fare
from services.payments.domain.tap import CardForm, Side
from services.payments.domain.verdict import Reason
from tests.unit.payments.tariffs.rider import FUND, Rider, at, read

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def journey(rider: Rider, to: str, time: int) -> int:
    assert rider.pay(time, stop="km 0", side=Side.ENTRY) == 0
    return rider.pay(time + 30 * MINUTE, stop=to, side=Side.EXIT)


@pytest.mark.parametrize(
    ("to", "fen"),
    [("km 6", 300), ("km 6.1", 400), ("km 22", 500), ("km 32.1", 700), ("km 52", 700), ("km 52.1", 800)],
)
def test_beijing_metro_costs_by_distance(to: str, fen: int) -> None:
    assert journey(Rider(read("beijing/metro.toml")), to, at("2026-03-02 08:00")) == fen


def test_beijing_metro_is_cheaper_after_the_months_total() -> None:
    rider = Rider(read("beijing/metro.toml"))
    paid = [journey(rider, "km 22", at("2026-03-01 00:10") + trip * 5 * 60 * MINUTE) for trip in range(134)]
    assert sum(paid[:20]) == 10_000
    assert (paid[19], paid[20]) == (500, 400)
    assert (sum(paid[:33]), paid[32], paid[33]) == (15_200, 400, 250)
    assert (sum(paid[:133]), paid[132], paid[133]) == (40_200, 250, 500)
    assert journey(rider, "km 22", at("2026-04-01 00:00")) == 500


def test_a_month_ends_at_midnight_in_the_city() -> None:
    rider = Rider(read("beijing/metro.toml"), state={"month": [2026 * 12 + 2, 10_000]})
    rider.pay("2026-03-31 23:30", stop="km 0", side=Side.ENTRY)
    assert rider.pay("2026-03-31 23:59:59", stop="km 22", side=Side.EXIT) == 400
    rider.pay("2026-03-31 23:59:59", stop="km 0", side=Side.ENTRY)
    assert rider.pay("2026-04-01 00:00", stop="km 22", side=Side.EXIT) == 500


def test_hangzhou_is_cheaper_the_more_was_paid() -> None:
    rider = Rider(read("hangzhou/bus.toml"))
    paid = [rider.pay(at("2026-03-01 08:00") + trip * 3 * 60 * MINUTE, line="four-yuan") for trip in range(33)]
    assert (sum(paid[:14]), paid[13], paid[14]) == (5_040, 360, 280)
    assert (sum(paid[:32]), paid[31], paid[32]) == (10_080, 280, 200)


@pytest.mark.parametrize(
    ("minutes", "line", "fen"),
    [(3, "two", 0), (90, "two", 0), (3, "four-yuan", 180), (91, "two", 180)],
)
def test_hangzhou_takes_two_yuan_off_a_transfer(minutes: int, line: str, fen: int) -> None:
    rider = Rider(read("hangzhou/bus.toml"))
    start = at("2026-03-01 08:00")
    assert rider.pay(start, line="first", vehicle="A") == 180
    assert rider.pay(start + minutes * MINUTE, line=line, vehicle="B") == fen


def test_hangzhou_takes_it_off_once() -> None:
    rider = Rider(read("hangzhou/bus.toml"))
    assert [rider.pay(f"2026-03-01 08:{m:02}", line=str(m), vehicle=str(m)) for m in (0, 10, 20, 30)] == [180, 0, 180, 0]


def test_hangzhou_refuses_the_same_vehicle_for_five_minutes() -> None:
    rider = Rider(read("hangzhou/bus.toml"))
    assert rider.pay("2026-03-01 08:00", vehicle="A") == 180
    assert rider.tap("2026-03-01 08:04:59", vehicle="A") is Reason.SAME_PLACE_TOO_SOON
    assert isinstance(rider.tap("2026-03-01 08:04:59", vehicle="B"), Fare)
    assert isinstance(rider.tap("2026-03-01 08:05", vehicle="A"), Fare)


@pytest.mark.parametrize(("boards", "fen"), [("09:30:00", 100), ("09:30:01", 200)])
def test_ningbo_counts_ninety_minutes_from_the_rail_entry(boards: str, fen: int) -> None:
    rider = Rider(read("ningbo/bus-and-rail.toml"))
    rider.pay("2026-03-02 08:00", line="metro", stop="Gulou", side=Side.ENTRY)
    assert rider.pay("2026-03-02 08:40", line="metro", stop="Tianyi Square", side=Side.EXIT) == 200
    assert rider.pay(f"2026-03-02 {boards}", line="12") == fen


def test_ningbo_takes_it_off_the_rail_fare_when_the_bus_came_first() -> None:
    rider = Rider(read("ningbo/bus-and-rail.toml"))
    assert rider.pay("2026-03-02 08:00", line="12") == 200
    rider.pay("2026-03-02 09:30", line="metro", stop="Gulou", side=Side.ENTRY)
    assert rider.pay("2026-03-02 10:10", line="metro", stop="Tianyi Square", side=Side.EXIT) == 100


@pytest.mark.parametrize(
    ("born", "fen"),
    [(date(1966, 6, 2), 200), (date(1966, 6, 1), 100), (date(1961, 6, 2), 100), (date(1961, 6, 1), 0)],
)
@pytest.mark.parametrize("file", ["guangzhou/bus.toml", "jiangmen/bus.toml"])
def test_elders_ride_for_half_from_60_and_free_from_65(file: str, born: date, fen: int) -> None:
    rider = Rider(read(file), born=born)
    fare = rider.tap("2026-06-01 00:00")
    assert isinstance(fare, Fare)
    assert (fare.fare_fen, fare.charged_fen) == (200, fen)
    assert fare.shares == (((FUND, 200 - fen),) if fen < 200 else ())


@pytest.mark.parametrize(
    ("born", "category", "fen"),
    [
        (date(1990, 1, 1), "ordinary", 190),
        (date(2020, 6, 1), "student", 160),
        (date(2020, 6, 2), "student", 190),
        (date(2011, 6, 2), "student", 160),
        (date(2011, 6, 1), "student", 190),
        (date(1966, 6, 2), "ordinary", 190),
        (date(1966, 6, 1), "ordinary", 100),
        (date(1956, 6, 2), "ordinary", 100),
        (date(1956, 6, 1), "ordinary", 0),
    ],
)
def test_panan_by_age_and_category(born: date, category: str, fen: int) -> None:
    assert Rider(read("panan/bus.toml"), born, category).pay("2026-06-01 12:00") == fen


def test_panan_gives_nothing_to_a_card_of_the_second_generation() -> None:
    assert Rider(read("panan/bus.toml"), form=CardForm.SECOND_GENERATION).pay("2026-06-01 12:00") == 200


def test_london_caps_zones_1_to_3_and_adds_extensions() -> None:
    rider = Rider(read("london/underground.toml"))
    day = [("04:30", "zones 1-3"), ("09:00", "extension"), ("12:00", "zones 1-3"), ("18:00", "zones 1-3")]
    paid = [rider.pay(f"2019-06-03 {time}", line=line) for time, line in day]
    assert paid == [330, 400, 330, 210]
    assert rider.pay("2019-06-04 04:29:59", line="zones 1-3") == 0
    assert rider.pay("2019-06-04 00:30", line="extension") + sum(paid) == 1670
    assert rider.pay("2019-06-04 04:30", line="zones 1-3") == 330


def test_suzhou_refuses_visit_101_of_a_pass() -> None:
    rider = Rider(read("suzhou/gardens.toml"))
    start = at("2026-01-01 09:00")
    assert rider.pay(start, ticket="annual pass", merchant="office") == 12_000
    assert [rider.pay(start + day * DAY, merchant="garden") for day in range(1, 101)] == [0] * 100
    assert rider.tap(start + 101 * DAY, merchant="garden") is Reason.PASS_USED_UP
    assert rider.pay(start + 101 * DAY, ticket="annual pass", merchant="office") == 12_000
    assert rider.pay(start + 101 * DAY, merchant="garden") == 0


def test_suzhou_ends_a_pass_after_its_last_day() -> None:
    rider = Rider(read("suzhou/gardens.toml"))
    start = at("2026-01-01 09:00")
    rider.pay(start, ticket="annual pass", merchant="office")
    assert rider.tap(start + 1, ticket="annual pass", merchant="another office") is Reason.PASS_STILL_VALID
    assert rider.pay(start + 365 * DAY - 1, merchant="garden") == 0
    assert rider.pay(start + 365 * DAY, merchant="other garden") == 7_000


def test_suzhou_lets_nobody_in_twice_a_day() -> None:
    rider = Rider(read("suzhou/gardens.toml"))
    rider.pay("2026-01-01 09:00", ticket="annual pass", merchant="office")
    assert rider.pay("2026-01-02 00:00", merchant="garden") == 0
    assert rider.tap("2026-01-02 23:59:59", merchant="garden") is Reason.OVER_PERIOD_COUNT
    assert rider.pay("2026-01-02 12:00", merchant="other garden") == 0
    assert rider.pay("2026-01-03 00:00", merchant="garden") == 0


@pytest.mark.parametrize(
    ("born", "fen"),
    [(date(1961, 6, 2), 10_000), (date(1961, 6, 1), 5_000), (date(1956, 6, 2), 5_000), (date(1956, 6, 1), 0)],
)
def test_shenzhen_scenic_site(born: date, fen: int) -> None:
    rider = Rider(read("shenzhen/scenic.toml"), born)
    fare = rider.tap("2026-06-01 12:00")
    assert fare == Fare(fen, fen)


def test_a_canteen_takes_twenty_yuan_a_day_and_not_a_fen_more() -> None:
    rider = Rider(read("example-campus/canteen.toml"))
    assert rider.tap("2026-03-02 07:00", 2001) is Reason.OVER_PERIOD_LIMIT
    assert rider.pay("2026-03-02 07:00", 1200) == 1200
    assert rider.tap("2026-03-02 12:00", 801) is Reason.OVER_PERIOD_LIMIT
    assert rider.pay("2026-03-02 12:00", 800) == 800
    assert rider.tap("2026-03-02 18:00", 1) is Reason.OVER_PERIOD_LIMIT
    assert rider.pay("2026-03-03 00:00", 2000) == 2000


def test_a_canteen_refuses_the_sixth_tap_of_a_day() -> None:
    rider = Rider(read("example-campus/canteen.toml"))
    assert [rider.pay(f"2026-03-02 12:0{n}", 100) for n in range(5)] == [100] * 5
    assert rider.tap("2026-03-02 12:06", 100) is Reason.OVER_PERIOD_COUNT
    assert rider.tap("2026-03-02 12:06", 0) is Reason.BAD_PRICE


def test_a_library_lends_two_books_and_none_while_one_is_overdue() -> None:
    rider = Rider(read("example-campus/library.toml"))
    assert rider.pay("2026-03-01 10:00", item="A") == 0
    assert rider.pay("2026-03-02 10:00", item="B") == 0
    assert rider.tap("2026-03-03 10:00", item="C") is Reason.TOO_MANY_LOANS
    assert rider.pay("2026-03-04 10:00", item="B", returned=True) == 0
    assert rider.tap("2026-03-31 10:00:00.001", item="C") is Reason.LOAN_OVERDUE
    assert rider.pay("2026-03-31 10:00", item="C") == 0
    assert rider.pay("2026-04-02 10:00", item="A", returned=True) == 0


def test_a_dormitory_lets_nobody_in_at_night() -> None:
    rider = Rider(read("example-campus/dormitory.toml"))
    assert rider.tap("2026-03-01 05:59:59", outlet="EAST") is Reason.OUTSIDE_HOURS
    assert rider.pay("2026-03-01 06:00", outlet="EAST") == 0
    assert rider.pay("2026-03-01 22:59:59", outlet="EAST") == 0
    assert rider.tap("2026-03-01 23:00", outlet="EAST") is Reason.OUTSIDE_HOURS


def test_a_students_lunch_is_cheaper_once_a_day_and_the_fund_pays_the_difference() -> None:
    student = Rider(read("jiangmen/campus.toml"), category="student")
    assert student.tap("2026-03-02 10:29:59", 900) == Fare(900, 900)
    assert student.tap("2026-03-02 10:30", 150) == Fare(150, 0, ((FUND, 150),))
    assert student.tap("2026-03-02 13:29:59", 900) == Fare(900, 850, ((FUND, 50),))
    assert student.tap("2026-03-02 13:29:59", 900) == Fare(900, 900)
    assert student.tap("2026-03-03 12:00", 900) == Fare(900, 700, ((FUND, 200),))
    assert Rider(read("jiangmen/campus.toml")).tap("2026-03-02 12:00", 900) == Fare(900, 900)


def test_a_garden_with_a_quota_sells_tickets_and_passes_like_any_other() -> None:
    elder = Rider(read("example-site/garden.toml"), born=date(1961, 5, 1))
    assert elder.pay("2026-04-30 09:00") == 2_000
    assert elder.pay("2026-05-01 09:00") == 1_000
    visitor = Rider(read("example-site/garden.toml"))
    assert visitor.pay("2026-05-01 09:00", ticket="annual pass") == 10_000
    assert visitor.pay("2026-05-01 09:05") == 0
    assert visitor.pay("2027-05-01 09:00") == 2_000


def test_jiangmen_takes_a_yuan_off_a_transfer_and_rides_get_cheaper_in_a_month() -> None:
    rider = Rider(read("jiangmen/bus.toml"))
    assert [rider.pay(f"2026-03-02 08:{m}", line=line) for m, line in (("00", "A"), ("30", "B"), ("40", "C"))] == [
        200,
        100,
        200,
    ]
    rides = [rider.pay(at("2026-03-03 00:00") + n * 2 * 60 * MINUTE, line="A") for n in range(80)]
    paid = 500
    for fare in rides:
        assert fare == (200 if paid < 6_000 else 160 if paid < 12_000 else 120)
        paid += fare
    assert rides[-1] == 120
