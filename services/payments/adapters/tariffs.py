"""Tariff files: one readable TOML file a city and scene. What is wrong is named with file and key."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import midnight_ms
from services.payments.adapters.city_rules import read_city_rules
from services.payments.config import Config
from services.payments.domain.book import Rules
from services.payments.domain.tap import Scene
from services.payments.domain.tariff import Concession, FlatFare, NamedPrice, Rounding, Tariff, Tariffs

_DAY_MS: Final = 24 * 3600 * 1000
_Fen = Annotated[int, msgspec.Meta(ge=0)]
_Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Age = Annotated[int, msgspec.Meta(ge=0, le=200)]


class TariffError(Exception):
    """A tariff file cannot be used; the message names the file and the key."""


class _Flat(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="flat"):
    amount_fen: _Fen

    def build(self) -> FlatFare:
        return FlatFare(self.amount_fen)


class _Named(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="named-price"):
    limit_fen: Annotated[int, msgspec.Meta(ge=1)]

    def build(self) -> NamedPrice:
        return NamedPrice(self.limit_fen)


class _Concession(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    pays_percent: _Percent
    payer: str
    from_age: _Age = 0
    to_age: _Age = 200
    category: str = ""
    residents_only: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    scene: Literal["bus", "campus", "scenic"]
    source: str
    valid_from: date
    price: _Flat | _Named
    concession: list[_Concession] = []
    rounding: Rounding = Rounding.DOWN


def read_tariff(path: Path, funds: Mapping[str, int]) -> Tariff:
    """Read one file. `funds` gives the account of each payer by name. Raises TariffError."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TariffError(f"{path}: {error}") from None
    for index, concession in enumerate(file.concession, 1):
        if concession.payer not in funds:
            raise TariffError(f"{path}: concession {index}: payer {concession.payer!r} is no fund; there are {sorted(funds)}")
        if concession.from_age > concession.to_age:
            raise TariffError(f"{path}: concession {index}: from_age is above to_age")
    return Tariff(
        scene=Scene[file.scene.upper()],
        valid_from_ms=midnight_ms(file.valid_from),
        price=file.price.build(),
        concessions=tuple(
            Concession(c.name, c.pays_percent, funds[c.payer], c.from_age, c.to_age, c.category, c.residents_only)
            for c in file.concession
        ),
        rounding=file.rounding,
    )


def read_tariffs(folder: Path, funds: Mapping[str, int]) -> Tariffs:
    """All tariff files of a folder and the folders in it. Raises TariffError."""
    files = sorted(folder.rglob("*.toml"))
    if not files:
        raise TariffError(f"{folder}: no tariff file (*.toml) in it")
    return Tariffs(read_tariff(path, funds) for path in files)


async def read_rules(engine: AsyncEngine, config: Config) -> Rules:
    """The city's tariffs and settings, and the accounts that they name."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("select name, id from payments.account where kind = 3"))
        funds = {row.name: row.id for row in rows}
        losses = await connection.scalar(text("select id from payments.account where kind = 4"))
    assert isinstance(losses, int), "the first migration opens this account"
    city = read_city_rules(config.rules)
    return Rules(
        read_tariffs(config.tariffs, funds),
        hotlist_losses_account=losses,
        acceptance_horizon_ms=config.acceptance_horizon_days * _DAY_MS,
        clock_tolerance_ms=config.clock_tolerance_seconds * 1000,
        hotlist_grace_ms=config.hotlist_grace_seconds * 1000,
        limits=city.limits,
        purposes=city.purposes,
    )
