"""Tariff files: what is wrong is named with file and key."""

from pathlib import Path

import pytest

from services.payments.adapters.tariffs import TariffError, read_tariff, read_tariffs
from services.payments.domain.tap import Scene

FUNDS = {"concession_fund": 2}
GOOD = """
city = "X"
scene = "bus"
source = "a test"
valid_from = 2020-01-01
[price]
kind = "flat"
amount_fen = 200
[[concession]]
name = "half"
pays_percent = 50
payer = "concession_fund"
"""


def test_the_simulated_citys_tariffs_can_be_read() -> None:
    tariffs = read_tariffs(Path(__file__).parents[4] / "tariffs", FUNDS)
    for scene in (Scene.BUS, Scene.CAMPUS, Scene.SCENIC):
        assert tariffs.in_force(scene, 1_790_000_000_000) is not None


def test_a_tariff_begins_at_midnight_in_shanghai(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(GOOD)
    assert read_tariff(tmp_path / "t.toml", FUNDS).valid_from_ms == 1_577_808_000_000


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
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
