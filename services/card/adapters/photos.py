"""Applicants' photos in PostgreSQL, sealed."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.common.clock import instant

_NEWEST: Final = "select holder, max(number) from card.photo where holder = any($1::bigint[]) group by holder"


class NewPhoto(NamedTuple):
    """A photo that is to be added."""

    holder: int
    number: int
    """Which one of the holder's, from 1."""
    sealed: bytes
    overrides: list[int]
    """Points that a clerk let pass."""
    reason: str


async def newest_photos(driver: "asyncpg.Connection[Any]", holders: Iterable[int]) -> dict[int, int]:
    """The number of the newest photo of each holder who has one."""
    return dict(await driver.fetch(_NEWEST, sorted(set(holders))))


async def add_photos(driver: "asyncpg.Connection[Any]", new: Sequence[NewPhoto], now_ms: int) -> None:
    """Add photos; those of before stay."""
    now = instant(now_ms)
    await driver.copy_records_to_table(
        "photo", schema_name="card", columns=(*NewPhoto._fields, "create_time"), records=[(*one, now) for one in new]
    )
