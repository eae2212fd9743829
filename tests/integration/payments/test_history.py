"""What is older than the acceptance horizon posts nothing, for ever, also when its verdicts are folded and its month is gone."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.paths import ROOT
from sdk.merchant.transaction import SignedRecord
from services.common.clock import instant, milliseconds
from services.common.database import make_engine, sqlstate_of
from services.common.errors import DomainError
from services.payments.adapters.progress import list_gaps
from services.payments.adapters.registry import Registry
from services.payments.adapters.wire import decode
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Answer, Reason
from services.payments.handlers import verify_ledger
from services.payments.handlers.audit_books import AuditBooks
from services.payments.handlers.balances import read_balances
from services.payments.handlers.check_books import check_books
from services.payments.handlers.detach_partitions import detach_partition, old_partitions
from services.payments.handlers.entries import read_entries
from services.payments.handlers.fold_marks import Folded, fold_marks
from services.payments.handlers.follow_sequences import FollowSequences
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from tests.support.sealing import Books, autocommit, sealed_books
from tests.support.town import FIRST_ACCOUNT, Database, bus_ride, now_ms, purchase, received

HORIZON_DAYS = 180
DAY_MS = 24 * 3_600_000
LAST_YEAR_MS = now_ms() - 400 * DAY_MS
CARD = 2


class History:
    """A ledger that posted something four hundred days ago, and the commands of its owner."""

    def __init__(self, books: Books, owner: AsyncEngine) -> None:
        self.books = books
        self.owner = owner

    async def post(self, records: list[SignedRecord], at_ms: int) -> list[Answer]:
        """As a worker would whose clock stands there."""
        town = self.books.office.town
        await town.registry.refresh_if_due()
        await town.verifier.refresh_if_due()
        entries = [(record, decode(record, town.registry, town.verifier)) for record in received(records)]
        assert all(isinstance(read, Tap) for _, read in entries)
        return await town.ledger.post(entries, at_ms, read_all=True)

    async def reasons(self, records: list[SignedRecord], at_ms: int) -> list[Reason | None]:
        return [answer.verdict and answer.verdict.reason for answer in await self.post(records, at_ms)]

    async def fold(self) -> Folded:
        async with autocommit(self.books.engine) as session:
            await FollowSequences()(session)
        folded = await fold_marks(self.owner, HORIZON_DAYS, lambda done, total: None)
        self.books.office.town.registry = Registry(self.books.engine)
        return folded

    async def an_hour_later(self) -> None:
        await self.books.owner.execute("update payments.terminal_mark set create_time = create_time - interval '61 minutes'")

    async def count(self, what: str) -> int:
        return int(await self.books.owner.fetchval(f"select count(*) from payments.{what}"))


@pytest.fixture
async def history(engine: AsyncEngine, database: Database) -> AsyncIterator[History]:
    owner = make_engine(database.owner_url, "owner", sessions=2)
    async with sealed_books(engine, database.owner_url, turns=0) as books:
        made = History(books, owner)
        month = instant(LAST_YEAR_MS).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        await books.owner.execute(
            "do $$ begin execute format('create table payments.transfer_old partition of payments.transfer for values from"
            f" (%L) to (%L)', payments.first_transfer_id('{month.isoformat()}'),"
            f" payments.first_transfer_id('{month.isoformat()}'::timestamptz + interval '1 month')); end $$"
        )
        yield made
    await owner.dispose()


def old_taps() -> list[SignedRecord]:
    """Sequences 11, 12 and 14 of one terminal: a ride, a meal that is too dear, a meal."""
    at_ms = LAST_YEAR_MS - 1000
    return [
        purchase(CARD, 300, terminal=7, sequence=11, at_ms=at_ms),
        purchase(CARD, 15_000, terminal=7, sequence=12, at_ms=at_ms),
        purchase(CARD, 450, terminal=7, sequence=14, at_ms=at_ms),
    ]


POSTED = [Reason.NONE, Reason.INSUFFICIENT_FUNDS, Reason.NONE]


async def test_no_gaps_are_looked_for_in_what_was_folded_and_nothing_is_folded_that_was_not_counted(history: History) -> None:
    assert await history.reasons(old_taps(), LAST_YEAR_MS) == POSTED
    await history.books.seal()
    assert (await fold_marks(history.owner, HORIZON_DAYS, lambda done, total: None)).marks == 0
    assert (await history.fold()).marks == 1
    assert await history.count("terminal_progress where highest = 14 and received = 0") == 1
    async with history.owner.connect() as connection:
        assert await list_gaps(connection, 10) == []


async def test_what_was_posted_in_month_1_and_comes_again_in_month_14_posts_nothing(history: History) -> None:
    old = old_taps()
    assert await history.reasons(old, LAST_YEAR_MS) == POSTED
    await history.books.seal()
    forged = [purchase(CARD, 300, terminal=7, sequence=sequence) for sequence in (11, 13, 14)]
    transfers = await history.count("transfer")

    assert await history.reasons(old, now_ms()) == POSTED, "the first verdicts again"
    assert await history.reasons(forged[:1], now_ms()) == [None], "another body: a conflict"

    assert (await history.fold())[:2] == (1, 0)
    assert await history.reasons(old, now_ms()) == POSTED, "nothing is forgotten yet"
    assert await history.reasons(forged[1:2], now_ms()) == [Reason.TOO_LATE], "a fresh time does not help behind the mark"

    assert (await history.fold())[1] == 0, "a worker may not have heard of the mark"
    await history.an_hour_later()
    assert (await history.fold())[1] == 3
    assert await history.reasons(old, now_ms()) == [Reason.TOO_LATE] * 3
    assert await history.reasons([forged[0]], now_ms()) == [None], "now that is another body of what was refused"
    assert await history.count("transfer") == transfers
    assert (await check_books(history.books.engine)).balance
    found = await history.books.verify()
    assert (found.problem, found.excused) == ("", 1)


async def test_a_body_with_a_fresh_time_is_refused_behind_the_mark_after_folding(history: History) -> None:
    assert await history.reasons(old_taps(), LAST_YEAR_MS) == POSTED
    await history.books.seal()
    await history.fold()
    await history.an_hour_later()
    assert (await history.fold()).verdicts == 3
    transfers = await history.count("transfer")
    forged = [purchase(CARD, 300, terminal=7, sequence=sequence) for sequence in (11, 12, 13, 14)]
    assert await history.reasons(forged, now_ms()) == [Reason.TOO_LATE] * 4
    assert await history.count("transfer") == transfers
    fresh = purchase(CARD, 300, terminal=7, sequence=15)
    assert await history.reasons([fresh], now_ms()) == [Reason.NONE], "what is ahead of the mark is as ever"


async def test_what_is_folded_while_the_proof_is_on_its_way_is_no_alarm(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    await history.post(old_taps(), LAST_YEAR_MS)
    await history.books.seal()
    await history.fold()
    await history.an_hour_later()
    survey, surveys = verify_ledger._survey, 0

    async def then_fold(engine: AsyncEngine, after: int) -> object:
        nonlocal surveys
        surveys += 1
        found = await survey(engine, after)
        if surveys == 1:
            assert (await history.fold()).verdicts == 3
        return found

    monkeypatch.setattr(verify_ledger, "_survey", then_fold)
    found = await history.books.verify()
    assert (found.problem, found.excused, surveys) == ("", 1, 2)


async def test_a_mark_ends_before_what_may_still_be_on_its_way(history: History) -> None:
    """Sequence 20 is here; 15 to 19 were tapped with it and have not arrived."""
    await history.post(old_taps(), LAST_YEAR_MS)
    await history.post([purchase(CARD, 100, terminal=7, sequence=20)], now_ms())
    await history.books.seal()
    await history.fold()
    assert await history.books.owner.fetchval("select sequence from payments.terminal_mark") == 14
    late = [purchase(CARD, 100, terminal=7, sequence=sequence) for sequence in (17, 15)]
    assert await history.reasons(late, now_ms()) == [Reason.NONE] * 2


async def test_a_clock_that_was_wrong_does_not_keep_a_mark_back(history: History) -> None:
    wrong = purchase(CARD, 100, terminal=7, sequence=12, at_ms=now_ms() + 10_000 * DAY_MS)
    old = [old_taps()[0], wrong, old_taps()[2]]
    assert await history.reasons(old, LAST_YEAR_MS) == [Reason.NONE, Reason.BAD_TIME, Reason.NONE]
    await history.books.seal()
    await history.fold()
    assert await history.books.owner.fetchval("select sequence from payments.terminal_mark") == 14


async def test_openings_and_what_is_not_sealed_are_not_folded(history: History) -> None:
    await history.post(old_taps(), LAST_YEAR_MS)
    assert (await history.fold()).marks == 0, "not sealed"
    await history.books.seal()
    await history.books.owner.execute("update payments.batch set now = now - interval '2 years' where number = 1")
    assert (await history.fold()).marks == 1
    desk = await history.books.owner.fetchval(
        "select count(*) from payments.terminal_mark k join payments.terminal t on t.id = k.terminal"
        " join payments.merchant m on m.id = t.merchant where m.scene = 9"
    )
    assert desk == 0, "the desk numbers openings by account"


async def test_a_record_of_a_folding_hides_nothing_that_is_young(history: History) -> None:
    await history.books.work(CARD)
    await history.books.owner.execute("delete from payments.verdict where batch = 2 and row = 4")
    await history.books.owner.execute("insert into payments.folded (through_batch, before) values (9, now())")
    assert "nothing as young as that may be" in (await history.books.verify()).problem
    await history.books.owner.execute("update payments.folded set before = now() - interval '300 days'")
    assert (await history.books.verify()).problem == "batch 2 was altered: row 4 was removed"


async def test_a_month_that_is_detached_leaves_its_sums_behind(history: History) -> None:
    books = history.books
    await history.post(old_taps(), LAST_YEAR_MS)
    audit = AuditBooks(rest_seconds=0)
    async with autocommit(books.engine) as session:
        await roll_up_accruals(session)
        (old,) = await old_partitions(history.owner, HORIZON_DAYS)
        assert (old.name, old.unsealed_batch) == ("transfer_old", 2)
        with pytest.raises(DBAPIError, match="which is not sealed"):
            await detach_partition(history.owner, old.name, HORIZON_DAYS)
        await books.work(CARD)
        for _ in range(2):
            await audit(session)
        before = await read_entries(books.engine, FIRST_ACCOUNT + CARD, limit=1)
        (then,) = await read_balances(books.engine, FIRST_ACCOUNT + CARD, LAST_YEAR_MS)
        assert then.debits_fen
        assert await detach_partition(history.owner, old.name, HORIZON_DAYS) == 2
        with pytest.raises(DomainError, match="in the archive"):
            await read_balances(books.engine, FIRST_ACCOUNT + CARD, LAST_YEAR_MS)
        first_kept_ms = milliseconds(old.to_time) - 1
        assert (await read_balances(books.engine, FIRST_ACCOUNT + CARD, first_kept_ms))[0].debits_fen == then.debits_fen
        with pytest.raises(DomainError, match="in the archive"):
            await read_balances(books.engine, FIRST_ACCOUNT + CARD, first_kept_ms - 1)
        assert await old_partitions(history.owner, HORIZON_DAYS) == []
        assert await history.count("transfer_old") == 2, "the table stays"
        for _ in range(3):
            await audit(session)
        assert audit.different == {}
        assert (await check_books(books.engine)).balance
        found = await books.verify()
        assert (found.problem, found.excused) == ("", 1)
        after = await read_entries(books.engine, FIRST_ACCOUNT + CARD, limit=1)
        assert after == before, "balances go on from what was detached"
        await books.owner.execute(
            "update payments.carried set debits_fen = debits_fen + 1 where account_id = $1", FIRST_ACCOUNT + CARD
        )
        assert f"account {FIRST_ACCOUNT + CARD}" in (await check_books(books.engine)).problem
        while not audit.different:
            await audit(session)
    assert await history.reasons(old_taps(), now_ms()) == POSTED


async def test_a_month_stays_until_the_horizon_and_thirty_days_are_behind_it(history: History, database: Database) -> None:
    for days in (371, 0, -1000):  # the month that 400 days ago was in ends at most 30 days later
        with pytest.raises(DBAPIError, match="it stays until") as refused:
            await detach_partition(history.owner, "transfer_old", days)
        assert sqlstate_of(refused.value) == "23514"
    with pytest.raises(DBAPIError, match="no partition"):
        await detach_partition(history.owner, "account", HORIZON_DAYS)
    month = f"transfer_{datetime.now(UTC):%Y_%m}"
    with pytest.raises(DBAPIError, match="it stays until"):
        await detach_partition(history.owner, month, 1)
    application = await asyncpg.connect(database.application_url.replace("+asyncpg", ""))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute("select payments.detach_transfer_partition('transfer_old', 180)")
    finally:
        await application.close()
    async with history.owner.connect() as connection:
        times = (
            await connection.execute(
                text("select from_time, to_time from payments.transfer_partition where name = 'transfer_old'")
            )
        ).one()
    assert milliseconds(times[0]) <= LAST_YEAR_MS < milliseconds(times[1])


async def test_a_ride_of_today_is_posted_while_an_old_month_is_detached(history: History) -> None:
    await history.post(old_taps(), LAST_YEAR_MS)
    await history.books.seal()
    async with history.books.owner.transaction():
        await history.books.owner.execute("lock table payments.transfer in row exclusive mode")
        with pytest.raises(DBAPIError, match="lock timeout"):
            async with history.owner.begin() as connection:
                await connection.execute(text("select payments.detach_transfer_partition('transfer_old', 180)"))
    assert await history.reasons([bus_ride(CARD)], now_ms()) == [Reason.NONE]


async def test_the_daily_job_needs_nothing_but_the_owner(history: History, database: Database) -> None:
    command = [sys.executable, "-m", "services.payments", "keep-up"]
    env = {"PATH": os.environ["PATH"], "ONECARD_OWNER_DATABASE_URL": database.owner_url}
    kept = await asyncio.to_thread(subprocess.run, command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert kept.returncode == 0, kept.stderr
    assert "transfer_old" in kept.stdout
    assert "detached, with 0 transfers" in kept.stdout
    assert await history.count("transfer_partition where name = 'transfer_old'") == 0
