"""How old the projection of the cards is: online a payment is refused when nobody can say how its card stands."""

import asyncio
import time
from typing import Final, NoReturn

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import milliseconds
from services.common.database import DatabaseError, sqlstate_of
from services.common.errors import Code, DomainError

log = structlog.get_logger()

_OLDEST: Final = text("select min(committed_up_to) from payments.card_projection")
_EVERY_SECONDS: Final = 1.0


class ProjectionFreshness:
    """The heartbeat of the partition that is furthest behind, read each second."""

    def __init__(self, engine: AsyncEngine, limit_seconds: float) -> None:
        self._engine = engine
        self._limit_seconds = limit_seconds
        self._up_to = float("-inf")

    def check(self) -> None:
        """Raises DomainError when it is older than the limit, or was never read."""
        if time.time() - self._up_to > self._limit_seconds:
            raise DomainError(Code.UNAVAILABLE, "PROJECTION_STALE", "暂时无法核实卡状态，请稍后重试")

    async def read(self) -> None:
        """Read it once; when that fails, what is known grows older."""
        try:
            async with self._engine.connect() as connection:
                oldest = await connection.scalar(_OLDEST)
        except DatabaseError as error:
            log.warning("projection_unread", error=type(error).__name__, sqlstate=sqlstate_of(error))
            return
        self._up_to = float("-inf") if oldest is None else milliseconds(oldest) / 1000

    async def keep_reading(self) -> NoReturn:
        """Read for ever."""
        while True:
            await self.read()
            await asyncio.sleep(_EVERY_SECONDS)
