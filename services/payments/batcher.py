"""Gathers calls that wait for an answer into batches: alone a call goes at once, in company it waits for the others.

The company is how many calls were pending at once of late. While callers ask again as soon as they are answered, so many will
come, and a few of them are waited for by number. Of a crowd nobody knows the number, because what a busy process has not read
yet is not pending: it is waited for until no more come, and meanwhile this process has enough to do with reading and answering.
"""

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
"""How long company that does not come is waited for,"""
A_CALL_SECONDS: Final = 0.0004
"""and how much longer for each call that is missing: about what this process needs to read one and to answer one."""
CROWD: Final = 32
"""So many pending calls are a crowd."""
SILENCE_SECONDS: Final = 0.001
"""After so long without another call, and with time left to read one, a crowd is complete."""
LONGEST_SECONDS: Final = 0.03
"""How long a crowd is waited for while it keeps coming."""
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
        self._company = 1
        self._wanted = 1
        self._enough = asyncio.Event()
        self._door = asyncio.Lock()

    async def call(self, operation: Operation) -> Answered | Rejected:
        """Wait for the answer. A call that is given up before its batch begins is not posted.

        Raises DomainError when the ledger stays away: the outcome is then unknown, and asked for again by the same id.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answered | Rejected] = loop.create_future()
        self._waiting.append(Waiting(operation, answer, loop.time()))
        self._company = max(self._company, self._pending)
        if len(self._waiting) >= self._wanted:
            self._enough.set()
        return await answer

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lanes):
                group.create_task(self._lane())
            group.create_task(self._watch())

    @property
    def _pending(self) -> int:
        return len(self._waiting) + sum(map(len, self._posting))

    async def _lane(self) -> None:
        while True:
            async with self._door:
                await self._gather()
                batch = self._take()
            if batch:
                await self._post(batch)

    async def _gather(self) -> None:
        """Wait for a call, and for those that are expected with it."""
        await self._until(1)
        if self._company < CROWD:
            await self._wait_for_company()
        else:
            await self._wait_for_silence()

    async def _wait_for_company(self) -> None:
        missing = max(0, self._company - len(self._waiting))
        try:
            async with asyncio.timeout(COMPANY_SECONDS + missing * A_CALL_SECONDS):
                await self._until(self._company)
        except TimeoutError:
            self._company = self._pending

    async def _wait_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = now + LONGEST_SECONDS
        while now < until and len(self._waiting) < self._limit:
            heard, before = len(self._waiting), now
            await asyncio.sleep(SILENCE_SECONDS)
            now = loop.time()
            had_time = now < before + 2 * SILENCE_SECONDS
            # Those whom another lane is about to answer come again: too few are not sent ahead of them.
            if had_time and heard == len(self._waiting) >= self._pending // 3:
                break
        self._company = self._pending

    async def _until(self, wanted: int) -> None:
        self._wanted = min(wanted, self._limit)
        if len(self._waiting) < self._wanted:
            self._enough.clear()
            await self._enough.wait()

    def _take(self) -> list[Waiting]:
        waiting = self._waiting
        batch: list[Waiting] = []
        while waiting and len(batch) < self._limit:
            call = waiting.popleft()
            if not call.answer.done():  # whose caller has gone is not posted
                batch.append(call)
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
