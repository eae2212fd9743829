"""Calls become batches: who is alone goes at once, who is not goes with the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.common.errors import Code, DomainError
from services.payments import batcher as module
from services.payments.batcher import CROWD, Batcher
from services.payments.domain.operation import Operation

DECIDING_SECONDS = 0.005


class Ledger:
    """Answers each operation with itself, after a while, and keeps what it was asked at once."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def decide(self, operations: Sequence[Operation]) -> Sequence[Any]:
        self.batches.append(list(operations))
        await asyncio.sleep(DECIDING_SECONDS)
        await self.may_answer.wait()
        return operations

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


@asynccontextmanager
async def working(ledger: Ledger, **how: int) -> AsyncIterator[Batcher]:
    batcher = Batcher(ledger.decide, **how)
    work = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def operation(name: object) -> Operation:
    return cast("Operation", SimpleNamespace(name=name))


async def ask_again_and_again(batcher: Batcher, caller: int, times: int) -> None:
    for _ in range(times):
        asked = operation(caller)
        assert cast("object", await batcher.call(asked)) is asked


async def test_a_call_that_is_alone_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPANY_SECONDS", 1000.0)
    ledger = Ledger()
    async with working(ledger) as batcher, asyncio.timeout(10):
        await ask_again_and_again(batcher, 1, 5)
    assert ledger.sizes == [1, 1, 1, 1, 1]


async def test_a_few_who_ask_again_and_again_soon_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPANY_SECONDS", 1000.0)
    ledger = Ledger()
    async with working(ledger) as batcher, asyncio.timeout(10):
        await asyncio.gather(*(ask_again_and_again(batcher, caller, 20) for caller in range(8)))
    assert sum(ledger.sizes) == 160
    assert ledger.sizes[-10:] == [8] * 10


async def test_company_that_has_left_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    async with working(ledger) as batcher, asyncio.timeout(10):
        await asyncio.gather(*(ask_again_and_again(batcher, caller, 2) for caller in range(8)))
        await ask_again_and_again(batcher, 9, 1)
        monkeypatch.setattr(module, "COMPANY_SECONDS", 1000.0)
        await ask_again_and_again(batcher, 9, 3)
    assert ledger.sizes[-4:] == [1, 1, 1, 1]


async def test_a_crowd_goes_in_few_batches() -> None:
    ledger = Ledger()
    async with working(ledger) as batcher, asyncio.timeout(30):
        await asyncio.gather(*(ask_again_and_again(batcher, caller, 20) for caller in range(8 * CROWD)))
    assert sum(ledger.sizes) == 160 * CROWD
    assert len(ledger.sizes) < 160


async def test_a_batch_has_a_limit_and_everybody_has_an_answer() -> None:
    ledger = Ledger()
    async with working(ledger, limit=5) as batcher, asyncio.timeout(10):
        await asyncio.gather(*(ask_again_and_again(batcher, caller, 3) for caller in range(23)))
    assert sum(ledger.sizes) == 69
    assert max(ledger.sizes) == 5


async def test_calls_are_posted_in_the_order_in_which_they_came() -> None:
    ledger = Ledger()
    async with working(ledger, lanes=1) as batcher, asyncio.timeout(10):
        await asyncio.gather(*(batcher.call(operation(number)) for number in range(100)))
    assert [asked.name for batch in ledger.batches for asked in batch] == list(range(100))


async def test_a_call_that_is_given_up_before_its_batch_begins_is_not_posted() -> None:
    ledger = Ledger()
    ledger.may_answer.clear()
    async with working(ledger, lanes=1) as batcher, asyncio.timeout(10):
        first = asyncio.create_task(batcher.call(operation("first")))
        await asyncio.sleep(2 * DECIDING_SECONDS)
        given_up = asyncio.create_task(batcher.call(operation("given up")))
        stays = asyncio.create_task(batcher.call(operation("stays")))
        await asyncio.sleep(0)
        given_up.cancel()
        ledger.may_answer.set()
        await asyncio.gather(first, stays)
    assert [asked.name for batch in ledger.batches for asked in batch] == ["first", "stays"]


async def test_nobody_waits_for_ever_for_a_ledger_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    ledger = Ledger()
    ledger.may_answer.clear()
    async with working(ledger) as batcher, asyncio.timeout(10):
        with pytest.raises(DomainError) as told:
            await batcher.call(operation("late"))
    assert told.value.code is Code.UNAVAILABLE
