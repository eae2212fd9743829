"""Purses bound to a purpose, from their opening to their end: online, by taps, and under everybody at once."""

import asyncio
from collections import Counter

from sqlalchemy import text

from services.payments.domain.account import FIRST_PURSE_ACCOUNT, AccountStatus
from services.payments.domain.operation import Problem
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Reason
from services.payments.handlers.balances import read_balances
from services.payments.handlers.entries import read_entries
from services.payments.handlers.operate import Operate
from services.payments.handlers.sweep import Sweep
from tests.support.office import FUND, Office
from tests.support.town import FIRST_ACCOUNT, bus_ride, entry, now_ms, purchase, received

ANN = FIRST_ACCOUNT


async def test_a_purse_is_opened_filled_and_pays_first_online_and_offline(office: Office) -> None:
    meals = await office.open_purse(0, 1_000)
    assert meals >= FIRST_PURSE_ACCOUNT
    assert (await office.rule(office.pay(0, 300))).moved_fen == 300
    owed = await office.town.post(received([purchase(0, 400), bus_ride(0), entry(0)]))
    assert len(owed.outcomes) == 3
    assert (await office.available(meals), await office.funds(0)) == (300, (9_800, 0))
    await office.town.post(received([purchase(0, 500)]))
    assert (await office.available(meals), await office.funds(0)) == (0, (9_600, 0))


async def test_the_purses_of_a_holder_stand_beside_the_main_one(office: Office) -> None:
    at = now_ms() + 3_600_000
    await office.open_purse(0, 1_000, void_after_ms=at)
    await office.open_purse(0, 500, "training-voucher")
    await office.rule(office.hold(0, 300))
    main, *purses = await read_balances(office.engine, ANN)
    assert (main.account_id, main.balance_fen, main.available_fen) == (ANN, 10_000, 10_000)
    assert [(p.purpose, p.balance_fen, p.available_fen, p.void_after_ms) for p in purses] == [
        ("meal-subsidy", 1_000, 700, at),
        ("training-voucher", 500, 500, 0),
    ]
    assert (await office.sums(FUND)).balance_fen == -1_500


async def test_a_hold_over_several_purses_is_captured_in_order_and_refunded_in_reverse(office: Office) -> None:
    soon = await office.open_purse(0, 100, void_after_ms=now_ms() + 3_600_000)
    later = await office.open_purse(0, 100)
    held = await office.rule(office.hold(0, 250))
    assert [await office.available(purse) for purse in (soon, later, ANN)] == [0, 0, 9_950]
    assert (await office.rule(office.capture(held, 120, more=True))).moved_fen == 120
    assert (await office.rule(office.capture(held, 100))).moved_fen == 100
    assert [await office.available(purse) for purse in (soon, later, ANN)] == [0, 0, 9_980]
    assert (await office.rule(office.refund(held, 50))).moved_fen == 50
    assert [await office.available(purse) for purse in (soon, later, ANN)] == [0, 30, 10_000]
    payment = await office.payment(held)
    assert [(part.account_id, part.held_fen, part.captured_fen, part.refunded_fen) for part in payment.parts] == [
        (soon, 100, 100, 0),
        (later, 100, 100, 30),
        (ANN, 50, 20, 20),
    ]


async def test_a_one_step_payment_of_several_purses_is_taken_back_to_each(office: Office) -> None:
    meals = await office.open_purse(0, 100)
    paid = await office.rule(office.pay(0, 250))
    payment = await office.payment(paid)
    assert [(part.account_id, part.captured_fen) for part in payment.parts] == [(meals, 100), (ANN, 150)]
    assert payment.status is PaymentStatus.CAPTURED
    assert await office.reason(office.refund(paid, 200)) is Reason.NONE
    assert [await office.available(purse) for purse in (meals, ANN)] == [50, 10_000]
    assert await office.reason(office.refund(paid)) is Reason.NONE
    assert [await office.available(purse) for purse in (meals, ANN)] == [100, 10_000]


async def test_what_a_void_purse_had_paid_goes_back_to_its_fund(office: Office) -> None:
    void_at = now_ms() + 3_000
    meals = await office.open_purse(0, 300, void_after_ms=void_at)
    paid = await office.rule(office.pay(0, 500))
    assert (await office.payment(paid)).parts[0].account_id == meals
    await asyncio.sleep(max(0.0, (void_at - now_ms()) / 1000) + 0.01)
    assert await office.reason(office.pay(0, 9_801)) is Reason.INSUFFICIENT_FUNDS
    assert await office.reason(office.refund(paid)) is Reason.NONE
    assert (await office.available(meals), await office.funds(0)) == (0, (10_000, 0))
    assert (await office.sums(FUND)).balance_fen == 0
    newest = (await read_entries(office.engine, ANN, limit=2))[::-1]
    assert [(e.code, e.amount_fen, e.change_fen) for e in newest] == [(Code.REFUND, 200, 200), (Code.REFUND, 300, 0)]


async def test_a_late_tap_is_paid_by_the_purse_that_was_alive_when_it_happened(office: Office) -> None:
    void_at = now_ms() - 1_000
    meals = await office.open_purse(0, 500, void_after_ms=void_at)
    await office.town.post(received([purchase(0, 300, at_ms=void_at - 1), purchase(0, 100, at_ms=void_at)]))
    assert (await office.available(meals), await office.funds(0)) == (200, (9_900, 0))


async def test_what_is_left_in_a_void_purse_is_swept_back_to_its_fund_once_a_hold_on_it_has_ended(office: Office) -> None:
    meals = await office.open_purse(0, 500, void_after_ms=(void_at := now_ms() + 3_000))
    held = await office.rule(office.hold(0, 200))
    await asyncio.sleep(max(0.0, (void_at - now_ms()) / 1000) + 0.01)
    sweeps = [Sweep(office.engine, Operate(office.ledger)) for _ in range(2)]

    async def sweep() -> int:
        async with office.engine.connect() as one, office.engine.connect() as other:
            return max(await asyncio.gather(sweeps[0].purses(one), sweeps[1].purses(other)))

    assert await sweep() == 1
    assert (await office.sums(FUND)).balance_fen == -200
    assert await sweep() == 0
    await office.rule(office.capture(held, 50))
    assert await sweep() == 1
    assert (await office.available(meals), (await office.sums(FUND)).balance_fen) == (0, -50)


async def test_a_purse_under_everybody_at_once_is_spent_to_the_last_fen_and_not_beyond(office: Office, rival: Office) -> None:
    meals = await office.open_purse(0, 1_000)
    assert await office.reason(office.post((ANN, -9_900), (FUND, 9_900))) is Reason.NONE
    asks = [office.pay(0, 70) if n % 2 else office.hold(0, 70) for n in range(24)]
    taps = [received([purchase(0, 70)]) for _ in range(8)]
    online = [(office, rival)[n % 2].rule(one) for n, one in enumerate(asks)]
    rulings, owed = await asyncio.gather(asyncio.gather(*online), asyncio.gather(*(office.town.post(tap) for tap in taps)))
    taken = sum(ruling.amount_fen for ruling in rulings if not ruling.reason)
    assert Counter(ruling.reason for ruling in rulings).keys() <= {Reason.NONE, Reason.INSUFFICIENT_FUNDS}
    left = await office.available(meals) + await office.available(ANN)
    tapped = 1_100 - taken - left
    assert tapped % 70 == 0
    assert 0 <= left < 70
    assert len(owed) == 8


async def test_purses_opened_at_once_all_belong_to_their_holder(office: Office, rival: Office) -> None:
    opened = await asyncio.gather(*((office, rival)[n % 2].open_purse(0, 10) for n in range(16)))
    assert [balance.account_id for balance in await read_balances(office.engine, ANN)] == [ANN, *sorted(opened)]
    async with office.engine.connect() as connection:
        assert await connection.scalar(text("select purses from payments.account where id = :id"), {"id": ANN}) == 16
    assert (await office.rule(office.pay(0, 170))).moved_fen == 170
    assert await office.funds(0) == (9_990, 0)


async def test_a_payment_never_misses_the_purse_that_was_filled_before_it(office: Office, rival: Office) -> None:
    """Opening and filling are committed; a payment alone decides on a reading of its own and must not be behind."""
    for turn in range(10):
        meals = await office.open_purse(turn % 4, 100)
        process = (office, rival)[turn % 2]
        assert await process.reason(office.pay(turn % 4, 100)) is Reason.NONE
        assert await office.available(meals) == 0


async def test_a_frozen_purse_pays_nothing_and_a_closed_one_is_empty_for_ever(office: Office) -> None:
    meals = await office.open_purse(0, 500)
    assert await office.reason(office.set_status(meals, AccountStatus.FROZEN)) is Reason.NONE
    await office.rule(office.pay(0, 100))
    await office.town.post(received([purchase(0, 100)]))
    assert (await office.available(meals), await office.funds(0)) == (500, (9_800, 0))
    assert await office.reason(office.set_status(meals, AccountStatus.CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    assert await office.reason(office.set_status(meals, AccountStatus.OPEN)) is Reason.NONE
    await office.rule(office.pay(0, 500))
    assert await office.reason(office.set_status(meals, AccountStatus.CLOSED)) is Reason.NONE
    assert await office.reason(office.post((FUND, -1), (meals, 1))) is Reason.ACCOUNT_CLOSED


async def test_nobody_has_a_purse_who_has_no_account(office: Office) -> None:
    opening = await office.purse_opening(99, "meal-subsidy")
    (answer,) = await office.ask(opening)
    assert answer.problem is Problem.UNKNOWN_ACCOUNT
