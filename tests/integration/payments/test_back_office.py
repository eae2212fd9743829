"""The back office on the real database: sets post together or not at all, accounts are opened, frozen and closed once."""

import asyncio
from collections import Counter

import asyncpg
import pytest
from sqlalchemy import text

from services.payments.domain.account import AccountStatus
from services.payments.domain.operation import Problem
from services.payments.domain.verdict import Reason
from tests.support.deadlocks import Deadlocks
from tests.support.office import FUND, Gate, Office, another_process
from tests.support.town import FIRST_ACCOUNT, Database, bus_ride, now_ms, purchase, received

ANN, BOB = FIRST_ACCOUNT, FIRST_ACCOUNT + 1


async def transfers_of(office: Office) -> int:
    async with office.engine.connect() as connection:
        return await connection.scalar(text("select count(*) from payments.transfer where code = 8")) or 0


# All or none


async def test_a_set_of_many_entries_posts_whole(office: Office) -> None:
    reserve = await office.open("reserve", fen=5_000)
    before = await transfers_of(office)
    ruling = await office.rule(office.post((ANN, -300), (reserve, -200), (BOB, 100), (FUND, 400)))
    assert (ruling.amount_fen, ruling.moved_fen) == (500, 500)
    assert (await office.available(ANN), await office.available(BOB), await office.available(reserve)) == (9_700, 10_100, 4_800)
    assert await transfers_of(office) == before + 3


async def test_one_entry_that_may_not_stops_the_whole_set(office: Office) -> None:
    poor = await office.open("poor", fen=10)
    before = await transfers_of(office)
    refused = await office.rule(office.post((ANN, -300), (BOB, 300), (poor, -11), (FUND, 11)))
    assert (refused.reason, refused.moved_fen) == (Reason.INSUFFICIENT_FUNDS, 0)
    assert (await office.available(ANN), await office.available(BOB), await office.available(poor)) == (10_000, 10_000, 10)
    assert await transfers_of(office) == before


async def test_a_set_that_the_database_rejects_leaves_nothing_of_itself_and_holds_up_nobody(
    office: Office, database: Database
) -> None:
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    await owner.execute("alter table payments.transfer add constraint test_only check (amount_fen <> 4242)")
    await owner.close()
    good, bad = office.post((ANN, -5), (FUND, 5)), office.post((ANN, -100), (FUND, 100), (BOB, -4_242), (FUND, 4_242))
    answers = await office.operate([good, bad, office.pay(1, 7)])
    assert [getattr(answer, "sqlstate", "") for answer in answers] == ["", "23514", ""]
    assert (await office.available(ANN), await office.available(BOB)) == (9_995, 9_993)


async def test_the_overdraft_takes_the_right_and_is_never_exceeded_even_with_it(office: Office, rival: Office) -> None:
    advance = await office.open("advance", overdraft_fen=1_000)
    asked = [office.post((advance, -90), (FUND, 90), overdraw=bool(n % 2)) for n in range(40)]
    rulings = await asyncio.gather(*((office, rival)[n % 4 // 2].rule(one) for n, one in enumerate(asked)))
    without, with_right = rulings[0::2], rulings[1::2]
    assert {ruling.reason for ruling in without} == {Reason.INSUFFICIENT_FUNDS}
    assert Counter(ruling.reason for ruling in with_right) == {Reason.NONE: 11, Reason.INSUFFICIENT_FUNDS: 9}
    assert await office.available(advance) == -990


async def test_two_sets_between_the_same_accounts_the_other_way_round_both_post(office: Office, rival: Office) -> None:
    there = [office.post((ANN, -10), (BOB, 10)) for _ in range(20)]
    back = [office.post((BOB, -10), (ANN, 10)) for _ in range(20)]
    rulings = await asyncio.gather(*map(office.rule, there), *map(rival.rule, back))
    assert {ruling.reason for ruling in rulings} == {Reason.NONE}
    assert (await office.available(ANN), await office.available(BOB)) == (10_000, 10_000)


# Opening


async def test_a_name_asked_for_by_many_at_once_goes_to_one(office: Office, rival: Office) -> None:
    asked = [await office.opening("fees") for _ in range(24)]
    rulings = await asyncio.gather(*((office, rival)[n % 2].rule(one) for n, one in enumerate(asked)))
    assert Counter(ruling.reason for ruling in rulings) == {Reason.NONE: 1, Reason.NAME_TAKEN: 23}
    (opened,) = [ruling.account_id for ruling in rulings if not ruling.reason]
    async with office.engine.connect() as connection:
        assert (await connection.scalars(text("select id from payments.account where name = 'fees'"))).all() == [opened]
    assert await office.rule(asked[rulings.index(next(r for r in rulings if not r.reason))]) in rulings


async def test_by_the_journal_a_name_is_taken_after_it_was_given_never_before(office: Office, database: Database) -> None:
    """The first asker stops under its lock, with a number already; the second one opens the account meanwhile."""
    gate = Gate("locked")
    ours, theirs = await office.opening("fees"), await office.opening("fees")
    async with another_process(office, database, at=gate) as stopped:
        waiting = asyncio.create_task(stopped.rule(ours))
        await gate.reached()
        opened = await office.rule(theirs)
        gate.open()
        refused = await waiting
    assert (opened.reason, refused.reason) == (Reason.NONE, Reason.NAME_TAKEN)
    assert (opened.batch, opened.row) < (refused.batch, refused.row)


async def test_batches_that_want_the_same_names_in_opposite_order_do_not_meet_head_on(office: Office, rival: Office) -> None:
    """A foreign session holds the name in the middle until both wait for it."""
    deadlocks = Deadlocks()
    names = ["first", "middle", "last"]
    one = [await office.opening(name) for name in names]
    other = [await office.opening(name) for name in reversed(names)]
    async with office.engine.connect() as foreign:
        await foreign.exec_driver_sql(
            "insert into payments.account (id, kind, name, guarded) values (nextval('payments.back_office_account_id'), 7, 'middle', true)"
        )
        asked = [asyncio.create_task(office.ask(*one)), asyncio.create_task(rival.ask(*other))]
        await asyncio.wait(asked, timeout=0.5)
        await foreign.rollback()
    answers = await asyncio.gather(*asked)
    reasons = Counter(answer.ruling and answer.ruling.reason for each in answers for answer in each)
    assert reasons == {Reason.NONE: 3, Reason.NAME_TAKEN: 3}
    assert deadlocks.new() == 0


# Freezing and closing


async def test_a_frozen_account_pays_in_no_way_and_is_paid_in_every_way(office: Office) -> None:
    held, paid = await office.rule(office.hold(0, 1_000)), await office.rule(office.pay(0, 500))
    assert await office.reason(office.set_status(ANN, AccountStatus.FROZEN)) is Reason.NONE
    for asked in (office.pay(0, 1), office.hold(0, 1), office.post((ANN, -1), (FUND, 1))):
        assert await office.reason(asked) is Reason.ACCOUNT_FROZEN
    await office.town.post(received([bus_ride(0), purchase(0, 1)]))
    assert await office.funds(0) == (9_500, 1_000)
    for asked in (
        office.top_up(0, 100),
        office.refund(paid, 200),
        office.post((FUND, -1), (ANN, 1)),
        office.capture(held, 600),
    ):
        assert await office.reason(asked) is Reason.NONE
    assert await office.funds(0) == (9_500 + 100 + 200 + 1 - 600, 0)
    assert await office.reason(office.set_status(ANN, AccountStatus.OPEN)) is Reason.NONE
    assert await office.reason(office.pay(0, 1)) is Reason.NONE


async def test_an_account_is_closed_when_nothing_is_on_it_and_stays_closed(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    paid = await office.rule(office.pay(0, 9_000))
    assert await office.available(ANN) == 0
    assert await office.reason(office.set_status(ANN, AccountStatus.CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    await office.rule(office.capture(held))
    assert await office.reason(office.set_status(ANN, AccountStatus.CLOSED)) is Reason.NONE
    for asked in (
        office.pay(0, 1),
        office.hold(0, 1),
        office.top_up(0, 1),
        office.refund(paid),
        office.void(paid),
        office.post((FUND, -1), (ANN, 1)),
        await office.purse_opening(0, "meal-subsidy"),
    ):
        assert await office.reason(asked) is Reason.ACCOUNT_CLOSED
    for status in (AccountStatus.OPEN, AccountStatus.FROZEN):
        assert await office.reason(office.set_status(ANN, status)) is Reason.ACCOUNT_STATUS_FINAL
    await office.town.post(received([bus_ride(0)]))
    assert await office.funds(0) == (0, 0)


async def test_money_and_a_closing_race_and_a_closed_account_is_empty(office: Office, rival: Office) -> None:
    for turn in range(12):
        account = await office.open(f"short-lived-{turn}")
        close = office.set_status(account, AccountStatus.CLOSED)
        bring = [office.post((FUND, -10), (account, 10)) for _ in range(3)]
        closing, *brought = await asyncio.gather(
            office.reason(close), *((rival, office)[n % 2].reason(one) for n, one in enumerate(bring))
        )  # fmt: skip
        arrived = Counter(brought)
        assert closing in (Reason.NONE, Reason.ACCOUNT_NOT_EMPTY)
        assert arrived == ({Reason.ACCOUNT_CLOSED: 3} if closing is Reason.NONE else {Reason.NONE: 3})
        assert await office.available(account) == (0 if closing is Reason.NONE else 30)


async def test_a_freeze_and_payments_race_and_nothing_is_taken_after_it_by_the_journal(office: Office, rival: Office) -> None:
    payments = [(office, rival)[n % 2].rule(office.pay(0, 1)) for n in range(30)]
    freeze = rival.rule(office.set_status(ANN, AccountStatus.FROZEN))
    frozen, *rulings = await asyncio.gather(freeze, *payments)
    for ruling in rulings:
        after = (ruling.batch, ruling.row) > (frozen.batch, frozen.row)
        assert ruling.reason is (Reason.ACCOUNT_FROZEN if after else Reason.NONE)


async def test_accounts_that_only_accrue_have_no_status_and_unknown_ones_neither(office: Office) -> None:
    for account in (FUND, office.till.payable_account, FIRST_ACCOUNT + 99):
        (answer,) = await office.ask(office.set_status(account, AccountStatus.FROZEN))
        assert answer.problem is Problem.UNKNOWN_ACCOUNT


async def test_a_posting_may_belong_to_another_day_but_is_posted_today(office: Office) -> None:
    last_week = now_ms() - 7 * 24 * 3_600_000
    await office.rule(office.post((FUND, -5), (ANN, 5), at_ms=last_week))
    async with office.engine.connect() as connection:
        row = (
            await connection.execute(
                text(
                    "select posting_date - service_date, posting_date = (now() at time zone 'Asia/Shanghai')::date"
                    " from payments.transfer where code = 8"
                )
            )
        ).one()
    assert tuple(row) == (7, True)


@pytest.mark.parametrize("overdraw", [False, True])
async def test_what_the_database_guards_no_posting_gets_past(office: Office, database: Database, overdraw: bool) -> None:
    """The rules refuse first; were they wrong, the account would still be covered."""
    account = await office.open("guarded", overdraft_fen=100)
    reason = await office.reason(office.post((account, -101), (FUND, 101), overdraw=overdraw))
    assert reason is Reason.INSUFFICIENT_FUNDS
    application = await asyncpg.connect(database.application_url.replace("+asyncpg", ""))
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="guarded_account_stays_covered"):
            await application.execute("update payments.account set debits_pending_fen = 101 where id = $1", account)
    finally:
        await application.close()
