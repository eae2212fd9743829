"""Slots that the ledger found full a moment ago, in Redis: they shed the rush for places before it reaches the ledger.

Nothing is decided by them. A mark lasts a moment, and while Redis is empty or away the ledger decides alone.
"""

import time
from typing import Final

import structlog
from redis.exceptions import RedisError

from services.common.shared_memory import open_redis
from services.payments.domain.places import Slot

log = structlog.get_logger()

MARK_MS: Final = 2_000
_ANSWER_SECONDS: Final = 0.1
_AWAY_SECONDS: Final = 1.0


class FullSlots:
    """What is marked by one process is seen by all."""

    def __init__(self, redis_address: str) -> None:
        """`redis_address` is host:port; empty: there is none."""
        self._redis = redis_address and open_redis(redis_address, _ANSWER_SECONDS)
        self._away_until = 0.0

    async def refuse(self, slot: Slot, places: int) -> bool:
        """Whether so many places, or fewer, were not there a moment ago."""
        if not self._redis or time.monotonic() < self._away_until:
            return False
        try:
            marked = await self._redis.get(_key(slot))
        except (RedisError, OSError) as error:
            self._rest(error)
            return False
        return marked is not None and places >= int(marked)

    async def mark(self, slot: Slot, places: int) -> None:
        """So many places are not there; fewer may be."""
        if self._redis and time.monotonic() >= self._away_until:
            try:
                await self._redis.set(_key(slot), places, px=MARK_MS)
            except (RedisError, OSError) as error:
                self._rest(error)

    async def close(self) -> None:
        """End the connections."""
        if self._redis:
            await self._redis.aclose()

    def _rest(self, error: Exception) -> None:
        """Do not keep those who reserve waiting for it."""
        self._away_until = time.monotonic() + _AWAY_SECONDS
        log.warning("full_slots_away", error=type(error).__name__)


def _key(slot: Slot) -> str:
    return f"places:full:{slot.merchant_id}:{slot.begins_ms}"
