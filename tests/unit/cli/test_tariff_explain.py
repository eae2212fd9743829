"""`onecard tariff explain`: how a fare comes about, and what is remembered after it."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

TARIFFS = Path(__file__).parents[3] / "tariffs"


def explain(file: str | Path, *trips: str, rider: str = "born=1990-01-01") -> list[list[str]]:
    """The lines of each trip."""
    options = [word for trip in trips for word in ("--trip", trip)]
    result = CliRunner(env={"COLUMNS": "250"}).invoke(
        app, ["tariff", "explain", str(TARIFFS / file), "--rider", rider, *options]
    )
    assert result.exit_code == 0, result.output
    parts = [[line.strip() for line in part.splitlines()] for part in result.stdout.split("\n\n")]
    return parts[1:]


def refused(*options: str) -> str:
    result = CliRunner(env={"COLUMNS": "250"}).invoke(app, ["tariff", "explain", str(TARIFFS / "panan/bus.toml"), *options])
    assert result.exit_code == 2
    return result.output


def test_trip_21_of_a_month_in_the_metro_of_beijing_costs_four_yuan() -> None:
    trips = []
    for number in range(21):
        enters = datetime(2026, 3, 1, 0, 10) + timedelta(hours=5 * number)  # noqa: DTZ001 - told as the city's time
        trips.append(f"{enters:%Y-%m-%d %H:%M} stop='km 0' side=entry")
        trips.append(f"{enters + timedelta(minutes=30):%Y-%m-%d %H:%M} stop='km 22' side=exit")
    *_, twenty, _, twenty_one, together = explain("beijing/metro.toml", *reversed(trips))
    assert "= the rider pays 5.00; the merchant gets 5.00" in twenty
    assert "remembered: month: 2026-03: 100.00 sum paid" in twenty
    assert twenty_one[1:] == [
        "step   rider pays  why",
        "price        5.00  km 0 to km 22, 22 km",
        "month        4.00  −1.00: by the sum paid in a month: from 0.00 100 %, from 100.00 80 %, from 150.00 50 %, "
        "from 400.00 100 %; the total before the ride says which; the merchant earns less",
        "= the rider pays 4.00; the merchant gets 4.00",
        "remembered: month: 2026-03: 104.00 sum paid",
    ]
    assert together == ["together: the rider pays 104.00, merchants get 104.00"]


@pytest.mark.parametrize(("boards", "yuan"), [("09:30:00", "1.00"), ("09:30:01", "2.00")])
def test_ningbo_counts_ninety_minutes_to_the_second(boards: str, yuan: str) -> None:
    metro = ["2026-03-02 08:00 line=metro stop=Gulou side=entry", "2026-03-02 08:40 line=metro stop='Tianyi Square' side=exit"]
    *_, bus, _ = explain("ningbo/bus-and-rail.toml", *metro, f"2026-03-02 {boards} line=12")
    assert f"= the rider pays {yuan}; the merchant gets {yuan}" in bus


def test_who_bears_what_is_said_with_the_concession_that_applied() -> None:
    trip, together = explain("jiangmen/bus.toml", "2026-06-01 08:00 line=12 riders=1", rider="born=1961-06-01 category=student")
    assert "from 65 free        0.00  −2.00: age 65 and above: pays 0 %, concession_fund pays the rest" in trip
    assert "= the rider pays 0.00, concession_fund pays 2.00; the merchant gets 2.00" in trip
    assert together == ["together: the rider pays 0.00, concession_fund pays 2.00, merchants get 2.00"]


def test_who_told_nothing_of_birth_is_told_that_no_concession_is_given() -> None:
    result = CliRunner().invoke(app, ["tariff", "explain", str(TARIFFS / "jiangmen/bus.toml"), "--trip", "2026-06-01 08:00"])
    assert "no birth date is known: no concession is given" in result.stdout


def test_an_entry_whose_exit_is_missing_stands_at_nothing() -> None:
    trip, _ = explain("beijing/metro.toml", "2026-03-01 08:00 stop='km 0' side=entry")
    assert trip[2:] == [
        "price        0.00  an entry; the exit pays",
        "month        0.00  changes nothing",
        "exit awaited: 0.00 so far",
        "remembered: ride: entered at km 0, 2026-03-01 08:00; exit awaited",
    ]


def test_an_entry_costs_the_most_once_a_later_tap_shows_that_no_exit_came() -> None:
    entry, *_ = explain(
        "beijing/metro.toml", "2026-03-01 08:00 stop='km 0' side=entry", "2026-03-02 08:00 stop='km 0' side=entry"
    )
    assert "price        8.00  no exit of this ride came: the highest price" in entry
    assert "= the rider pays 8.00; the merchant gets 8.00" in entry
    assert "remembered: month: 2026-03: 8.00 sum paid" in entry


def test_an_exit_that_comes_too_late_costs_the_most_again() -> None:
    _, late, together = explain(
        "beijing/metro.toml", "2026-03-01 08:00 stop='km 0' side=entry", "2026-03-01 12:00:01 stop='km 6' side=exit"
    )
    assert "price        8.00  too late for the entry at 2026-03-01 08:00: the highest price" in late
    assert together == ["together: the rider pays 16.00, merchants get 16.00"]


def test_a_refusal_is_said_in_words_and_counts_for_nothing() -> None:
    first = "2026-03-01 08:00 vehicle=A"
    _, again, together = explain("hangzhou/bus.toml", first, "2026-03-01 08:04:59 vehicle=A")
    assert "refused: same-place-too-soon: it was accepted at the same place a moment ago" in again
    assert together == ["together: the rider pays 1.80, merchants get 1.80; 1 refused"]


def test_what_a_library_remembers_is_said_with_its_day() -> None:
    first, back, _ = explain("example-campus/library.toml", "2026-03-01 10:00 item=A", "2026-03-02 10:00 item=A returned")
    assert "remembered: books: A until 2026-03-31 10:00" in first
    assert "remembered: books: nothing on loan" in back


def test_what_a_canteen_and_a_garden_remember_is_said() -> None:
    lunch, _ = explain("example-campus/canteen.toml", "2026-03-01 12:00 price=1200")
    assert "remembered: day: 2026-03-01: 1 tap, 12.00" in lunch
    bought, visit, _ = explain(
        "suzhou/gardens.toml", "2026-03-01 09:00 merchant=office ticket='annual pass'", "2026-03-02 09:00 merchant=garden"
    )
    assert "remembered: pass: bought 2026-03-01 09:00, valid until 2027-03-01 09:00, 0 of 100 visits" in bought
    assert "remembered: pass: bought 2026-03-01 09:00, valid until 2027-03-01 09:00, 1 of 100 visits" in visit
    assert "remembered: site: 2026-03-02: garden 1 tap, 0.00" in visit


@pytest.mark.parametrize(
    ("file", "trip", "why"),
    [
        ("ningbo/bus-and-rail.toml", "line=metro stop=Nowhere side=entry", "the stop 'Nowhere' is on no track"),
        ("ningbo/bus-and-rail.toml", "line=metro", "a ride of this line is an entry and an exit: say side=entry or side=exit"),
        ("ningbo/bus-and-rail.toml", "line=12 side=exit", "one tap is a ride here: no side=exit"),
        ("suzhou/gardens.toml", "ticket=child", "there is no ticket 'child'; there are the ordinary one, annual pass"),
        ("example-campus/library.toml", "merchant=canteen", "the tariff is for library"),
    ],
)
def test_a_trip_without_a_price_is_told_why(file: str, trip: str, why: str) -> None:
    assert f"no price: {why}" in explain(file, f"2026-03-01 08:00 {trip}")[0]


def test_a_trip_at_which_the_tariff_is_not_in_force_is_marked() -> None:
    assert (
        "at this time the tariff is not in force; it is rated as if it were" in explain("panan/bus.toml", "2019-12-31 23:59")[0]
    )


@pytest.mark.parametrize(
    ("rider", "trip", "message"),
    [
        ("colour=red", "2026-06-01 08:00", "colour: is nothing that a rider has; the keys are born, category, resident, form"),
        ("born=yesterday", "2026-06-01 08:00", "born: 'yesterday' is no date like 1961-06-01"),
        ("resident=maybe", "2026-06-01 08:00", "resident: 'maybe' is none of no, yes"),
        ("form=paper", "2026-06-01 08:00", "form: 'paper' is none of second-generation, third-generation, electronic"),
        ("student", "2026-06-01 08:00", "student: a rider is told in words key=value"),
        ("form=electronic form=electronic", "2026-06-01 08:00", "form: is given twice"),
        ("", "2026-06-01", "time: '2026-06-01' has no time of day"),
        ("", "line=12", "time: '' is no time like 2026-06-01 08:00"),
        ("", "2026-06-01 08:00 side=left", "side: 'left' is none of single, entry, exit"),
        ("", "2026-06-01 08:00 riders=0", "riders: at least 1 rides on a card"),
        ("", "2026-06-01 08:00 price=12.00", "price: '12.00' is not a whole number of fen"),
        ("", "2026-06-01 08:00 bus=12", "bus: is nothing that a trip has; the keys are line, stop, side"),
        ("", "2026-06-01 08:00 line='12", "quotes: a quotation mark is not closed"),
    ],
)
def test_an_option_that_is_wrong_is_told_what_is_allowed(rider: str, trip: str, message: str) -> None:
    assert message in refused("--rider", rider, "--trip", trip)
