"""The elected process: one of all, its duties side by side, and another one as soon as it is gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from services.common.database import make_engine
from services.common.housekeeping import DUTY_FAILURES, Duty, Housekeeping
from services.payments.adapters.seals import newest_seal
from services.payments.handlers.seal_batches import SealBatches
from tests.support.sealing import autocommit
from tests.support.town import KEY, Database, build_town, bus_ride, received
from tests.support.waiting import until


class Done:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self, connection: AsyncConnection) -> None:
        await connection.scalar(text("select 1"))
        self.times += 1


@asynccontextmanager
async def running(*housekeepings: Housekeeping) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(housekeeping.run()) for housekeeping in housekeepings]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def end_the_elected_session(database: Database) -> None:
    """Waits for one to be elected, and for another one afterwards."""
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))

    async def elected() -> int | None:
        pid: int | None = await owner.fetchval(
            "select pid from pg_locks where locktype = 'advisory' and granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        return pid

    async def somebody_else() -> bool:
        return await elected() not in (None, pid)

    try:
        pid = None
        await until("one is elected", somebody_else)
        pid = await elected()
        await owner.execute("select pg_terminate_backend($1)", pid)
        await until("another one is elected", somebody_else)
    finally:
        await owner.close()


async def test_a_duty_that_waits_holds_up_no_other_group(engine: AsyncEngine) -> None:
    quick, after_the_slow_one, slow_began = Done(), Done(), asyncio.Event()

    async def slow(_: AsyncConnection) -> None:
        slow_began.set()
        await asyncio.Event().wait()

    async with running(Housekeeping(engine, "tests", [[Duty(0.1, slow), Duty(0.1, after_the_slow_one)], [Duty(0.1, quick)]])):
        await slow_began.wait()
        await until("the quick one is done again and again", lambda: quick.times > 5)
    assert after_the_slow_one.times == 0


@pytest.mark.parametrize(("far_behind", "least", "most"), [(False, 3, 6), (True, 12, 26)])
async def test_a_duty_takes_no_more_than_its_share_of_the_time(far_behind: bool, least: int, most: int) -> None:
    times = 0

    async def work(_: AsyncConnection) -> bool:
        nonlocal times
        times += 1
        await asyncio.sleep(0.02)
        return not far_behind

    duty = Duty(0.01, work, share=0.1, share_behind=0.5)
    end = asyncio.get_running_loop().time() + 1
    while asyncio.get_running_loop().time() < end:
        await duty.do_if_due(None)  # type: ignore[arg-type]  # it asks for nothing
        await asyncio.sleep(0.005)
    assert least <= times <= most


async def test_one_of_two_is_elected_and_the_other_takes_over_when_its_session_ends(
    engine: AsyncEngine, database: Database
) -> None:
    another = make_engine(database.application_url, "another", sessions=4)
    counts = Done(), Done()
    try:
        async with running(
            *(Housekeeping(e, "tests", [[Duty(0.1, n)]]) for e, n in zip((engine, another), counts, strict=True))
        ):
            await until("one works", lambda: any(n.times for n in counts))
            await asyncio.sleep(1.5)
            assert sum(n.times > 0 for n in counts) == 1
            for _ in range(2):
                await end_the_elected_session(database)
                before = sum(n.times for n in counts)
                await until("one works again", lambda: sum(n.times for n in counts) > before + 3)  # noqa: B023
    finally:
        await another.dispose()


async def test_two_that_are_elected_in_turn_seal_each_batch_once(engine: AsyncEngine, database: Database) -> None:
    another = make_engine(database.application_url, "another", sessions=4)
    town = await build_town(engine, 4)
    working = True

    async def post(card: int) -> None:
        while working:
            await town.post(received([bus_ride(card)]))
            await asyncio.sleep(0.01)

    posting = [asyncio.create_task(post(card)) for card in range(4)]
    try:
        async with (
            autocommit(engine) as session,
            running(*(Housekeeping(e, "tests", [[Duty(0.05, SealBatches(KEY))]]) for e in (engine, another))),
        ):

            async def sealed() -> int:
                return (await newest_seal(session)).number

            await until("batches are sealed", lambda: _more(sealed, 3))
            for _ in range(3):
                before = await sealed()
                await end_the_elected_session(database)
                await until("batches are sealed again", lambda: _more(sealed, before + 3))  # noqa: B023
            working = False
            await asyncio.gather(*posting)
            last = await session.scalar(text("select max(number) from payments.batch"))
            await until("all are sealed", lambda: _sealed_to(session, last))
            rows = await session.execute(text("select b.number from payments.batch b where not payments.is_sealed(b.number)"))
            assert not rows.all()
            total = await session.scalar(text("select sum(batches) from payments.seal"))
            assert total == await session.scalar(text("select count(*) from payments.batch"))
    finally:
        working = False
        await asyncio.gather(*posting)
        await another.dispose()


async def _more(sealed, than: int) -> bool:  # type: ignore[no-untyped-def]
    return bool(await sealed() > than)


async def _sealed_to(session: AsyncConnection, last: int) -> bool:
    await asyncio.sleep(0.3)  # for the holes of the last moment
    return (await newest_seal(session)).last == last


async def test_a_duty_that_fails_is_said_and_counted_and_the_others_go_on(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.housekeeping._AFTER_FAILURE_SECONDS", 0.1)
    tries = Counter[str]()

    async def rejected(connection: AsyncConnection) -> None:
        tries["rejected"] += 1
        await connection.execute(text("select 1 / 0"))

    async def wrong(_: AsyncConnection) -> None:
        tries["wrong"] += 1
        raise KeyError("李" + "明")

    behind, beside = Done(), Done()
    failed = DUTY_FAILURES.labels("wrong")._value.get()
    groups = [[Duty(0.05, rejected), Duty(0.05, wrong), Duty(0.05, behind)], [Duty(0.05, beside)]]
    with capture_logs() as logs:
        async with running(Housekeeping(engine, "tests", groups)):
            await until("all were done more than once", lambda: _often(tries, behind, beside))
    said = [line for line in logs if line["event"] == "duty_failed"]
    assert {(line["duty"], line["error"], line["sqlstate"]) for line in said} == {
        ("rejected", "DBAPIError", "22012"),
        ("wrong", "KeyError", ""),
    }
    assert "李明" not in str(said)
    assert DUTY_FAILURES.labels("wrong")._value.get() == failed + tries["wrong"]


async def _often(tries: Counter[str], *done: Done) -> bool:
    return min(*tries.values(), *(one.times for one in done)) > 1 and len(tries) == 2
