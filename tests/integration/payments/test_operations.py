"""Online operations on the real database: each has one verdict, and no purse ever holds what it does not have."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain.operation import Problem
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from tests.support.office import Office, new_id, open_office
from tests.support.town import build_town


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    yield await open_office(await build_town(engine, 4))
    books = await check_books(engine)
    assert books.balance, books.problem


async def test_a_one_step_payment_takes_the_money_at_once(office: Office) -> None:
    ruling = await office.rule(office.pay(0, 700))
    assert (ruling.reason, ruling.amount_fen, ruling.moved_fen) == (Reason.NONE, 700, 700)
    assert await office.funds(0) == (9_300, 0)


async def test_a_hold_is_captured_in_parts_and_the_rest_let_go(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    assert await office.funds(0) == (10_000, 1_000)
    assert await office.reason(office.capture(held, 300, more=True)) is Reason.NONE
    assert await office.funds(0) == (9_700, 700)
    assert await office.reason(office.capture(held, 701)) is Reason.EXCEEDS_HOLD
    assert await office.reason(office.capture(held, 200)) is Reason.NONE
    assert await office.funds(0) == (9_500, 0)
    assert await office.reason(office.capture(held, 1)) is Reason.NOT_HELD


async def test_a_void_lets_a_hold_go_and_a_second_one_finds_nothing(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    assert await office.reason(office.void(held)) is Reason.NONE
    assert await office.funds(0) == (10_000, 0)
    assert await office.reason(office.void(held)) is Reason.NOT_HELD
    assert await office.reason(office.capture(held)) is Reason.NOT_HELD


async def test_a_void_takes_a_one_step_payment_back(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700))
    assert await office.reason(office.void(paid)) is Reason.NONE
    assert await office.funds(0) == (10_000, 0)
    assert await office.reason(office.void(paid)) is Reason.NOT_HELD
    assert await office.reason(office.refund(paid)) is Reason.EXCEEDS_PAID


async def test_refunds_never_exceed_what_was_paid(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700))
    assert await office.reason(office.refund(paid, 300)) is Reason.NONE
    assert await office.reason(office.refund(paid, 401)) is Reason.EXCEEDS_PAID
    assert await office.reason(office.void(paid)) is Reason.NOT_HELD
    assert await office.reason(office.refund(paid)) is Reason.NONE
    assert await office.reason(office.refund(paid, 1)) is Reason.EXCEEDS_PAID
    assert await office.funds(0) == (10_000, 0)


async def test_a_void_bars_the_way_of_a_payment_that_comes_later(office: Office) -> None:
    name = new_id("late")
    assert await office.reason(office.void(name)) is Reason.NONE
    (late,) = await office.ask(office.pay(0, 700, request_id=name))
    assert late.ruling is not None
    assert late.ruling.reason is Reason.VOIDED
    assert await office.funds(0) == (10_000, 0)


async def test_a_repeat_gets_the_first_verdict_and_another_body_a_conflict(office: Office) -> None:
    name = new_id("same")
    too_much = office.pay(0, 10_001, request_id=name)
    first = await office.rule(too_much)
    assert first.reason is Reason.INSUFFICIENT_FUNDS
    async with office.engine.begin() as connection:
        await connection.execute(text("update payments.account set credits_posted_fen = credits_posted_fen where id = 1"))
    (again,) = await office.ask(too_much)
    assert (again.ruling, again.repeated) == (first, True)
    (other,) = await office.ask(office.pay(0, 5, request_id=name))
    assert other.problem is Problem.CONFLICT


async def test_64_copies_at_once_apply_once(office: Office) -> None:
    payment = office.pay(0, 700)
    answers = await asyncio.gather(*(office.ask(payment) for _ in range(64)))
    assert len({answer.ruling for (answer,) in answers}) == 1
    assert await office.funds(0) == (9_300, 0)


async def test_capture_void_and_a_second_capture_race_and_one_wins(office: Office) -> None:
    for _ in range(5):
        held = await office.rule(office.hold(1, 100))
        rivals = [office.capture(held), office.void(held), office.capture(held, 50)]
        reasons = Counter(await asyncio.gather(*(office.reason(rival) for rival in rivals)))
        assert reasons[Reason.NONE] == 1
    assert (await office.funds(1))[1] == 0


async def test_nobody_touches_what_another_till_paid_but_its_merchant_may(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700, till=office.other_till))
    (refused,) = await office.ask(office.refund(paid))
    assert refused.problem is Problem.UNKNOWN_PAYMENT
    office.till = office.merchant
    assert await office.reason(office.refund(paid)) is Reason.NONE


async def test_what_was_decided_waits_in_the_outbox(office: Office) -> None:
    async def waiting() -> int:
        async with office.engine.connect() as connection:
            return await connection.scalar(text("select count(*) from payments.outbox")) or 0

    before = await waiting()
    await office.ask(office.pay(0, 100), office.pay(0, 200))
    assert await waiting() == before + 1
