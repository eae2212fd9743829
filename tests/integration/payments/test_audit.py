"""The continuous check: whatever differs is found by a running process, a bounded amount of work at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.payments import metrics
from services.payments.handlers.audit_books import AuditBooks
from services.payments.handlers.check_books import check_books
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from tests.support.sealing import Books, autocommit, sealed_books
from tests.support.town import FIRST_ACCOUNT, Database, bus_ride, received

ACCOUNT = FIRST_ACCOUNT + 1


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> AsyncIterator[Books]:
    async with sealed_books(engine, database.owner_url) as made:
        yield made


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with autocommit(engine) as connection:
        yield connection


def auditor() -> AuditBooks:
    return AuditBooks(rest_seconds=0)


async def test_books_in_order_show_no_difference(books: Books, session: AsyncConnection) -> None:
    audit = auditor()
    for _ in range(3):
        assert await audit(session)
        assert audit.different == {}
    assert metrics.DIFFERENT_ACCOUNTS._value.get() == 0
    assert metrics.AUDITED_BATCH._value.get() == 13
    assert await books.owner.fetchval("select count(*) from payments.audited") > 5
    await roll_up_accruals(session)
    await books.office.town.post(received([bus_ride(1)]))
    assert await audit(session)
    assert audit.different == {}, "what is not sealed yet is counted too"


@pytest.mark.parametrize("audited_before", [True, False])
@pytest.mark.parametrize(
    "tampering",
    [
        "update payments.account set credits_posted_fen = credits_posted_fen + 7 where id = {account}",
        "update payments.account set debits_pending_fen = debits_pending_fen + 7 where id = {account}",
        "delete from payments.account where id = {account}",
        "delete from payments.transfer where debit_account = {account} and batch = 8",
        "update payments.transfer set amount_fen = amount_fen + 1 where debit_account = {account} and batch = 8",
        "update payments.transfer set debit_account = {account} where batch = 5 and row = 3",
        "insert into payments.payment select payments.first_transfer_id(now()), terminal, merchant, scene, request_id, account_id,"
        " payee, one_step, 1, amount_fen, 0, 0, part_accounts, held_fen, '{{0}}', '{{0}}', create_time, expire_time"
        " from payments.payment where account_id = {account} limit 1",
    ],
)
async def test_what_was_changed_by_hand_is_found_and_the_account_named(
    books: Books, session: AsyncConnection, tampering: str, audited_before: bool
) -> None:
    audit = auditor()
    if audited_before:
        for _ in range(3):
            await audit(session)
    assert not (await books.owner.execute(tampering.format(account=ACCOUNT))).endswith(" 0")
    for _ in range(2):
        await audit(session)
    assert ACCOUNT in audit.different
    assert metrics.DIFFERENT_ACCOUNTS._value.get() == len(audit.different)


async def test_a_lost_accrual_is_found(books: Books, session: AsyncConnection) -> None:
    audit = auditor()
    await audit(session)
    payee = await books.owner.fetchval(
        "delete from payments.accrual where ctid = (select max(ctid) from payments.accrual) returning account_id"
    )
    await audit(session)
    assert list(audit.different) == [payee]


async def test_an_account_that_was_mended_differs_no_more(books: Books, session: AsyncConnection) -> None:
    audit = auditor()
    change = "update payments.account set credits_posted_fen = credits_posted_fen + $2 where id = $1"
    await books.owner.execute(change, ACCOUNT, 7)
    await audit(session)
    difference = audit.different[ACCOUNT]
    assert difference.credits_fen - difference.moved_credits_fen == 7
    await books.owner.execute(change, ACCOUNT, -7)
    await audit(session)
    assert audit.different == {}
    assert metrics.DIFFERENT_ACCOUNTS._value.get() == 0


async def test_each_round_does_a_bounded_amount_of_work_and_all_of_it_is_done_in_the_end(
    books: Books, session: AsyncConnection
) -> None:
    audit = AuditBooks(most_transfers=3, most_accounts=2, rest_seconds=0)
    assert not await audit(session), "too much is left to be compared"
    rounds = 1
    while metrics.AUDITED_BATCH._value.get() < 13:
        await audit(session)
        rounds += 1
    assert rounds > 4
    assert audit.different == {}
    await books.owner.execute("delete from payments.transfer where debit_account = $1 and batch = 8", ACCOUNT)
    for _ in range(3):
        await audit(session)
    assert audit.different == {}, "the journal is added up once more in many rounds"
    while not audit.different:
        await audit(session)
    assert ACCOUNT in audit.different


async def test_a_ledger_at_work_shows_no_difference(books: Books, session: AsyncConnection) -> None:
    audit = auditor()
    working = True

    async def post(card: int) -> None:
        while working:
            await books.office.town.post(received([bus_ride(card)]))
            held = await books.office.rule(books.office.hold(card, 10))
            if held.payment is not None:
                await books.office.ask(books.office.capture(held, 5))

    async def keep_house() -> None:
        async with autocommit(books.engine) as other:
            while working:
                await books.seal()
                await roll_up_accruals(other)

    work = [asyncio.create_task(post(card)) for card in range(4)] + [asyncio.create_task(keep_house())]
    compared = 0
    for _ in range(60):
        compared += await audit(session)
        assert audit.different == {}
    working = False
    await asyncio.gather(*work)
    assert compared > 10
    await books.seal()
    while not await audit(session):
        pass
    assert audit.different == {}
    assert (await check_books(books.engine)).balance
