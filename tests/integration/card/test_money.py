"""Fees and remainders with a real payments API before the same database: each is posted once, and none is forgotten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.card.adapters import money
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.domain.application import ApplicationKind, ApplicationState, Step
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.life_cycle import Need, Party, Verb
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.once import transact
from services.card.handlers.settle_money import SettleMoney, cash_of
from services.common.database import make_engine
from services.common.grpc.listen import Tls
from services.payments.handlers.callers import grant
from services.payments.handlers.open_accounts import Opening, open_accounts
from tests.support.api import Front
from tests.support.cardholders import CLERK, WANTED, Registry, submission
from tests.support.hall import Owner
from tests.support.town import KEY, Database, now_ms

CASH = cash_of(CLERK.terminal)
PURSE = frozenset({FeeSource.PURSE})


class CutOffError(Exception):
    """The process dies here."""


class Counter:
    """The registry's money, before real payments."""

    def __init__(self, registry: Registry, database: Database, owner: Owner, front: Front, desk: PaymentsDesk) -> None:
        self.registry = registry
        self.database = database
        self.owner = owner
        self.front = front
        self.desk = desk
        self.money = SettleMoney(registry.engine, desk)

    async def settle(self, money: SettleMoney | None = None) -> None:
        """One round of the duty."""
        async with self.registry.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await (money or self.money)(connection)

    async def balance(self, account: str | int) -> int:
        """Credits minus debits; 0 for an account that was never opened."""
        by = "name" if isinstance(account, str) else "id"
        found = await self.owner.fetchval(
            f"select credits_posted_fen - debits_posted_fen from payments.account where {by} = $1", account
        )
        accrued = await self.owner.fetchval(
            f"""select coalesce(sum(c.credits_fen) - sum(c.debits_fen), 0) from payments.accrual c
                join payments.account a on a.id = c.account_id where a.{by} = $1""",
            account,
        )
        return int(found or 0) + int(accrued or 0)

    async def give(self, holder: int, fen: int) -> None:
        """Money in a purse."""
        engine = make_engine(self.database.application_url, "tests", sessions=1)
        await open_accounts(engine, KEY, [Opening(holder, fen)], lambda _: None)
        await engine.dispose()

    async def lost_card(self, number: int) -> int:
        card = await self.registry.first_card(number)
        await self.registry.change(card, Verb.REPORT_FORMAL_LOSS)
        return await self.holder(card)

    async def holder(self, card: int) -> int:
        found: int = await self.owner.fetchval("select holder from card.card where id = $1", card)
        return found

    async def apply(self, number: int, source: FeeSource) -> int:
        wanted = replace(WANTED, kind=ApplicationKind.REISSUE, fee=source)
        (decided,) = await self.registry.submit(submission(number, wanted=wanted))
        assert decided.application is not None
        return decided.application

    async def fee(self, application: int) -> FeeState:
        return FeeState(await self.owner.fetchval("select state from card.fee where application = $1", application))

    async def cancel(self, card: int, pay_to: PayTo = PayTo.CASH) -> Changed:
        change = Change(card, Verb.CANCEL, Party.HOLDER_IN_PERSON, frozenset(Need), 1, pay_to)
        return await transact(
            self.registry.engine,
            lambda driver: change_card(driver, self.registry.sealing, self.registry.settings, change, CLERK, now_ms()),
        )


@pytest.fixture
async def counter(registry: Registry, database: Database, owner: Owner, tmp_path: Path) -> AsyncIterator[Counter]:
    engine = make_engine(database.owner_url, "tests", sessions=1)
    await grant(engine, "card", "back_office")
    await engine.dispose()
    front = Front(database, tmp_path)
    front.start()
    await front.serve()
    ours = front.authority.issue("onecard://service/card")
    desk = PaymentsDesk(front.address, Tls(ours.certificate, ours.key, front.authority.certificate))
    yield Counter(registry, database, owner, front, desk)
    await desk.close()
    front.end()


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
    assert (await counter.balance(holder), await counter.balance(CASH)) == (0, 4321)


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
    assert (left.done, left.paid_fen, await counter.balance(CASH)) == (True, 900, 900)
