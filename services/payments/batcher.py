"""Gathers calls that wait for an answer into batches: alone a call goes at once, in company it waits for the others.

While callers ask again as soon as they are answered, as many will come as are in flight. How many that are can be counted when
this process is idle and so has read everything that came: what it has not read yet is not pending. While it is never idle it
waits longer without knowing, so that batches do not stay small; it has enough to do meanwhile with reading and answering.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from math import ceil, inf
from time import thread_time
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
"""So many calls are shared among the lanes: one reads and answers while another waits for the database."""
COUNTED_EVERY: Final = 16
"""After so many batches they are counted anew."""
IDLE_SECONDS: Final = 0.002
"""A process that was idle for so long has read everything that came."""
LONGEST_SECONDS: Final = 0.03
"""How long a process that is never idle counts."""
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
        self._company: float = 1
        """How many are in flight, this call included; infinite when that is not known."""
        self._gathered = 0
        self._wanted: float = 1
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
        if self._company == 1:
            return
        self._gathered += 1
        if self._company == inf or self._gathered % COUNTED_EVERY == 0:
            self._company = await self._count()
        if self._company < inf:
            await self._wait_for_company()

    async def _count(self) -> float:
        """How many are in flight; infinite when this process was never idle."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_SECONDS
        idle = 0
        while (now := loop.time()) < until and len(self._waiting) < self._limit:
            worked, waiting = thread_time(), len(self._waiting)
            await asyncio.sleep(IDLE_SECONDS / 2)
            was_idle = len(self._waiting) == waiting and thread_time() - worked < (loop.time() - now) / 2
            idle = idle + 1 if was_idle else 0
            if idle == 2:
                return self._pending
        return inf

    async def _wait_for_company(self) -> None:
        share = self._company if self._company < CROWD else ceil(self._company / self._lanes)
        missing = max(0, share - len(self._waiting))
        try:
            async with asyncio.timeout(COMPANY_SECONDS + missing * A_CALL_SECONDS):
                await self._until(share)
        except TimeoutError:
            self._company = inf

    async def _until(self, wanted: float) -> None:
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
