"""Tariff files: what is wrong is named with file and key."""

from pathlib import Path

import pytest

from services.payments.adapters.tariff_file import TariffError, read_tariff
from services.payments.adapters.tariffs import read_tariffs
from services.payments.domain.tap import Scene, Tap, Terminal

FUNDS = {"concession_fund": 2}
GOOD = """
city = "X"
scene = "bus"
source = "a test"
valid_from = 2020-01-01
[price]
kind = "flat"
amount_fen = 200
[[rule]]
kind = "concession"
name = "half"
pays_percent = 50
payer = "concession_fund"
"""


def test_the_simulated_citys_tariffs_can_be_read() -> None:
    tariffs = read_tariffs(Path(__file__).parents[4] / "tariffs" / "jiangmen", FUNDS)
    for scene in (Scene.BUS, Scene.CAMPUS, Scene.SCENIC):
        terminal = Terminal(1, "M", "T", scene, 1000, retired=False)
        assert tariffs.in_force(Tap(terminal, 1, b"", "C", 1_790_000_000_000, None)) is not None


def test_a_tariff_begins_at_midnight_in_shanghai(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(GOOD)
    assert read_tariff(tmp_path / "t.toml", FUNDS).valid_from_ms == 1_577_808_000_000


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("pays_percent = 50", "pays_percent = '50'", r"t.toml:12: rule\[0\].pays_percent"),
        ("[[rule]]", "[[rule]]\nkind = 'block'\nname = 'b'\nfor_minutes = 0\n[[rule]]", r"t.toml:12: rule\[0\].for_minutes"),
        ('name = "half"', 'name = "journey"', r"t.toml:11: rule\[0\].name"),
        ("[price]", "merchants = ['M']\n[price]", r"t.toml:6: merchants: .* needs a key"),
        ("valid_from", "valid_to = 2019-01-01\nvalid_from", "t.toml:5: valid_to: is before"),
        ("[price]", "key = 'reserved'\n[price]", "t.toml:6: key: is taken"),
        ('kind = "flat"\namount_fen = 200', 'kind = "distance"\nmost_minutes = 1\nbands = []', "t.toml:9: price.bands"),
        ("amount_fen = 200", "amount_fen = -1", "amount_fen"),
        ("amount_fen = 200", "amount_fen = 2.5", "amount_fen"),
        ("amount_fen = 200", "amount = 200", "amount"),
        ('kind = "flat"', 'kind = "steep"', "kind"),
        ('scene = "bus"', 'scene = "boat"', "scene"),
        ("pays_percent = 50", "pays_percent = 101", "pays_percent"),
        ('payer = "concession_fund"', 'payer = "nobody"', "nobody"),
        ("valid_from = 2020-01-01", "", "valid_from"),
        ("pays_percent = 50", "pays_percent = 50\nfrom_age = 70\nto_age = 60", "from_age"),
        ("[price]", "[price", "t.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    (tmp_path / "t.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(TariffError, match=named) as caught:
        read_tariff(tmp_path / "t.toml", FUNDS)
    assert "t.toml" in str(caught.value)


def test_a_folder_without_tariffs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match="no tariff file"):
        read_tariffs(tmp_path, FUNDS)


def test_two_tariffs_of_a_scene_that_begin_on_the_same_day_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    with pytest.raises(TariffError, match=r"b\.toml:5: valid_from: .*a\.toml begins on the same day for scene 'bus'"):
        read_tariffs(tmp_path, FUNDS)


def test_two_tariffs_of_a_merchant_that_begin_on_the_same_day_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("[price]", "key = 'k'\nmerchants = ['M', 'N']\n[price]"))
    (tmp_path / "b.toml").write_text(GOOD.replace("[price]", "key = 'k'\nmerchants = ['N', 'O']\n[price]"))
    with pytest.raises(TariffError, match="for merchant 'N' of scene 'bus'"):
        read_tariffs(tmp_path, FUNDS)


@pytest.mark.parametrize(
    ("old", "new"),
    [("2020-01-01", "2021-01-01"), ('"bus"', '"scenic"'), ("[price]", "key = 'k'\nmerchants = ['M']\n[price]")],
)
def test_tariffs_of_another_day_or_scene_or_for_some_merchants_stand_beside_each_other(
    tmp_path: Path, old: str, new: str
) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD.replace(old, new))
    read_tariffs(tmp_path, FUNDS)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(b'city = "\xff"')
    with pytest.raises(TariffError, match=r"t\.toml: is not UTF-8"):
        read_tariff(tmp_path / "t.toml", FUNDS)


QUOTA = GOOD.replace('scene = "bus"', 'scene = "scenic"') + "\n[quota]\nplaces = 10\n"
WINDOWS = QUOTA.replace("places = 10\n", "[[quota.window]]\nbegins = '08:00'\nends = '12:00'\nplaces = 3\n")


@pytest.mark.parametrize(
    ("text", "old", "new", "named"),
    [
        (QUOTA, "places = 10", "", "quota.places: a quota has places for the whole day, or windows"),
        (QUOTA, "places = 10", "places = 0", "quota.places"),
        (QUOTA, "places = 10", "places = 10\nreservations = 'sometimes'", "quota.reservations"),
        (QUOTA, "places = 10", "places = 10\ndays_ahead = 91", "quota.days_ahead"),
        (
            QUOTA.replace("[price]", "most_riders = 2\n[price]"),
            "places = 10",
            "places = 10\nreal_name = true",
            "quota.real_name",
        ),
        (WINDOWS, "ends = '12:00'", "ends = '08:00'", r"quota.window\[0\].ends: is not after begins"),
        (
            WINDOWS + WINDOWS.rpartition("[quota]")[2],
            "'T'",
            "'T'",
            r"quota.window\[1\].begins: is before the window above it ends",
        ),
        (WINDOWS, "ends = '12:00'", "ends = 'noon'", "quota.window"),
        (WINDOWS, "[quota]", "[quota]\nplaces = 5", "quota.places"),
    ],
)
def test_what_is_wrong_with_a_quota_is_named(tmp_path: Path, text: str, old: str, new: str, named: str) -> None:
    (tmp_path / "t.toml").write_text(text.replace(old, new))
    with pytest.raises(TariffError, match=named):
        read_tariff(tmp_path / "t.toml", FUNDS)
