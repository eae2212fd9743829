"""Take away what is kept no longer than the city says. The audit has a command of its own, for it is the owner's."""

from collections.abc import Callable
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.card.adapters import audit
from services.card.adapters.retention import take_away
from services.card.domain.actor import TIMER
from services.card.domain.settings import Retention
from services.card.handlers.once import transact
from services.common.clock import now_ms

_MOST: Final = 1000
_DAY_MS: Final = 24 * 3600 * 1000


class Retain:
    """A duty of the elected process; `now` is the clock, for tests that do not want to wait a month."""

    def __init__(self, engine: AsyncEngine, rules: Retention, now: Callable[[], int] = now_ms) -> None:
        self._engine = engine
        self._rules = rules
        self._now = now

    async def __call__(self, _: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        now = self._now()

        async def act(driver: "asyncpg.Connection[Any]") -> int:
            days = (self._rules.request_days, self._rules.in_vain_days, self._rules.past_days)
            requests, in_vain, past = (now - kept * _DAY_MS for kept in days)
            gone = await take_away(driver, requests, in_vain, past, _MOST)
            personal = {part: gone[part] for part in ("papers", "photos") if gone[part]}
            if personal:
                await audit.record(driver, TIMER, "retention.end", detail=personal)
            return max(gone.values())

        return await transact(self._engine, act) < _MOST
