"""Moments that an installation has gone back to: what was sealed behind them is given up, and its numbers are passed over.

A chain of seals is a service's own: `payments`, `card` or `issuance`. Where it went back, the seal after `after_seal` has a
number behind every one that was published, so nothing that left the database ever means two things. See
docs/decisions/0033-back-to-a-moment.md.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.common.clock import instant, milliseconds

_READ: Final = "select after_seal, up_to_seal, to_time, key_version, mac from {schema}.gone_back order by after_seal"
_PASSED: Final = "select coalesce(max(up_to_seal), 0) from {schema}.gone_back"
_SKIP: Final = "select setval($1::text::regclass, greatest(nextval($1::text::regclass), $2) + $3)"
PASSED_OVER: Final = 1_000_000
"""Numbers of each kind: more than are drawn between the last backup, or checkpoint, and the loss."""
_NOTE: Final = """
insert into {schema}.gone_back (after_seal, up_to_seal, to_time, key_version, mac) values ($1, $2, $3, $4, $5)
on conflict (after_seal) do update set up_to_seal = excluded.up_to_seal, to_time = excluded.to_time, at = now(),
    key_version = excluded.key_version, mac = excluded.mac where gone_back.up_to_seal <= excluded.up_to_seal"""


class GoneBack(NamedTuple):
    """One time that it went back."""

    after_seal: int
    """The newest seal that was kept."""
    up_to_seal: int
    """The highest that had been published."""
    to_ms: int
    key_version: int = 0
    mac: bytes = b""
    """With the key of the seals: nobody else may give up any."""

    @property
    def content(self) -> bytes:
        """What the mac is over."""
        return f"gone back\n{self.after_seal} {self.up_to_seal} {self.to_ms}".encode()


async def read_gone_back(driver: "asyncpg.Connection[Any]", schema: str) -> list[GoneBack]:
    """Each time, in the order of the chain."""
    rows = await driver.fetch(_READ.format(schema=schema))
    return [GoneBack(after, up_to, milliseconds(to), version, mac) for after, up_to, to, version, mac in rows]


async def note_gone_back(owner: "asyncpg.Connection[Any]", schema: str, time: GoneBack) -> None:
    """Give up the seals behind one, as the schema's owner; once more with what was published meanwhile."""
    if time.up_to_seal > time.after_seal:
        given = time.after_seal, time.up_to_seal, instant(time.to_ms), time.key_version, time.mac
        await owner.execute(_NOTE.format(schema=schema), *given)


async def next_seal(driver: "asyncpg.Connection[Any]", schema: str, newest: int) -> int:
    """The number of the seal that is made behind the newest one."""
    passed: int = await driver.fetchval(_PASSED.format(schema=schema))
    return max(newest, passed) + 1


async def pass_over(owner: "asyncpg.Connection[Any]", sequence: str, count: int, behind: int = 0) -> None:
    """So many numbers of a sequence are never drawn, counted from its own or from one that was published, as its owner."""
    await owner.execute(_SKIP, sequence, behind, count)


def follower(times: Iterable[GoneBack], seal: int) -> int:
    """The number that must follow a seal's."""
    return next((time.up_to_seal for time in times if time.after_seal == seal), seal) + 1


def given_up(times: Sequence[GoneBack], seal: int) -> bool:
    """Whether a seal of this number was made behind a moment that was gone back to."""
    return any(time.after_seal < seal <= time.up_to_seal for time in times)
