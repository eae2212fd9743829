"""Rides without an exit are charged as such, and rides that nothing can change any more are forgotten."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import instant, now_ms
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.rides import Awaited
from services.payments.domain.book import Rules
from services.payments.handlers.settle import settle

log = structlog.get_logger()

_AT_ONCE: Final = 500
_DAY_MS: Final = 24 * 3_600_000
_ENTERED: Final = text(f"""
select account_id, tariff_key, event_time, terminal, sequence from payments.ride
where awaits_exit and event_time < :before order by event_time limit {_AT_ONCE}""")  # noqa: S608  # constants
_FORGET: Final = text("delete from payments.ride where event_time < :before")


class EndRides:
    """To be called again and again. Two at once, or one that died, charge an entry once: its adjustment has a name."""

    def __init__(self, ledger: Ledger, rules: Rules) -> None:
        self._ledger = ledger
        self._awaited_ms = rules.tariffs.longest_journey_ms
        self._kept_ms = rules.acceptance_horizon_ms + _DAY_MS  # so that what is just being decided has its neighbours

    async def without_exit(self, connection: AsyncConnection) -> int:
        """Charge entries whose exit did not come in time; returns how many fares changed."""
        if not self._awaited_ms:
            return 0
        before = instant(now_ms() - self._awaited_ms)
        entries = [Awaited(*row) for row in await connection.execute(_ENTERED, {"before": before})]
        if not entries:
            return 0
        changed = sum(await settle(entries, self._ledger.place, self._end, _give_up))
        log.info("swept", what="rides", asked=len(entries), done=changed)
        return changed

    async def forget(self, connection: AsyncConnection) -> None:
        """Delete rides that no accepted tap can be put before any more."""
        await connection.execute(_FORGET, {"before": instant(now_ms() - self._kept_ms)})

    async def _end(self, entries: Sequence[Awaited], read_all: bool) -> list[int]:  # settle asks so
        return await self._ledger.end_rides(entries, now_ms())


async def _give_up(entry: Awaited, error: BaseException, state: str) -> list[int]:
    log.error("ride_not_ended", sqlstate=state, terminal=entry.terminal, sequence=entry.sequence)
    raise error
