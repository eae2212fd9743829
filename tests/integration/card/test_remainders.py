"""What is left of cancelled cards, with a real payments API: paid out to the end, and once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.card.adapters import money
from services.card.domain.application import ApplicationKind, Step
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.life_cycle import Verb
from services.card.domain.remainder import PayTo
from services.card.handlers.settle_money import SettleMoney
from services.payments.domain.account import AccountStatus
from tests.support.cardholders import WANTED, submission
from tests.support.counter import CASH, LEFT, Counter, CutOffError


async def test_what_is_left_is_paid_out_when_a_card_is_cancelled_and_once(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 4321)
    assert (await counter.cancel(card)).refusal is None
    paid = await asyncio.gather(*(counter.money.remainder_of(card) for _ in range(4)))
    await counter.settle()
    left = await counter.money.remainder_of(card)
    assert left is not None
    assert (left.done, left.paid_fen) == (True, 4321)
    assert all(one is not None for one in paid)
    assert (await counter.balance(holder), await counter.balance(LEFT), await counter.balance(CASH)) == (0, 4321, 0)
    handed = await asyncio.gather(*(counter.hand_out(holder) for _ in range(4)))
    assert sorted(one.remainder_fen for one in handed) == [0, 0, 0, 4321]
    await asyncio.gather(*(counter.settle() for _ in range(4)))
    assert (await counter.balance(LEFT), await counter.balance(CASH)) == (0, 4321)


async def test_nothing_left_is_settled_at_once_and_a_temporary_card_leaves_the_account_alone(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    await counter.cancel(card, PayTo.BANK)
    left = await counter.money.remainder_of(card)
    assert left is not None
    assert (left.done, left.paid_fen) == (True, 0)
    wanted = replace(WANTED, kind=ApplicationKind.TEMPORARY)
    (decided,) = await counter.registry.submit(submission(2, wanted=wanted))
    temporary = await counter.registry.hand_over(decided.application or 0)
    await counter.cancel(temporary)
    assert await counter.money.remainder_of(temporary) is None


async def test_what_is_held_is_looked_at_again_and_follows(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 1000)
    await counter.owner.execute("update payments.account set debits_pending_fen = 300 where id = $1", holder)
    await counter.cancel(card)
    left = await counter.money.remainder_of(card)
    assert left is not None
    assert (left.done, left.paid_fen) == (False, 700)
    await counter.owner.execute("update payments.account set debits_pending_fen = 0 where id = $1", holder)
    await counter.settle()
    assert await counter.balance(holder) == 300
    await counter.owner.execute("update card.remainder set next_time = now()")
    await counter.settle()
    done = await counter.money.remainder_of(card)
    assert done is not None
    assert (done.done, done.paid_fen, await counter.balance(holder)) == (True, 1000, 0)


async def test_a_crash_while_a_remainder_is_paid_pays_it_once(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 900)
    await counter.cancel(card)

    async def dies(*_: Any, **__: Any) -> None:
        raise CutOffError

    with monkeypatch.context() as patched:
        patched.setattr(money, "end_attempt", dies)
        with pytest.raises(CutOffError):
            await counter.settle()
    assert await counter.balance(holder) == 0
    await counter.settle()
    left = await counter.money.remainder_of(card)
    assert left is not None
    assert (left.done, left.paid_fen, await counter.balance(LEFT)) == (True, 900, 900)


async def test_the_next_card_ends_what_is_left_to_pay_of_the_last_one_and_its_money_stays(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 1000)
    await counter.hold(holder, 300)
    await counter.cancel(card, PayTo.BANK)
    await counter.settle()
    assert await counter.remainder(card) == (False, 700)
    await counter.registry.first_card(1)
    assert (await counter.remainder(card), await counter.acts("remainder.ended")) == ((True, 700), 1)
    await counter.hold(holder, 0)
    await counter.receive(holder, 10_000)
    await counter.look_again()
    # As it would be, had the card been enabled between a look at the purse and the lock.
    await counter.owner.execute("update card.remainder set done = false, next_time = now()")
    await counter.settle()
    assert (await counter.remainder(card), await counter.acts("remainder.ended")) == ((True, 700), 2)
    await counter.look_again()
    assert (await counter.balance(holder), await counter.acts("remainder.paid")) == (10_300, 1)


async def test_while_a_temporary_card_lives_the_account_is_left_alone(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 500)
    (made,) = await counter.registry.submit(submission(1, wanted=replace(WANTED, kind=ApplicationKind.TEMPORARY)))
    temporary = await counter.registry.hand_over(made.application or 0)
    await counter.cancel(card, PayTo.BANK)
    await counter.look_again()
    assert (await counter.remainder(card), await counter.balance(holder)) == ((False, 0), 500)
    await counter.registry.change(temporary, Verb.CANCEL)
    await counter.look_again()
    assert (await counter.remainder(card), await counter.balance(holder)) == ((True, 500), 0)


async def test_what_comes_between_the_decision_and_the_posting_is_paid_as_well(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 700)
    await counter.cancel(card, PayTo.BANK)

    async def dies(point: str) -> None:
        if point == "remainder decided":
            raise CutOffError

    with pytest.raises(CutOffError):
        await counter.settle(SettleMoney(counter.registry.engine, counter.desk, dies))
    await counter.receive(holder, 500)
    await counter.settle()
    assert (await counter.remainder(card), await counter.balance(holder)) == ((True, 1200), 0)
    assert await counter.acts("remainder.paid") == 2


async def test_a_late_refund_is_paid_out_as_long_as_one_is_awaited(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 700)
    await counter.cancel(card, PayTo.BANK)
    await counter.settle()
    assert await counter.remainder(card) == (True, 700)
    await counter.receive(holder, 250)
    await counter.settle()
    assert await counter.remainder(card) == (True, 700)  # it is looked at once a day
    await counter.look_again()
    assert await counter.remainder(card) == (True, 950)
    await counter.owner.execute("update card.remainder set watch_until = now()")
    await counter.look_again()
    assert await counter.owner.fetchval("select next_time from card.remainder where card = $1", card) is None
    assert await counter.acts("remainder.paid") == 2


async def test_a_fee_that_comes_back_to_the_purse_of_a_cancelled_card_is_paid_out_with_the_rest(counter: Counter) -> None:
    holder = await counter.lost_card(1)
    await counter.give(holder, 5000)
    application = await counter.apply(1, FeeSource.PURSE)
    await counter.settle()
    await counter.registry.step(application, Step.REFUSE)
    card = await counter.owner.fetchval("select id from card.card where holder = $1", holder)
    assert (await counter.cancel(card, PayTo.BANK)).refusal is None  # which ends the application, too
    await counter.owner.execute("update card.fee set next_time = now() + interval '1 hour'")
    await counter.settle()
    assert await counter.remainder(card) == (True, 3000)
    await counter.owner.execute("update card.remainder set next_time = null")
    await counter.look_again()
    await counter.settle()
    assert await counter.fee(application) is FeeState.RETURNED
    assert (await counter.remainder(card), await counter.balance(holder)) == ((True, 5000), 0)


async def test_a_frozen_account_is_asked_again_later_and_nothing_is_called_paid(counter: Counter) -> None:
    card = await counter.registry.first_card(1)
    holder = await counter.holder(card)
    await counter.give(holder, 700)
    await counter.stand(holder, AccountStatus.FROZEN)
    await counter.cancel(card, PayTo.BANK)
    for _ in range(3):
        await counter.settle()
    assert await counter.owner.fetchval("select attempt from card.remainder where card = $1", card) == 2
    assert (await counter.remainder(card), await counter.acts("remainder.paid")) == ((False, 0), 0)
    await counter.stand(holder, AccountStatus.OPEN)
    await counter.look_again()
    assert (await counter.remainder(card), await counter.acts("remainder.paid")) == ((True, 700), 1)
