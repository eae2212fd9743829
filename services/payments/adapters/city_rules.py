"""The city's rules for online payments and bound purses, read from a file. What is wrong is named with file and key."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from services.payments.domain.account import Purpose
from services.payments.domain.limits import Limits
from services.payments.domain.tap import Scene

_Fen = Annotated[int, msgspec.Meta(ge=0)]
_Scene = Literal["bus", "campus", "scenic"]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}$")]


class CityRulesError(Exception):
    """The file cannot be used; the message names it and the key."""


class CityRules(NamedTuple):
    """Limits by the holder's category ("" is everybody else's), purposes by name."""

    limits: Mapping[str, Limits]
    purposes: Mapping[str, Purpose]


class _Limits(msgspec.Struct, forbid_unknown_fields=True):
    payment_fen: _Fen
    day_fen: _Fen
    day_payments: Annotated[int, msgspec.Meta(ge=0)]
    scene_day_fen: dict[_Scene, _Fen] = {}

    def build(self) -> Limits:
        scenes = {_SCENE[name]: fen for name, fen in self.scene_day_fen.items()}
        return Limits(self.payment_fen, self.day_fen, self.day_payments, scenes)


class _Purpose(msgspec.Struct, forbid_unknown_fields=True):
    scenes: list[_Scene] = []
    merchants: list[str] = []
    one_at_a_time: bool = False
    longest_days: Annotated[int, msgspec.Meta(ge=0)] = 0


class _File(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    source: str
    limits: _Limits
    category: dict[str, _Limits] = {}
    purpose: dict[_Name, _Purpose] = {}


_DAY_MS: Final = 24 * 3_600_000
_SCENE: Final = {scene.name.lower(): scene for scene in Scene}


def read_city_rules(path: Path) -> CityRules:
    """Raises CityRulesError."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CityRulesError(f"{path}: {error}") from None
    limits = {"": file.limits.build()} | {category: of.build() for category, of in file.category.items()}
    purposes = {
        name: Purpose(
            frozenset(_SCENE[scene] for scene in purpose.scenes),
            frozenset(purpose.merchants),
            purpose.one_at_a_time,
            purpose.longest_days * _DAY_MS,
        )
        for name, purpose in file.purpose.items()
    }
    return CityRules(limits, purposes)
