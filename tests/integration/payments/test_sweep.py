"""What runs out ends by itself, once, whoever sweeps."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.outcomes_pb2 import OPERATION_EXPIRE, Outcome
from services.payments.adapters import requests
from services.payments.domain.account import FIRST_PURSE_ACCOUNT
from services.payments.domain.operation import Entry
from services.payments.domain.transfer import CNY
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.sweep import Sweep
from tests.support.office import Office, new_id, open_office
from tests.support.town import CAMPUS, FIRST_ACCOUNT, build_town, now_ms


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    yield await open_office(await build_town(engine, 2))
    books = await check_books(engine)
    assert books.balance, books.problem


async def swept(office: Office, what: str, sweepers: int = 1) -> list[int]:
    async def one() -> int:
        sweep = Sweep(office.engine, office.operate)
        async with office.engine.connect() as connection:
            return await (sweep.holds(connection) if what == "holds" else sweep.purses(connection))

    return list(await asyncio.gather(*(one() for _ in range(sweepers))))


async def test_a_hold_that_ran_out_is_let_go_once_by_several_sweepers(office: Office) -> None:
    kept = await office.rule(office.hold(0, 100))
    await office.rule(office.hold(0, 1_000, hold_ms=1))
    await asyncio.sleep(0.01)
    assert await office.funds(0) == (10_000, 1_100)
    await swept(office, "holds", sweepers=3)
    assert await office.funds(0) == (10_000, 100)
    assert await swept(office, "holds") == [0]
    assert await office.reason(office.capture(kept)) is Reason.NONE


async def test_a_captured_hold_does_not_expire(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000, hold_ms=1))
    await asyncio.sleep(0.01)
    assert await office.reason(office.capture(held)) is Reason.NONE
    assert await swept(office, "holds") == [0]
    assert await office.funds(0) == (9_000, 0)


async def test_the_merchant_is_told_that_its_hold_ran_out(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000, hold_ms=1))
    await asyncio.sleep(0.01)
    await swept(office, "holds")
    async with office.engine.connect() as connection:
        payload = await connection.scalar(text("select payload from payments.outbox order by id desc limit 1"))
    ((key, value),) = requests._decode(payload)
    outcome = Outcome.FromString(value)
    assert (key, outcome.identity.merchant_id, outcome.operation) == (CAMPUS.encode(), CAMPUS, OPERATION_EXPIRE)
    assert held.payment is not None
    assert outcome.payment_id == held.payment.hex()


async def test_what_is_left_in_a_void_purse_goes_back_to_its_fund(office: Office) -> None:
    async with office.engine.connect() as connection:
        fund = await connection.scalar(text("select id from payments.account where name = 'concession_fund'"))
    assert isinstance(fund, int)
    purse_id = FIRST_PURSE_ACCOUNT + 77
    void_after_ms = now_ms() + 3_000
    purse = requests.new_purse(purse_id, FIRST_ACCOUNT, "meal-subsidy", void_after_ms, fund)
    opening = requests.open_account(
        office.service, new_id("open"), purse_id, name="", currency=CNY, guarded=True, overdraft_fen=0, purse=purse
    )  # fmt: skip
    assert await office.reason(opening) is Reason.NONE
    entries = Entry(fund, debit=True, amount_fen=500), Entry(purse_id, debit=False, amount_fen=500)
    funding = requests.post(office.service, new_id("fund"), entries, CNY, event_time_ms=0, may_overdraw=False)
    assert await office.reason(funding) is Reason.NONE
    assert await swept(office, "purses") == [0]
    await asyncio.sleep(max(0.0, void_after_ms / 1000 - time.time()) + 0.05)
    assert sum(await swept(office, "purses", sweepers=3)) >= 1
    async with office.engine.connect() as connection:
        left = await connection.scalar(
            text("select credits_posted_fen - debits_posted_fen from payments.account where id = :id"), {"id": purse_id}
        )
    assert left == 0
    assert await swept(office, "purses") == [0]
