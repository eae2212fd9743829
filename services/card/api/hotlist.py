"""HotlistService: the list for terminals that have no Kafka."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import hotlist_pb2 as messages
from onecard.card.v1.hotlist_pb2_grpc import HotlistServiceServicer
from services.card import metrics
from services.card.adapters.hotlist_updates import read_way, way_for
from services.card.domain.settings import HotlistRules
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.calls import current_peer
from services.common.grpc.reading import bad

_SESSIONS: Final = 3
"""Of those of all calls: a city's terminals that come at once leave the windows theirs."""
_MINUTE: Final = 60.0
_HIGHEST: Final = 2**63 - 1


class HotlistService(HotlistServiceServicer):
    """A terminal that listens slowly holds a chunk in memory, and no session of the database."""

    def __init__(self, engine: AsyncEngine, rules: HotlistRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._rules = rules
        self._clock = clock
        self._minute = 0.0
        self._pulls: Counter[str] = Counter()
        """Of this minute, by subject."""
        self._turns = asyncio.Semaphore(_SESSIONS)

    async def GetHotlist(  # noqa: N802
        self, request: messages.GetHotlistRequest, context: Any
    ) -> AsyncIterator[messages.GetHotlistResponse]:
        """The shorter way to the newest version, from the caller's."""
        subject = current_peer().subject
        if not subject.merchant_id:
            raise DomainError(Code.PERMISSION_DENIED, "TERMINAL_NEEDED", "only merchants and terminals read the hotlist here")
        self._count(subject.uri)
        if request.version > _HIGHEST:
            raise bad("version", "no version of ours")
        async with self._session() as driver:
            way = await way_for(driver, request.epoch, request.version)
        kind = "delta" if way.from_version else "snapshot"
        metrics.HOTLIST_PULLS.labels("current" if way.from_version == way.to.version else kind).inc()
        async for update in read_way(self._session, way):
            yield messages.GetHotlistResponse(update=update)

    def _count(self, subject: str) -> None:
        """In memory: a limit that keeps one faulty program from the others' sessions need not hold over all processes."""
        minute = self._clock() // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._pulls.clear()
        self._pulls[subject] += 1
        if self._pulls[subject] > self._rules.pulls_per_minute:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_PULLS", "ask for the hotlist again in a minute")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        async with self._turns, driver_session(self._engine) as driver:
            yield driver
