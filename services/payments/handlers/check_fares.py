"""Check the fares: every holder's rides are rated again in the order of their times, and held against what was posted."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session
from services.payments.adapters.locking import holder_of
from services.payments.adapters.requests import adjustment_of
from services.payments.adapters.rides import read_all_rides
from services.payments.domain.account import HolderAccount
from services.payments.domain.book import Rules
from services.payments.domain.ride import History, Ride

_AT_ONCE: Final = 500
"""Holders whose rides are read together."""
_HOLDERS: Final = """
select id, 0, overdraft_fen, status, 0, 0, cards::text, usage::text
from payments.account where kind = 1 and usage is not null and id > $1 order by id limit $2"""
_COUNT: Final = "select count(*) from payments.account where kind = 1 and usage is not null"
_VERDICTS: Final = """
select v.terminal, v.sequence, v.fare_fen, v.charged_fen
from unnest($1::int[], $2::bigint[]) as asked(terminal, sequence) join payments.verdict v using (terminal, sequence)"""
_ADJUSTMENTS: Final = "select body from payments.operation where kind = 10 and account_id = any($1::bigint[])"


class Posted(NamedTuple):
    """What stands in the journal of a tap, its latest adjustment included."""

    revision: int
    fare_fen: int
    charged_fen: int


@dataclass(slots=True)
class Fares:
    """What a check found. It names the first fare that is wrong."""

    holders: int = 0
    rides: int = 0
    adjusted: int = 0
    problem: str = ""


async def check_fares(
    engine: AsyncEngine, rules: Rules, progress: Callable[[int, int], None] = lambda done, total: None
) -> Fares:
    """Rate again what is still kept of every holder's rides; `progress(holders, of holders)` is told now and then.

    A category that was heard of after a ride was rated shows here, because rides are rated by what is known now.
    """
    found = Fares()
    async with driver_session(engine) as driver, driver.transaction(isolation="repeatable_read", readonly=True):
        # Between two questions it rates for as long as it takes.
        await driver.execute("set local transaction_timeout = 0; set local idle_in_transaction_session_timeout = 0")
        total = await driver.fetchval(_COUNT)
        async for holders in _holders(driver):
            histories = await read_all_rides(driver, list(holders))
            posted = await _posted(driver, list(holders), [ride for history in histories.values() for ride in history])
            for (account_id, key), rides in histories.items():
                _check(History(rides), holders[account_id], key, rules, posted, found)
                if found.problem:
                    return found
            found.holders += len(holders)
            progress(found.holders, total)
    return found


async def _holders(driver: "asyncpg.Connection[Any]") -> AsyncIterator[dict[int, HolderAccount]]:
    last = 0
    while rows := await driver.fetch(_HOLDERS, last, _AT_ONCE):
        yield {row[0]: holder_of(*row) for row in rows}
        last = rows[-1][0]


async def _posted(
    driver: "asyncpg.Connection[Any]", accounts: list[int], rides: list[Ride]
) -> dict[tuple[int, int], Posted]:  # fmt: skip
    identities = [ride.tap.identity for ride in rides]
    rows = await driver.fetch(_VERDICTS, [number for number, _ in identities], [sequence for _, sequence in identities])
    posted = {(terminal, sequence): Posted(0, *fares) for terminal, sequence, *fares in rows}
    for (body,) in await driver.fetch(_ADJUSTMENTS, accounts):
        facts = adjustment_of(body)
        place = facts.terminal, facts.sequence
        before = posted.get(place)
        if before is not None and before.revision < facts.revision:
            posted[place] = Posted(facts.revision, facts.fare_fen, facts.charged_fen)
    return posted


def _check(
    history: History, account: HolderAccount, key: str, rules: Rules, posted: dict[tuple[int, int], Posted], found: Fares
) -> None:
    for ride in history.rides:
        number, sequence = ride.tap.identity
        wanted = Posted(ride.revision, ride.fare.fare_fen, ride.fare.charged_fen)
        if posted.get((number, sequence)) != wanted:
            found.problem = f"tap {number}/{sequence}: the journal has {posted.get((number, sequence))}, its ride {wanted}"
            return
        found.rides += 1
        found.adjusted += ride.revision > 0
    found.problem = history.disagreement(account, key, rules.tariffs)
