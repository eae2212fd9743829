"""Fees with a real payments API: each is taken, earned or given back once, and none is forgotten."""

import asyncio
from typing import Any

import pytest

from services.card.adapters import money
from services.card.domain.application import ApplicationState, Step
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.handlers.settle_money import SettleMoney
from services.common.database import driver_session
from services.payments.domain.account import AccountStatus
from tests.support.counter import CASH, Counter, CutOffError


async def test_a_fee_is_taken_in_cash_and_earned_when_there_is_a_card(counter: Counter) -> None:
    await counter.lost_card(1)
    application = await counter.apply(1, FeeSource.CASH)
    await counter.settle()
    assert await counter.fee(application) is FeeState.TAKEN
    assert (await counter.balance(CASH), await counter.balance("card-fees-held")) == (-2000, 2000)
    await counter.registry.hand_over(application)
    for _ in range(2):
        await counter.settle()
    assert await counter.fee(application) is FeeState.EARNED
    held, earned = await counter.balance("card-fees-held"), await counter.balance("card-fees")
    assert (await counter.balance(CASH), held, earned) == (-2000, 0, 2000)


async def test_a_fee_is_given_back_when_there_will_be_no_card(counter: Counter) -> None:
    holder = await counter.lost_card(1)
    await counter.give(holder, 5000)
    application = await counter.apply(1, FeeSource.PURSE)
    await counter.settle()
    assert await counter.balance(holder) == 3000
    await counter.registry.step(application, Step.WITHDRAW)
    await counter.settle()
    assert await counter.fee(application) is FeeState.RETURNED
    assert (await counter.balance(holder), await counter.balance("card-fees-held")) == (5000, 0)


async def test_who_has_not_enough_gets_no_card_and_pays_nothing(counter: Counter) -> None:
    holder = await counter.lost_card(1)
    await counter.give(holder, 1999)
    application = await counter.apply(1, FeeSource.PURSE)
    assert (await counter.registry.begin(application)).refusal is Refusal.FEE_NOT_SETTLED
    await counter.settle()
    assert await counter.fee(application) is FeeState.DECLINED
    state, cause = await counter.owner.fetchrow("select state, cause from card.application where id = $1", application)  # type: ignore[misc]
    assert (state, cause) == (ApplicationState.WITHDRAWN, Refusal.FEE_NOT_SETTLED)
    assert await counter.balance(holder) == 1999
    again = await counter.apply(1, FeeSource.CASH)
    await counter.registry.hand_over(again)


async def test_while_payments_is_away_cash_is_enough_and_a_purse_waits(counter: Counter) -> None:
    away = SettleMoney(counter.registry.engine, None)
    holders = [await counter.lost_card(number) for number in (1, 2)]
    by_cash, by_purse = await counter.apply(1, FeeSource.CASH), await counter.apply(2, FeeSource.PURSE)
    await counter.give(holders[1], 2000)
    await counter.settle(away)
    assert (await counter.registry.begin(by_purse)).refusal is Refusal.FEE_NOT_SETTLED
    await counter.registry.hand_over(by_cash)
    assert {await counter.fee(by_cash), await counter.fee(by_purse)} == {FeeState.TO_TAKE}
    await counter.settle()
    assert (await counter.fee(by_cash), await counter.fee(by_purse)) == (FeeState.EARNED, FeeState.TAKEN)
    await counter.registry.hand_over(by_purse)
    await counter.settle()
    assert (await counter.balance("card-fees"), await counter.balance(holders[1])) == (4000, 0)


async def test_a_crash_between_posting_and_noting_it_posts_nothing_twice(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await counter.lost_card(1)
    await counter.give(holder, 6000)
    application = await counter.apply(1, FeeSource.PURSE)

    async def dies(*_: Any) -> bool:
        raise CutOffError

    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(money, "move_fee", dies)
            with pytest.raises(CutOffError):
                await counter.settle()
    assert await counter.balance(holder) == 4000
    await asyncio.gather(*(counter.settle() for _ in range(4)))
    assert await counter.fee(application) is FeeState.TAKEN
    assert (await counter.balance(holder), await counter.balance("card-fees-held")) == (4000, 2000)


async def test_a_fee_that_a_closed_account_does_not_take_back_stays_in_sight_and_keeps_nobody_back(counter: Counter) -> None:
    holder = await counter.lost_card(1)
    await counter.give(holder, 5000)
    application = await counter.apply(1, FeeSource.PURSE)
    await counter.settle()
    await counter.registry.step(application, Step.WITHDRAW)
    await counter.stand(holder, AccountStatus.CLOSED)
    await counter.lost_card(2)
    other = await counter.apply(2, FeeSource.CASH)
    for _ in range(2):
        await counter.settle()
    assert (await counter.fee(application), await counter.fee(other)) == (FeeState.TAKEN, FeeState.TAKEN)
    async with driver_session(counter.registry.engine) as driver:
        assert (await money.count_waiting(driver))["fee_kept"] == 1
    assert await counter.acts("fee.kept") == 1
    await counter.stand(holder, AccountStatus.OPEN)
    for _ in range(2):
        await counter.look_again()
    assert await counter.fee(application) is FeeState.RETURNED
    assert (await counter.balance(holder), await counter.balance("card-fees-held")) == (5000, 2000)


async def test_what_payments_does_not_take_of_one_keeps_no_other_one_back(counter: Counter) -> None:
    unknown = await counter.lost_card(1)
    bad = await counter.apply(1, FeeSource.PURSE)  # payments has never heard of this holder
    await counter.lost_card(2)
    good = await counter.apply(2, FeeSource.CASH)
    card = await counter.registry.first_card(3)
    holder = await counter.holder(card)
    await counter.give(holder, 700)
    await counter.cancel(card, PayTo.BANK)
    await counter.settle()
    assert (await counter.fee(bad), await counter.fee(good)) == (FeeState.TO_TAKE, FeeState.TAKEN)
    assert await counter.remainder(card) == (True, 700)
    async with driver_session(counter.registry.engine) as driver:
        assert await money.fees_due(driver, 10) == []
    await counter.give(unknown, 2000)
    await counter.look_again()
    assert (await counter.fee(bad), await counter.balance(unknown)) == (FeeState.TAKEN, 0)
