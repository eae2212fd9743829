"""A tariff file: readable TOML, one city and scene. What is wrong is named with file, line and key."""

import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import msgspec

from services.common.clock import midnight_ms
from services.payments.adapters.tariff_prices import AnyPrice
from services.payments.adapters.tariff_quota import QuotaTable
from services.payments.adapters.tariff_rules import AnyRule, ConcessionTable
from services.payments.adapters.tariff_schema import CityParts, Name, Positive, WrongError
from services.payments.adapters.toml_places import line_of
from services.payments.domain.account import RESERVED, SPENT_ONLINE, SPENT_WATCHED
from services.payments.domain.rating.concession import Concessions
from services.payments.domain.rating.network import Network, Track
from services.payments.domain.rating.rounding import Direction, Rounding
from services.payments.domain.rating.rule import Rule
from services.payments.domain.tap import Scene
from services.payments.domain.tariff import Line, Tariff

_FOR_EVER: Final = 2**63
_TAKEN_KEYS: Final = (SPENT_ONLINE, SPENT_WATCHED, RESERVED)


class TariffError(Exception):
    """A tariff file cannot be used; the message names the file, the line and the key."""


class _Rounding(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    direction: Direction = Direction.DOWN
    unit_fen: Positive = 1


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: Name
    mode: str = ""
    price: AnyPrice | None = None


class _Track(msgspec.Struct, forbid_unknown_fields=True):
    stops: list[Name]
    metres: list[Positive]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    scene: Literal["bus", "campus", "scenic"]
    source: str
    valid_from: date
    price: AnyPrice
    currency: Literal["CNY"] = "CNY"
    valid_to: date | None = None
    key: str = ""
    merchants: list[Name] = []
    mode: str = ""
    most_riders: Positive = 1
    quota: QuotaTable | None = None
    rounding: _Rounding = _Rounding()
    line: list[_Line] = []
    track: list[_Track] = []
    rule: list[AnyRule] = []


def read_tariff(path: Path, funds: Mapping[str, int]) -> Tariff:
    """Read one file. `funds` gives the account of each payer by name. Raises TariffError."""
    try:
        content = path.read_text(encoding="utf-8")
        file = msgspec.convert(tomllib.loads(content), _File)
    except OSError as error:
        raise TariffError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TariffError(f"{path}: is not UTF-8 from byte {error.start} on") from None
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        _complain(path, content, place.rstrip("`"), message)
    try:
        return _build(file, funds)
    except WrongError as error:
        _complain(path, content, error.key, str(error))


def _complain(path: Path, content: str, key: str, message: str) -> NoReturn:
    key = key.removeprefix("$").strip(".")
    raise TariffError(f"{path}:{line_of(content, key)}: {key or 'the file'}: {message}") from None


def _build(file: _File, funds: Mapping[str, int]) -> Tariff:
    for at, track in enumerate(file.track):
        if len(track.metres) != len(track.stops) - 1:
            raise WrongError(f"track[{at}].metres", "must be one fewer than the stops: from each stop to the next")
    if file.valid_to is not None and file.valid_to < file.valid_from:
        raise WrongError("valid_to", "is before valid_from")
    if file.merchants and not file.key:
        raise WrongError("merchants", "a tariff for some merchants needs a key: what it counts is remembered under it")
    if file.key in _TAKEN_KEYS:
        raise WrongError("key", f"is taken: under {', '.join(_TAKEN_KEYS)} the ledger itself remembers something of a holder")
    network = Network(Track(tuple(track.stops), tuple(track.metres)) for track in file.track)
    city = CityParts(funds, Rounding(file.rounding.direction, file.rounding.unit_fen), network)
    return Tariff(
        scene=Scene[file.scene.upper()],
        valid_from_ms=midnight_ms(file.valid_from),
        valid_to_ms=midnight_ms(file.valid_to + timedelta(days=1)) if file.valid_to else _FOR_EVER,
        price=_at("price", file.price, city),
        rules=tuple(_rules(file.rule, city)),
        merchants=frozenset(file.merchants),
        key=file.key or file.scene,
        mode=file.mode,
        lines={
            line.id: Line(line.mode or file.mode, None if line.price is None else _at(f"line[{at}].price", line.price, city))
            for at, line in enumerate(file.line)
        },
        most_riders=file.most_riders,
        quota=None if file.quota is None else _at("quota", file.quota, file.most_riders),
    )


def _rules(rules: list[AnyRule], city: CityParts) -> list[Rule]:
    """In their order; of concessions that follow each other the first that applies counts."""
    built: list[Rule] = []
    names: set[str] = set()
    for at, rule in enumerate(rules):
        if rule.name in names or rule.name in ("journey", "at"):
            raise WrongError(f"rule[{at}].name", f"{rule.name!r} is taken: what a rule counts is remembered under its name")
        names.add(rule.name)
        if not isinstance(rule, ConcessionTable):
            built.append(_at(f"rule[{at}]", rule, city))
            continue
        try:
            concession = rule.build_one(city)
        except WrongError as error:
            raise WrongError(f"rule[{at}].{error.key}", str(error)) from None
        if built and isinstance(built[-1], Concessions):
            built[-1] = Concessions(built[-1].name, (*built[-1].among, concession), city.rounding)
        else:
            built.append(Concessions("concessions", (concession,), city.rounding))
    return built


def _at(place: str, part: Any, rest: Any) -> Any:
    """What a part of the file is built to with what it needs of the rest; an error in it is named with its place."""
    try:
        return part.build(rest)
    except WrongError as error:
        raise WrongError(f"{place}.{error.key}", str(error)) from None
