"""How far the topic of the hotlist has come: one row, which only goes forward."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from services.common.clock import instant

_READ: Final = "select epoch, version, whole_version, whole_time < now() - $1 * interval '1 hour' from card.hotlist_relay"
_SENT: Final = "update card.hotlist_relay set epoch = $1, version = $2 where (epoch, version) < ($1, $2)"
_WHOLE: Final = """
update card.hotlist_relay set epoch = $1, version = $2, whole_version = $2, whole_time = now()
where (epoch, version) <= ($1, $2)"""
_COMPLETE: Final = "update card.hotlist_relay set complete_time = $1 where complete_time < $1"


class Sent(NamedTuple):
    """What the topic has."""

    epoch: int
    version: int
    whole_version: int
    """Of its last snapshot."""
    whole_is_old: bool


async def read_sent(driver: "asyncpg.Connection[Any]", snapshot_hours: int) -> Sent:
    """As the last relay noted it."""
    row = await driver.fetchrow(_READ, snapshot_hours)
    assert row is not None, "the migration has made it"
    return Sent(*row)


async def note_sent(driver: "asyncpg.Connection[Any]", epoch: int, version: int, *, whole: bool) -> None:
    """After the broker's acknowledgement."""
    await driver.execute(_WHOLE if whole else _SENT, epoch, version)


async def note_complete(driver: "asyncpg.Connection[Any]", until_ms: int) -> None:
    """All cards barred by then stand on the newest version."""
    at: datetime = instant(until_ms)
    await driver.execute(_COMPLETE, at)
