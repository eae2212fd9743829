"""`onecard tariff compare`: the same taps under two tariffs, exact to the fen."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.tariff import plotting
from cli.tariff.comparing import Comparison, Rider, compare
from cli.tariff.reading import read_file
from cli.tariff.taps import Taps, TapsFileError, WrongRow, read_taps
from services.payments.domain.tap import Scene
from services.payments.domain.tariff import Tariff
from services.payments.domain.verdict import Reason

TARIFFS = Path(__file__).parents[3] / "tariffs"
EXAMPLE = TARIFFS / "example-taps.csv"
FUND = 1
THREE_RIDERS = """card,born,category,time,line,vehicle
B,1950-01-01,ordinary,2026-06-01 09:00,1,V1
A,1990-01-01,student,2026-06-01 08:11,2,V2
A,1990-01-01,student,2026-06-01 08:10,2,V2
A,1990-01-01,student,2026-06-01 08:00,1,V1
C,1962-06-01,ordinary,2026-06-01 09:00:30,four-yuan,V3
"""


def tariff(file: str) -> Tariff:
    return read_file(TARIFFS / file).tariff


def taps_of(tmp_path: Path, text: str | bytes) -> tuple[Taps, list[WrongRow]]:
    file = tmp_path / "taps.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    wrong: list[WrongRow] = []
    return read_taps(file, Scene.BUS, wrong.append), wrong


def compared(tmp_path: Path, old: str, new: str, text: str) -> Comparison:
    taps, wrong = taps_of(tmp_path, text)
    assert wrong == []
    return compare(tariff(old), tariff(new), taps)


def run(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["tariff", "compare", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_totals_are_those_that_a_hand_computes(tmp_path: Path) -> None:
    # Guangzhou: A rides three times for 2.00, B for nothing, C for half.
    # Hangzhou: A rides for 1.80, transfers for nothing, and is refused in the same vehicle; B 1.80; C 4.00 less 10 %.
    found = compared(tmp_path, "guangzhou/bus.toml", "hangzhou/bus.toml", THREE_RIDERS)
    assert (found.old.paid_fen, dict(found.old.shares_fen), found.old.earned_fen) == (700, {FUND: 300}, 1000)
    assert (found.new.paid_fen, dict(found.new.shares_fen), found.new.earned_fen) == (720, {}, 720)
    assert (found.old.refused.total(), dict(found.new.refused)) == (0, {Reason.SAME_PLACE_TOO_SOON: 1})
    assert sorted(found.riders) == [
        Rider("A", "student", "18 to 59", 600, 180),
        Rider("B", "ordinary", "70 and above", 0, 180),
        Rider("C", "ordinary", "60 to 64", 100, 360),
    ]


def test_what_is_printed_is_what_was_computed(tmp_path: Path) -> None:
    file = tmp_path / "taps.csv"
    file.write_text(THREE_RIDERS)
    status, output, _ = run(TARIFFS / "guangzhou/bus.toml", TARIFFS / "hangzhou/bus.toml", "--taps", file)
    rows = [line.split() for line in output.splitlines()]
    assert status == 0
    for row in (
        "riders pay 7.00 7.20 +0.20",
        "concession_fund pays 3.00 0.00 -3.00",
        "hotlist_losses pays 0.00 0.00 0.00",
        "merchants get 10.00 7.20 -2.80",
        "refused taps 0 1 +1",
        "same-place-too-soon 0 1 +1",
        "riders who pay more 2, less 1, the same 0",
        "the largest change to more: card C, +2.60 (1.00 becomes 3.60)",
        "the largest change to less: card A, -4.20 (6.00 becomes 1.80)",
        "ordinary 2 1.00 5.40 +4.40 2 0 0",
        "student 1 6.00 1.80 -4.20 0 1 0",
        "60 to 64 1 1.00 3.60 +2.60 1 0 0",
        "70 and above 1 0.00 1.80 +1.80 1 0 0",
    ):
        assert row.split() in rows


def test_rides_without_their_exit_cost_the_most_and_the_last_one_is_awaited(tmp_path: Path) -> None:
    rides = """card,time,stop,side
A,2026-03-01 08:00,km 0,entry
A,2026-03-02 08:00,km 0,entry
A,2026-03-02 08:30,km 6,exit
A,2026-03-03 08:00,km 0,entry
A,2026-03-03 09:00,nowhere,exit
"""
    found = compared(tmp_path, "beijing/metro.toml", "beijing/metro.toml", rides)
    assert found.old == found.new
    assert (found.old.paid_fen, found.old.unmatched, found.old.awaited, found.old.without_price) == (1100, 1, 1, 1)


def test_validity_dates_are_not_looked_at(tmp_path: Path) -> None:
    found = compared(tmp_path, "guangzhou/bus.toml", "panan/bus.toml", "card,time\nA,1999-12-31 08:00\n")
    assert (found.old.paid_fen, found.new.paid_fen) == (200, 200)


def test_taps_of_other_merchants_have_no_price(tmp_path: Path) -> None:
    library = tariff("example-campus/library.toml")
    taps, _ = taps_of(tmp_path, "card,time,merchant\nA,2026-03-01 08:00,library\nA,2026-03-01 08:00,shop\n")
    assert compare(library, library, taps).old.without_price == 1


@pytest.mark.parametrize("city", ["guangzhou", "hangzhou", "jiangmen", "panan"])
def test_riders_and_funds_pay_together_what_merchants_get(city: str) -> None:
    wrong: list[WrongRow] = []
    taps = read_taps(EXAMPLE, Scene.BUS, wrong.append)
    found = compare(tariff("jiangmen/bus.toml"), tariff(f"{city}/bus.toml"), taps)
    assert (wrong, len(taps), len(found.riders)) == ([], 200, 20)
    for totals in (found.old, found.new):
        assert totals.paid_fen + totals.shares_fen.total() == totals.earned_fen
    assert sum(rider.new_fen for rider in found.riders) == found.new.paid_fen
    assert sum(rider.change_fen for rider in found.riders) == found.new.paid_fen - found.old.paid_fen


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ("A,1990-01-01,2026-13-01 08:00,,", "time", "'2026-13-01 08:00' is no time"),
        ("A,1990-01-01,,,", "time", "'' is no time"),
        (",1990-01-01,2026-03-01 08:00,,", "card", "is empty"),
        ("B,01.02.1990,2026-03-01 08:00,,", "born", "'01.02.1990' is no date"),
        ("A,1990-01-01,2026-03-01 08:00,-5,", "price", "'-5' is not a whole number of fen"),
        ("A,1990-01-01,2026-03-01 08:00,,both", "side", "'both' is none of single, entry, exit"),
        ("A,1990-01-02,2026-03-01 08:00,,", "born", "is '1990-01-02', but '1990-01-01' in line 2 of the same card"),
        ("A,1990-01-01", "the row", "has 2 cells, and the header 5"),
        ('A,"1990-01-01,2026-03-01 08:00,,', "the row", "unexpected end of data"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_the_next_one_is_read(tmp_path: Path, row: str, column: str, message: str) -> None:
    good = "A,1990-01-01,2026-03-01 08:00,,"
    taps, wrong = taps_of(tmp_path, f"card,born,time,price,side\n{good}\n{row}\n\n{good}\n")
    assert [(found.line, found.column) for found in wrong] == [(3, column)]
    assert wrong[0].message.startswith(message)
    assert (len(taps), taps.wrong) == (2, 1)


def test_a_row_that_is_not_text_is_named(tmp_path: Path) -> None:
    taps, wrong = taps_of(tmp_path, b"card,time\n\xff,2026-03-01 08:00\nA,2026-03-01 08:00\n")
    assert wrong == [WrongRow(2, "the row", "is not UTF-8")]
    assert len(taps) == 1


def test_a_file_from_a_spreadsheet_can_be_read(tmp_path: Path) -> None:
    taps, wrong = taps_of(tmp_path, b'\xef\xbb\xbftime,card\r\n2026-03-01T08:00:00,"A, the first"\r\n')
    assert wrong == []
    assert [name for name, _ in taps.riders()] == ["A, the first"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("card,time,colour", "'colour' is no column of taps; there are card, time, born"),
        ("card,time,card", "the column 'card' stands there twice"),
        ("card,line", "the column 'time' is missing"),
        ("", "the column 'card' is missing"),
    ],
)
def test_a_header_that_is_wrong_is_told_what_is_allowed(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(TapsFileError, match=r"taps\.csv:1: "):
        taps_of(tmp_path, header + "\n")
    status, _, errors = run(TARIFFS / "panan/bus.toml", TARIFFS / "panan/bus.toml", "--taps", tmp_path / "taps.csv")
    assert status == 1
    assert message in errors


def test_wrong_rows_end_it_unless_they_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "taps.csv"
    file.write_text("card,time\nA,2026-03-01 08:00\nA,today\nA,\n")
    both = (TARIFFS / "panan/bus.toml", TARIFFS / "hangzhou/bus.toml", "--taps", file)
    status, output, errors = run(*both)
    assert (status, output) == (1, "")
    assert errors.splitlines() == [
        f"{file}:3: time: 'today' is no time like 2026-06-01 08:00, with seconds or without",
        f"{file}:4: time: '' is no time like 2026-06-01 08:00, with seconds or without",
        "2 wrong rows: nothing is compared; --skip-bad leaves such rows out",
    ]
    status, output, _ = run(*both, "--skip-bad")
    assert status == 0
    assert "2 wrong rows left out" in output
    assert "1 tap of 1 rider;" in output


def test_fifty_wrong_rows_are_named_and_all_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "taps.csv"
    file.write_text("card,time\n" + "A,today\n" * 60)
    status, _, errors = run(TARIFFS / "panan/bus.toml", TARIFFS / "panan/bus.toml", "--taps", file)
    *named, others, count = errors.splitlines()
    assert (status, len(named), named[-1].split(" ")[0]) == (1, 50, f"{file}:51:")
    assert others == "and so on: the others are counted, not named"
    assert count.startswith("60 wrong rows")


def test_a_file_without_rows_has_no_riders(tmp_path: Path) -> None:
    found = compared(tmp_path, "panan/bus.toml", "panan/bus.toml", "card,time\n")
    assert (found.taps, found.riders) == (0, [])


def test_two_scenes_are_not_compared() -> None:
    status, _, errors = run(TARIFFS / "panan/bus.toml", TARIFFS / "shenzhen/scenic.toml", "--taps", EXAMPLE)
    assert status == 2
    assert "compare two of one scene" in errors


@pytest.mark.parametrize(("suffix", "begins"), [("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_spread_of_the_changes_is_drawn(tmp_path: Path, suffix: str, begins: bytes) -> None:
    picture = tmp_path / f"changes.{suffix}"
    both = (TARIFFS / "jiangmen/bus.toml", TARIFFS / "hangzhou/bus.toml")
    assert run(*both, "--taps", EXAMPLE, "--plot", picture)[0] == 0
    assert picture.read_bytes().startswith(begins)


def test_a_picture_that_cannot_be_drawn_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (TARIFFS / "jiangmen/bus.toml", TARIFFS / "hangzhou/bus.toml")
    assert "a plot is a file that ends with .pdf, .png, .svg" in run(*both, "--taps", EXAMPLE, "--plot", tmp_path / "a.gif")[2]
    monkeypatch.setattr(plotting, "find_spec", lambda _: None)
    status, _, errors = run(*both, "--taps", EXAMPLE, "--plot", tmp_path / "a.png")
    assert (status, errors) == (1, f"{plotting.MISSING}\n")
