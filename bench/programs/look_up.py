"""Look-ups: people are found by their numbers, through the product's own digest and statement, in two registries in turn."""

import asyncio
import time
from pathlib import Path
from random import Random
from typing import Annotated, Final

import msgspec
import typer
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.people import citizen_number
from bench.statistics import percentile
from services.card.adapters.people import find_holders
from services.card.adapters.sealing import Sealing
from services.card.config import Config
from services.card.domain.person import LookupField
from services.common.database import driver_session, make_engine
from services.common.garbage import collect_garbage_seldom
from services.common.keyvault.software import open_token

IN_FLIGHT: Final = 8
_TURN_SECONDS: Final = 0.25


class LookedUp(msgspec.Struct, frozen=True):
    """How people were found in one registry."""

    holders: int
    """That are in it."""
    found: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.found / self.seconds


class _Seeker:
    """Asks one registry for people, anybody as often as anybody else."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, holders: int) -> None:
        self._engine = engine
        self._sealing = sealing
        self._holders = holders
        self._random = Random(holders)
        self._waits: list[float] = []
        self._seconds = 0.0

    async def seek(self, seconds: float) -> None:
        """For so many seconds."""
        began = time.perf_counter()
        await asyncio.gather(*(self._lane(began + seconds) for _ in range(IN_FLIGHT)))
        self._seconds += time.perf_counter() - began

    async def _lane(self, until: float) -> None:
        while (began := time.perf_counter()) < until:
            number = citizen_number(self._random.randrange(self._holders))
            digests = self._sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, number)
            async with driver_session(self._engine) as driver:
                found = await find_holders(driver, digests)
            assert len(found) == 1, "everybody is there, once"
            self._waits.append(time.perf_counter() - began)

    def looked_up(self) -> LookedUp:
        """What came of it."""
        half, most = (percentile(self._waits, percent) * 1e6 for percent in (50, 99))
        return LookedUp(self._holders, len(self._waits), self._seconds, half, most)

    def forget(self) -> None:
        """What was before does not count."""
        self._waits.clear()
        self._seconds = 0.0


async def _work(config: Config, urls: tuple[str, str], holders: tuple[int, int], seconds: float) -> list[LookedUp]:
    sealing = Sealing(open_token(config.vault, config.vault_pin))
    engines = [make_engine(url, "look-up", sessions=IN_FLIGHT) for url in urls]
    seekers = [_Seeker(engine, sealing, count) for engine, count in zip(engines, holders, strict=True)]
    for seeker in seekers:  # what everybody needs comes into memory
        await seeker.seek(seconds)
        seeker.forget()
    collect_garbage_seldom()
    for turn in range(round(seconds / _TURN_SECONDS)):
        for seeker in seekers if turn % 2 else reversed(seekers):
            await seeker.seek(_TURN_SECONDS)
    for engine in engines:
        await engine.dispose()
    return [seeker.looked_up() for seeker in seekers]


def main(
    one: Annotated[str, typer.Argument(help="the database with few people")],
    one_holders: int,
    other: Annotated[str, typer.Argument(help="the one with many")],
    other_holders: int,
    seconds: Annotated[float, typer.Argument(help="of each")],
    result: Path,
) -> None:
    """Look people up in two registries, a quarter of a second each in turn, and write the times to a file."""
    work = _work(Config.from_environment(), (one, other), (one_holders, other_holders), seconds)
    result.write_bytes(msgspec.json.encode(uvloop.run(work)))


if __name__ == "__main__":
    typer.run(main)
