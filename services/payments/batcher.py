"""Gathers calls that wait for an answer into batches: alone a call goes at once, in company it waits a moment for more."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from services.common.errors import Code, DomainError
from services.payments.domain.operation import Answered, Operation
from services.payments.handlers.operate import Rejected

Decide = Callable[[Sequence[Operation]], Awaitable[Sequence[Answered | Rejected]]]

COMPANY_SECONDS: Final = 0.002
"""How long a lane waits at least for more calls when there was company a moment ago."""
A_CALL_SECONDS: Final = 0.001
"""How much longer for each call of its last batch: above 1,000 calls a second batches grow, below they shrink."""
LONGEST_SECONDS: Final = 0.025
"""But no longer than this, and only while calls keep coming."""
PATIENCE_SECONDS: Final = 10.0
"""How long a call waits for a database that is away. After that nobody knows its outcome but the ledger, under its id."""


class Waiting(NamedTuple):
    """A call, and who waits for its answer."""

    operation: Operation
    answer: "asyncio.Future[Answered | Rejected]"
    since: float


class Batcher:
    """A few lanes that post what waits; `call` returns a call's own answer."""

    def __init__(self, decide: Decide, *, lanes: int = 2, limit: int = 512) -> None:
        self._decide = decide
        self._lanes = lanes
        self._limit = limit
        self._waiting: deque[Waiting] = deque()
        self._posting: list[Sequence[Waiting]] = []
        self._last = 0
        self._wake = asyncio.Event()

    async def call(self, operation: Operation) -> Answered | Rejected:
        """Wait for the answer. A call that is given up before its batch begins is not posted.

        Raises DomainError when the ledger stays away: the outcome is then unknown, and asked for again by the same id.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answered | Rejected] = loop.create_future()
        self._waiting.append(Waiting(operation, answer, loop.time()))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lanes):
                group.create_task(self._lane())
            group.create_task(self._watch())

    async def _lane(self) -> None:
        while True:
            await self._wake.wait()
            if self._last > 1:
                await self._gather(min(max(COMPANY_SECONDS, self._last * A_CALL_SECONDS), LONGEST_SECONDS))
            if batch := self._take():
                self._last = len(batch)
                await self._post(batch)

    async def _gather(self, seconds: float) -> None:
        """Wait for company, as long as it keeps coming."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        before = 0
        while before < len(self._waiting) < self._limit and loop.time() < until:
            before = len(self._waiting)
            await asyncio.sleep(COMPANY_SECONDS)

    def _take(self) -> list[Waiting]:
        waiting = self._waiting
        batch: list[Waiting] = []
        while waiting and len(batch) < self._limit:
            call = waiting.popleft()
            if not call.answer.done():  # whose caller has gone is not posted
                batch.append(call)
        if not waiting:
            self._wake.clear()
        return batch

    async def _post(self, batch: Sequence[Waiting]) -> None:
        self._posting.append(batch)
        try:
            answers = await self._decide([call.operation for call in batch])
            for call, answer in zip(batch, answers, strict=True):
                if not call.answer.done():
                    call.answer.set_result(answer)
        except BaseException:
            for call in batch:
                call.answer.cancel()
            raise
        finally:
            self._posting.remove(batch)

    async def _watch(self) -> None:
        """Let nobody wait for ever; what is being posted goes on."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            late = loop.time() - PATIENCE_SECONDS
            for call in chain(self._waiting, *self._posting):
                if call.since < late and not call.answer.done():
                    call.answer.set_exception(
                        DomainError(Code.UNAVAILABLE, "LEDGER_AWAY", "账务系统暂时无法应答，请用同一请求号重试")
                    )
