"""A schema that goes on while code lives with it: what `migrate` does at which step, what it waits for, and whom it refuses."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.common.database import make_engine
from services.common.migrations import Migrated, MigrationError, migrate
from services.common.schema import Schema, SchemaError, when_borne
from services.payments import migrations as of_payments
from tests.support.town import Database

HEAD = """
from alembic import op
from services.common.migrations import run_script

revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None
step = {step!r}
"""
BODY = """
def upgrade():
    run_script(op.get_bind(), {script!r})
"""
BEGIN = """
create table shop.sale (id int primary key);
insert into shop.sale select generate_series(1, 2500);
grant usage on schema shop to public;
grant select on all tables in schema shop to public;
"""
FILL = """
update shop.sale set price = 1 where id in (select id from shop.sale where price is null order by id limit 1000)
"""


class Shop:
    """A schema whose migrations the test writes; it plays the code of any release."""

    def __init__(self, folder: Path, owner_url: str) -> None:
        self.folder = folder
        self.owner_url = owner_url
        self._last: str | None = None
        (folder / "versions").mkdir()
        shutil.copy(Path(of_payments.__file__).parent / "env.py", folder)
        self.add("expand", BEGIN)

    def add(self, step: str, script: str = "select", more: str = "") -> str:
        revision = f"{int(self._last or 0) + 1:04}"
        text = HEAD.format(revision=revision, before=self._last, step=step) + more + BODY.format(script=script)
        (self.folder / f"versions/{revision}_{step}.py").write_text(text)
        self._last = revision
        return revision

    @property
    def schema(self) -> Schema:
        return Schema("shop", self.folder, needs="0001", role="public")

    async def migrate(self, upto: Any = "expand", patience_seconds: float = 20) -> Migrated:
        return await migrate(self.owner_url, self.schema, upto, patience_seconds=patience_seconds)


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    """With 2,500 sales in it."""
    shop = Shop(tmp_path, database.owner_url)
    assert await shop.migrate() == Migrated("0001")
    return shop


@pytest.fixture
async def connect(database: Database) -> AsyncIterator[Callable[[str], Any]]:
    """Sessions by name, in the role of the owner."""
    opened: list[asyncpg.Connection[Any]] = []

    async def connect(name: str) -> "asyncpg.Connection[Any]":
        url = database.owner_url.replace("+asyncpg", "")
        opened.append(await asyncpg.connect(url, server_settings={"application_name": name}))
        return opened[-1]

    yield connect
    for connection in opened:
        await connection.close()


async def test_a_living_schema_is_expanded_filled_and_contracted_one_after_the_other_and_on_demand(
    shop: Shop, owner: "asyncpg.Connection[Any]"
) -> None:
    shop.add("expand", "alter table shop.sale add column price int")
    shop.add("backfill", more=f"batches = {FILL!r}")
    shop.add("contract", "alter table shop.sale alter column price set not null")
    assert await shop.migrate() == Migrated("0002", "0003", "backfill")
    assert await shop.migrate() == Migrated("0002", "0003", "backfill")
    assert await owner.fetchval("select count(price) from shop.sale") == 0
    assert await shop.migrate("backfill") == Migrated("0003", "0004", "contract")
    assert await owner.fetchval("select count(*) from shop.sale where price = 1") == 2500
    assert await shop.migrate("contract") == Migrated("0004")
    assert await owner.fetch("select revision from shop.contracted") == [("0004",)]
    assert await shop.migrate("contract") == Migrated("0004")


async def test_an_empty_schema_is_brought_to_its_end_at_once(
    shop: Shop, database: Database, owner: "asyncpg.Connection[Any]"
) -> None:
    shop.add("expand", "alter table shop.sale add column price int")
    shop.add("backfill", more=f"batches = {FILL!r}")
    shop.add("contract", "alter table shop.sale alter column price set not null")
    await owner.execute("drop schema shop cascade")
    assert await shop.migrate() == Migrated("0004")


async def test_a_backfill_that_was_ended_goes_on_where_it_was(shop: Shop, owner: "asyncpg.Connection[Any]") -> None:
    shop.add("expand", "alter table shop.sale add column price int; alter table shop.sale add column times int default 0")
    await shop.migrate()
    counting = FILL.replace("price = 1", "price = 1, times = times + 1")
    shop.add("backfill", more=f"batches = {counting!r}")
    # The second batch meets a row that nobody may change, and the run ends there.
    await owner.execute(
        """create function shop.refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
           create trigger refuse before update on shop.sale for each row when (old.id = 1500) execute function shop.refuse();"""
    )
    with pytest.raises(Exception, match="not this one"):
        await shop.migrate("backfill")
    assert await owner.fetchval("select count(price) from shop.sale") == 1000
    await owner.execute("drop trigger refuse on shop.sale")
    assert (await shop.migrate("backfill")).at == "0003"
    assert await owner.fetchval("select count(*) from shop.sale where price = 1 and times = 1") == 2500


async def test_what_older_code_left_empty_after_a_backfill_is_filled_before_the_contract(
    shop: Shop, owner: "asyncpg.Connection[Any]"
) -> None:
    shop.add("expand", "alter table shop.sale add column price int")
    shop.add("backfill", more=f"batches = {FILL!r}")
    shop.add("contract", "alter table shop.sale alter column price set not null")
    assert (await shop.migrate("backfill")).at == "0003"
    await owner.execute("insert into shop.sale (id) select generate_series(3001, 3010)")
    assert await shop.migrate("contract") == Migrated("0004")
    # What comes behind the contract does not do it again.
    shop.add("contract", "alter table shop.sale drop column price")
    assert await shop.migrate("contract") == Migrated("0005")
    shop.add("contract", "select")
    assert await shop.migrate("contract") == Migrated("0006")


@pytest.mark.parametrize(("step", "more"), [("contract", ""), ("backfill", f"batches = {FILL!r}")])
async def test_only_an_expand_comes_while_code_that_does_not_know_it_is_connected(
    shop: Shop, connect: Callable[[str], Any], owner: "asyncpg.Connection[Any]", step: str, more: str
) -> None:
    old = shop.schema
    for name in ("shop-api", old.session("shop-streams"), "shopping 0001"):
        await connect(name)
    if step == "backfill":
        await owner.execute("alter table shop.sale add column price int")
    shop.add(step, "create table shop.gone (id int primary key)", more)
    await connect(shop.schema.session("shop-api"))
    with pytest.raises(MigrationError, match=r"nothing of it: shop-api \(1 sessions\), shop-streams 0001 \(1 sessions\)\. "):
        await shop.migrate(step)
    assert await owner.fetchval("select to_regclass('shop.gone')") is None
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('shop-api', 'shop-streams 0001')"
    await owner.execute(ended)
    await asyncio.sleep(0.5)
    assert await shop.migrate(step) == Migrated("0002")


async def test_code_waits_for_a_schema_that_it_needs_goes_on_on_a_newer_one_and_ends_behind_a_contract(
    shop: Shop, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(database.application_url, "tests", sessions=1)
    old = shop.schema

    async def at() -> str:
        return "borne"

    shop.add("expand", "alter table shop.sale add column price int")
    new = Schema("shop", shop.folder, needs="0002", role="public")
    waiting = asyncio.create_task(when_borne(engine, new, at))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert await shop.migrate() == Migrated("0002")
    assert await asyncio.wait_for(waiting, 10) == "borne"

    known = Schema("shop", shop.folder.with_name("old"), needs="0001", role="public")
    (known.folder / "versions").mkdir(parents=True)
    shutil.copy(shop.folder / "versions/0001_expand.py", known.folder / "versions")
    assert (old.needs, known.head) == ("0001", "0001")
    assert await when_borne(engine, known, at) == "borne"
    shop.add("contract", "alter table shop.sale drop column price")
    await shop.migrate("contract")
    assert await when_borne(engine, Schema("shop", shop.folder, needs="0002", role="public"), at) == "borne"
    with pytest.raises(SchemaError, match="contracted by 0003, and this release knows nothing behind 0001"):
        await when_borne(engine, known, at)
    await engine.dispose()


async def test_a_migration_that_waits_for_a_long_transaction_keeps_nobody_waiting(
    shop: Shop, connect: Callable[[str], Any]
) -> None:
    shop.add("expand", "alter table shop.sale add column price int")
    long, other = await connect("long"), await connect("other")
    await long.execute("begin")
    await long.execute("select from shop.sale limit 1")
    migrating = asyncio.create_task(shop.migrate())
    slowest, end = 0.0, time.monotonic() + 6
    while time.monotonic() < end:
        began = time.monotonic()
        await other.execute("select from shop.sale limit 1")
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    assert not migrating.done()
    # It did stand in the way, and stepped back.
    assert 0.5 < slowest < 4
    await long.execute("rollback")
    assert await migrating == Migrated("0002")


async def test_a_migration_that_does_not_get_its_locks_says_so_and_has_done_nothing(
    shop: Shop, connect: Callable[[str], Any]
) -> None:
    shop.add("expand", "create table shop.other (id int primary key); alter table shop.sale add column price int")
    long = await connect("long")
    await long.execute("begin")
    await long.execute("select from shop.sale limit 1")
    with pytest.raises(MigrationError, match=r"did not get its locks in 1 s; nothing of it is done"):
        await shop.migrate(patience_seconds=1)
    assert await long.fetchval("select to_regclass('shop.other')") is None
    await long.execute("rollback")
    assert await shop.migrate() == Migrated("0002")


async def test_what_holds_a_living_table_for_long_is_undone(shop: Shop, owner: "asyncpg.Connection[Any]") -> None:
    shop.add("expand", "lock table shop.sale; select pg_sleep(8)")
    with pytest.raises(Exception, match="statement timeout"):
        await shop.migrate()
    assert await owner.fetchval("select version_num from shop.alembic_version") == "0001"


async def test_an_index_is_built_beside_writers_and_what_was_left_half_built_goes_first(
    shop: Shop, connect: Callable[[str], Any], owner: "asyncpg.Connection[Any]"
) -> None:
    build = "create index concurrently if not exists sale_twice on shop.sale ((id / 2))"
    writer = await connect("writer")
    await writer.execute("begin")
    await writer.execute("insert into shop.sale values (3000)")
    # It waits for the writer, and is ended meanwhile.
    await owner.execute("set statement_timeout = 500")
    with pytest.raises(asyncpg.QueryCanceledError):
        await owner.execute(build)
    await owner.execute("reset statement_timeout")
    assert await owner.fetchval("select count(*) from pg_index where not indisvalid") == 1
    shop.add("expand", more=f"concurrently = ({build!r},)")
    building = asyncio.create_task(shop.migrate())
    another = await connect("another")
    for number in range(10):
        await another.execute("insert into shop.sale values ($1)", 4000 + number)
        await asyncio.sleep(0.05)
    assert not building.done()
    await writer.execute("commit")
    assert await building == Migrated("0002")
    assert await owner.fetchval("select indisvalid from pg_index where indexrelid = 'shop.sale_twice'::regclass")


async def test_two_at_once_do_it_once(shop: Shop, owner: "asyncpg.Connection[Any]") -> None:
    shop.add("expand", "select pg_sleep(1); create table shop.other (id int primary key)")
    assert await asyncio.gather(*(shop.migrate() for _ in range(3))) == [Migrated("0002")] * 3
