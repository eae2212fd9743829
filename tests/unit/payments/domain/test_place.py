"""Distances, and what nobody travels in the time between."""

import pytest

from services.payments.domain.place import Place, distance_km, is_impossible_travel

LAKE, ISLAND = Place(22.60, 113.08), Place(21.71, 112.78)
MS_AN_HOUR = 3_600_000


def test_distances_are_those_of_the_earth() -> None:
    assert distance_km(LAKE, LAKE) == 0
    assert distance_km(Place(0, 0), Place(0, 1)) == pytest.approx(111.195, abs=0.001)
    assert distance_km(Place(0, 179.5), Place(0, -179.5)) == pytest.approx(111.195, abs=0.001)
    assert distance_km(Place(90, 0), Place(-90, 0)) == pytest.approx(20015.1, abs=0.1)
    assert distance_km(LAKE, ISLAND) == distance_km(ISLAND, LAKE) == pytest.approx(103.7, abs=0.1)


@pytest.mark.parametrize(
    ("km", "elapsed_ms", "impossible"),
    [
        (300, MS_AN_HOUR, False),  # exactly the speed
        (300, MS_AN_HOUR - 1, True),
        (300, -MS_AN_HOUR, False),  # told the other way round
        (300, 1 - MS_AN_HOUR, True),
        (5, 60_000, False),  # exactly the speed, exactly the distance
        (5, 59_999, True),
        (4.999, 0, False),  # near enough to be one place
        (5, 0, True),  # at once
        (0, 0, False),
    ],
)
def test_exactly_the_speed_is_possible_and_more_is_not(km: float, elapsed_ms: int, impossible: bool) -> None:
    assert is_impossible_travel(km, elapsed_ms, fastest_km_h=300, nearest_km=5) is impossible
