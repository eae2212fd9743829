"""Where a merchant is, and how far it is from one to another."""

from math import asin, cos, radians, sin, sqrt
from typing import Final, NamedTuple

_EARTH_KM: Final = 6371.0088
_MS_AN_HOUR: Final = 3_600_000


class Place(NamedTuple):
    """Degrees north and east."""

    latitude: float
    longitude: float


def distance_km(one: Place, other: Place) -> float:
    """Along the surface of the earth (haversine)."""
    north, other_north = radians(one.latitude), radians(other.latitude)
    across = sin((other_north - north) / 2) ** 2
    along = sin(radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(across + cos(north) * cos(other_north) * along)))


def is_impossible_travel(km: float, elapsed_ms: int, *, fastest_km_h: float, nearest_km: float) -> bool:
    """Whether nobody gets so far in that time; exactly the speed is possible. Which tap was told first does not matter."""
    return km >= nearest_km and km * _MS_AN_HOUR > fastest_km_h * abs(elapsed_ms)
