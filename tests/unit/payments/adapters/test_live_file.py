"""The city's settings of the live windows: a file that is wrong says where."""

from pathlib import Path

import pytest

from services.payments.adapters.live_file import LiveFileError, read_live_rules
from services.payments.config import Config
from services.payments.domain.place import Place
from simulation.city import CAMPUSES, GARDEN, SITES

GOOD = """\
city = "a test's"
source = "nobody"
[travel]
fastest_km_h = 300
nearest_km = 5
[burst]
card_taps = 10
terminal_taps = 200
[takings]
largest_price_fen = 20000
[place.SITE-1]
latitude = 22.5
longitude = 113
"""


def test_a_file_becomes_rules(tmp_path: Path) -> None:
    file = tmp_path / "live.toml"
    file.write_text(GOOD)
    rules = read_live_rules(file, clock_tolerance_ms=7)
    assert (rules.fastest_km_h, rules.nearest_km, rules.card_taps, rules.terminal_taps) == (300, 5, 10, 200)
    assert rules.largest_price_fen == 20_000
    assert (rules.places, rules.clock_tolerance_ms) == ({"SITE-1": Place(22.5, 113)}, 7)


def test_the_city_s_own_file_places_every_merchant_that_stays_where_it_is() -> None:
    rules = read_live_rules(Config(database_url="", kafka="").live, 0)
    assert set(rules.places) == {merchant.merchant_id for merchant in (*CAMPUSES, *SITES, GARDEN)}


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("latitude = 22.5", "latitude = 90.1", r":12: place.SITE-1.latitude: .*<= 90"),
        ("longitude = 113", 'longitude = "east"', r":13: place.SITE-1.longitude: Expected `float`"),
        ("longitude = 113", "", r":11: place.SITE-1: .*missing required field `longitude`"),
        ("longitude = 113", "longitude = 113\nheight = 3", r":11: place.SITE-1: .*unknown field `height`"),
        ("fastest_km_h = 300", "fastest_km_h = 0", r":4: travel.fastest_km_h: .*> 0"),
        ("card_taps = 10", "card_taps = 1.5", r":7: burst.card_taps: Expected `int`"),
        ("largest_price_fen = 20000", "largest_price_fen = 0", r":10: takings.largest_price_fen: .*>= 1"),
        ("nearest_km = 5", "", r":3: travel: .*`nearest_km`"),
        ('source = "nobody"', "", r": .*`source`"),
        ("[burst]", "[burst", r": .*line 6"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_key(tmp_path: Path, good: str, bad: str, said: str) -> None:
    file = tmp_path / "live.toml"
    file.write_text(GOOD.replace(good, bad))
    with pytest.raises(LiveFileError, match=f"^{file}{said}"):
        read_live_rules(file, 0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiveFileError, match=r"live\.toml"):
        read_live_rules(tmp_path / "live.toml", 0)
