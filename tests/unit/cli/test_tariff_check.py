"""`onecard tariff check`: what a file means in plain words, or what is wrong with it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.tariff.reading import FUNDS
from cli.tariff.words import REASONS
from services.payments.domain import rating, tariff
from services.payments.domain.verdict import Reason

ROOT = Path(__file__).parents[3]
GOOD = """
city = "X"
scene = "bus"
source = "a test"
valid_from = 2020-01-01
valid_to = 2020-12-31
most_riders = 3
[price]
kind = "marginal"
most_minutes = 120
base_fen = 200
stretches = [{ from_metres = 4000, every_metres = 4000, fen = 100 }]
[[track]]
stops = ["a", "b"]
metres = [12000]
[[rule]]
kind = "concession"
name = "residents"
residents_only = true
pays_percent = 50
payer = "hotlist_losses"
[[rule]]
kind = "transfer"
name = "transfer"
within_minutes = 60
inclusive = false
same_line = true
transfers = 2
payer = "concession_fund"
[[rule]]
kind = "tiers"
name = "rides"
period = "week"
measure = "rides"
tiers = [{ begins = 0, pays_percent = 100 }, { begins = 10, pays_percent = 50 }]
payer = "operator"
[[rule]]
kind = "cap"
name = "cap"
period = "rolling"
rolling_minutes = 1440
most_rides = 8
modes = ["bus"]
payer = "operator"
[[rule]]
kind = "meals"
name = "meals"
closed_between = true
payer = "concession_fund"
[[rule.meal]]
name = "lunch"
begins = "11:00"
ends = "13:30"
most_taps = 1
subsidy_fen = 300
"""
MEANS = """
  X, bus, from 2020-01-01 to 2020-12-31; amounts in yuan
  source: a test
  price: by distance, at the exit, within 120 min of the entry: 2.00 to begin with, beyond 4 km 1.00 for each 4 km begun; where entry or exit is missing 4.00
  up to 3 ride on one card; companions pay the full price
  1. residents: residents only: pays 50 %, hotlist_losses pays the rest
  2. transfer: who boards again within 60 min (that instant no longer) after the last boarding pays 0 %, 2 times in a chain; concession_fund pays the rest
  3. rides: by the number of rides in a week: from 0 100 %, from 10 50 %; the total before the ride says which; the merchant earns less
  4. cap: above 8 rides in 1 day from the first tap (mode bus) rides are free; the merchant earns less
  5. meals: lunch 11:00–13:30, at most 1 purchase, concession_fund adds up to 3.00; closed between
"""


def check(*paths: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["tariff", "check", *map(str, paths)])
    return result.exit_code, result.output


def test_a_good_file_is_said_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(GOOD)
    assert check(file) == (0, f"{file}: good{MEANS}\n")


def test_all_tariffs_of_the_repository_are_good() -> None:
    status, output = check(ROOT / "tariffs")
    assert status == 0
    assert output.count(": good\n") == len(list((ROOT / "tariffs").rglob("*.toml")))
    assert "no words yet" not in output


def test_what_is_wrong_is_named_with_its_line_and_the_other_files_are_read(tmp_path: Path) -> None:
    wrong, good = tmp_path / "a.toml", tmp_path / "b.toml"
    wrong.write_text(GOOD.replace("pays_percent = 50\npayer", "pays_percent = 101\npayer"))
    good.write_text(GOOD)
    status, output = check(wrong, good)
    assert status == 1
    assert f"{wrong}:20: rule[0].pays_percent: Expected `int` <= 100" in output
    assert f"{good}: good" in output


def test_two_tariffs_of_a_city_that_begin_on_the_same_day_are_wrong(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    status, output = check(tmp_path)
    assert status == 1
    assert f"{tmp_path}/b.toml:5: valid_from: {tmp_path}/a.toml begins on the same day for scene 'bus'" in output


def test_two_cities_may_begin_on_the_same_day(tmp_path: Path) -> None:
    for city in ("one", "other"):
        (tmp_path / city).mkdir()
        (tmp_path / city / "bus.toml").write_text(GOOD)
    assert check(tmp_path)[0] == 0


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    assert check(tmp_path / "missing.toml") == (1, f"{tmp_path}/missing.toml: No such file or directory\n")
    assert check(tmp_path / "binary.toml") == (1, f"{tmp_path}/binary.toml: is not UTF-8 from byte 0 on\n")
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty") == (1, f"{tmp_path}/empty: no tariff file (*.toml) in it\n")


def test_a_payer_that_is_no_fund_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(GOOD.replace("hotlist_losses", "nobody"))
    assert "'nobody' is no fund; there are ['concession_fund', 'hotlist_losses'], and 'operator'" in check(tmp_path)[1]


def test_the_funds_are_those_of_the_ledger() -> None:
    migration = (ROOT / "services/payments/migrations/versions/0001_ledger.py").read_text(encoding="utf-8")
    assert set(re.findall(r"\(\d+, [34], '(\w+)'", migration)) == set(FUNDS)


@pytest.mark.parametrize("module", [rating, tariff])
def test_every_reason_that_a_tariff_gives_has_words(module: object) -> None:
    path = Path(str(getattr(module, "__file__", "")))
    sources = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
    given = {name for source in sources for name in re.findall(r"Reason\.([A-Z_]+)", source.read_text(encoding="utf-8"))}
    assert given
    assert given <= {reason.name for reason in REASONS}
    assert Reason.NONE not in REASONS
