"""The city's tariffs and settings as the ledger decides by them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.city_rules import read_city_rules
from services.payments.adapters.tariff_file import TariffError, read_tariff
from services.payments.adapters.toml_places import line_of
from services.payments.config import Config
from services.payments.domain.book import Rules
from services.payments.domain.tap import Scene
from services.payments.domain.tariff import Tariff, Tariffs

_DAY_MS: Final = 24 * 3600 * 1000


def read_tariffs(folder: Path, funds: Mapping[str, int]) -> Tariffs:
    """All tariff files of a folder and the folders in it. Raises TariffError."""
    files = sorted(folder.rglob("*.toml"))
    if not files:
        raise TariffError(f"{folder}: no tariff file (*.toml) in it")
    tariffs = {path: read_tariff(path, funds) for path in files}
    refuse_two_at_once(tariffs)
    return Tariffs(tariffs.values())


def refuse_two_at_once(tariffs: Mapping[Path, Tariff]) -> None:
    """Raises TariffError where two tariffs of a city begin on the same day for the same taps: which one counts, nobody said."""
    begins: dict[tuple[Scene, str, int], Path] = {}
    for path, tariff in tariffs.items():
        for merchant in sorted(tariff.merchants) or [""]:
            other = begins.setdefault((tariff.scene, merchant, tariff.valid_from_ms), path)
            if other is not path:
                line = line_of(path.read_text(encoding="utf-8"), "valid_from")
                whose = f"merchant {merchant!r} of scene" if merchant else "scene"
                message = f"{other} begins on the same day for {whose} {tariff.scene.name.lower()!r}"
                raise TariffError(f"{path}:{line}: valid_from: {message}")


async def read_rules(engine: AsyncEngine, config: Config) -> Rules:
    """The city's tariffs and settings, and the accounts that they name."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("select name, id from payments.account where kind in (3, 4)"))
        funds = {row.name: row.id for row in rows}
        losses = await connection.scalar(text("select id from payments.account where kind = 4"))
        shortfalls = await connection.scalar(text("select id from payments.account where name = 'fare_shortfalls'"))
        rows = await connection.execute(text("select name, id from payments.account where kind = 8"))
        places = {row.name: row.id for row in rows}
    assert isinstance(losses, int), "the first migration opens this account"
    assert isinstance(shortfalls, int), "and a later one this"
    city = read_city_rules(config.rules)
    return Rules(
        read_tariffs(config.tariffs, funds),
        hotlist_losses_account=losses,
        acceptance_horizon_ms=config.acceptance_horizon_days * _DAY_MS,
        clock_tolerance_ms=config.clock_tolerance_seconds * 1000,
        hotlist_grace_ms=config.hotlist_grace_seconds * 1000,
        limits=city.limits,
        purposes=city.purposes,
        fare_shortfalls_account=shortfalls,
        places_given_account=places["places_given"],
        places_taken_account=places["places_taken"],
    )
