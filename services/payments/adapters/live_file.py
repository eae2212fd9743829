"""The city's settings of the live windows, read from a file. What is wrong is named with file and key."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from services.payments.adapters.toml_places import line_of
from services.payments.domain.live import LiveRules
from services.payments.domain.place import Place

_Above0 = Annotated[float, msgspec.Meta(gt=0)]
_Taps = Annotated[int, msgspec.Meta(ge=1)]
T = TypeVar("T")
_Merchant = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LiveFileError(Exception):
    """The file cannot be used; the message names it, the line and the key."""


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class _Travel(msgspec.Struct, forbid_unknown_fields=True):
    fastest_km_h: _Above0
    nearest_km: _Above0


class _Burst(msgspec.Struct, forbid_unknown_fields=True):
    card_taps: _Taps
    terminal_taps: _Taps


class _Takings(msgspec.Struct, forbid_unknown_fields=True):
    largest_price_fen: Annotated[int, msgspec.Meta(ge=1)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    source: str
    travel: _Travel
    burst: _Burst
    takings: _Takings
    place: dict[_Merchant, dict[str, Any]] = {}
    """Each is read by itself: only so can the merchant be named where something is wrong."""


def read_live_rules(path: Path, clock_tolerance_ms: int) -> LiveRules:
    """Raises LiveFileError."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise LiveFileError(f"{path}: {error}") from None
    file = _read(path, text, "", content, _File)
    places = {
        merchant_id: _read(path, text, f"place.{merchant_id}", given, _Place) for merchant_id, given in file.place.items()
    }
    return LiveRules(
        fastest_km_h=file.travel.fastest_km_h,
        nearest_km=file.travel.nearest_km,
        card_taps=file.burst.card_taps,
        terminal_taps=file.burst.terminal_taps,
        largest_price_fen=file.takings.largest_price_fen,
        clock_tolerance_ms=clock_tolerance_ms,
        places={merchant: Place(place.latitude, place.longitude) for merchant, place in places.items()},
    )


def _read(path: Path, text: str, table: str, content: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        what, _, key = str(error).partition(" - at ")
        where = (table + key.strip("`").removeprefix("$")).removeprefix(".")
        line = line_of(text, where)
        raise LiveFileError(f"{path}:{line}: {where}: {what}" if where else f"{path}: {what}") from None
