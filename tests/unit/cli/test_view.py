"""Figures are shown to a person."""

from rich.console import Console

from cli.city.figures import Figures
from cli.city.view import counts, fen, line, picture, seconds, sparkline

BUSY = Figures(
    taps_per_second=512.4,
    posted=12_345,
    refused={"INSUFFICIENT_FUNDS": 10, "HOTLISTED": 2},
    dead_letters={"UNDECODABLE": 1},
    p50_seconds=0.058,
    p99_seconds=1.25,
    lag_seconds=0.1,
    imbalance_fen=0,
    projection_age_seconds=0.7,
    history=(0, 256, 512),
)


def test_sparkline_rises_to_a_full_bar() -> None:
    assert sparkline([0, 1, 2, 4]) == "▁▃▅█"


def test_sparkline_of_silence_is_flat() -> None:
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""


def test_durations_and_amounts_are_readable() -> None:
    assert [seconds(value) for value in (None, 0.058, 1.25, 600)] == ["–", "58 ms", "1.2 s", "10 min"]
    assert [fen(value) for value in (None, 0, -123456)] == ["–", "¥0.00", "¥-1,234.56"]


def test_reasons_stand_behind_their_sum() -> None:
    assert counts({"INSUFFICIENT_FUNDS": 10, "HOTLISTED": 2}) == "12 (INSUFFICIENT_FUNDS 10, HOTLISTED 2)"
    assert counts({}) == "0"


def test_a_line_says_everything() -> None:
    said = line(BUSY)
    for part in ("512 taps/s", "posted 12,345", "refused 12", "dead letters 1 (UNDECODABLE 1)", "p50 58 ms", "imbalance ¥0.00"):
        assert part in said


def test_the_picture_shows_addresses_and_how_to_end_it() -> None:
    console = Console(width=120, record=True, file=None, quiet=True)
    with console.capture() as shown:
        console.quiet = False
        console.print(picture(BUSY, "onecard", {"payments-1": "http://127.0.0.1:20001/metrics"}, ["taps was started again"]))
    text = shown.get()
    for part in (
        "512",
        "insufficient funds",
        "http://127.0.0.1:20001/metrics",
        "taps was started again",
        "Ctrl-C ends the city",
    ):
        assert part in text


def test_the_picture_of_a_city_that_has_just_begun_is_drawn() -> None:
    console = Console(width=60)
    with console.capture() as shown:
        console.print(picture(Figures(), "onecard", {}, []))
    assert "taps a second" in shown.get()
