"""The sealed audit: whatever is done to it afterwards is found, by somebody who has the key."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.audit_seals_pb2 import AuditSeal
from services.card.adapters import audit
from services.card.adapters.audit import BOOK
from services.card.domain.actor import TIMER
from services.card.handlers import retire_audit as retiring
from services.card.handlers.retire_audit import retire_audit
from services.common.announce import Announcer
from services.common.audit import verify as verifying
from services.common.audit.book import Due
from services.common.audit.go_back import go_back
from services.common.audit.published import read_published
from services.common.audit.seal import SealAudit
from services.common.audit.seals import Finding, Kind, over_before, row_digest, seal_head
from services.common.audit.verify import Verified, verify_audit
from services.common.database import driver_session, make_engine
from tests.support.cardholders import CLERK, Registry
from tests.support.hall import Owner
from tests.support.town import Database, now_ms

HOUR_MS = 3_600_000
AUDIT_DAYS = 184
Topic = list[tuple[int, bytes]]


class Broker:
    """Takes what is published."""

    def __init__(self) -> None:
        self.published: Topic = []
        self.before: Callable[[], None] = lambda: None

    async def send(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        assert topic == "audit.seals"
        self.before()
        for key, value in messages:
            assert key == b"card"
            seal = AuditSeal.FromString(value)
            self.published.append((seal.seal_number, seal.head))


class Book:
    """An audit with whoever writes, seals and verifies it."""

    def __init__(self, registry: Registry, owner: Owner) -> None:
        self.registry = registry
        self.owner = owner
        self.broker = Broker()
        self.sealer = self.another_sealer()

    def another_sealer(self, hours: int = 0) -> SealAudit:
        """By a clock that is so far ahead."""
        clock = lambda: now_ms() + hours * HOUR_MS  # noqa: E731 - it is the clock
        return SealAudit(BOOK, self.registry.vault, self.broker, clock)  # type: ignore[arg-type]  # a broker in memory

    async def write(self, rows: int = 3) -> None:
        async with driver_session(self.registry.engine) as driver:
            for number in range(rows):
                await audit.record(driver, CLERK, "test.act", holder=5, purpose="核对", detail={"row": number})

    async def seal(self, sealer: SealAudit | None = None) -> object:
        async with self.registry.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            return await (sealer or self.sealer)(connection)

    async def verify(self, published: Topic | None = None) -> Verified:
        topic = self.broker.published if published is None else published
        over = over_before(AUDIT_DAYS, now_ms())
        return await verify_audit(self.registry.engine, BOOK, self.registry.vault, topic, over, lambda *_: None)

    async def found(self) -> list[Finding]:
        return (await self.verify()).findings


@pytest.fixture
async def book(registry: Registry, owner: Owner) -> Book:
    made = Book(registry, owner)
    for _ in range(3):
        await made.write()
        await made.seal()
    return made


@pytest.fixture
async def old_book(registry: Registry, owner: Owner) -> Book:
    """Nine rows that were sealed 400 days ago, and six of now."""
    made = Book(registry, owner)
    for hours in (-9600, -9600, -9600, 0, 0):
        await made.write()
        await made.seal(made.another_sealer(hours))
    return made


@pytest.fixture
async def owner_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.owner_url, "owner", sessions=2)
    yield engine
    await engine.dispose()


async def test_what_was_not_touched_is_whole(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "SEALS_AT_ONCE", 2)
    verified = await book.verify()
    assert (verified.seals, verified.rows, verified.published, verified.findings) == (3, 9, 3, [])
    assert verified.late == []
    assert await book.seal() is True
    assert (await book.verify()).seals == 3  # an idle audit makes none


async def test_an_altered_row_is_found(book: Book) -> None:
    for change in ("actor = 'staff:8'", "holder = 6", "at = at + interval '1 second'", "detail = '{}'", "purpose = ''"):
        await book.owner.execute("begin")
        await book.owner.execute(f"update card.audit set {change} where id = 4")
        await book.owner.execute("commit")
        assert Finding(Kind.ALTERED, 4) in await book.found()
        await book.owner.execute(
            """update card.audit a set actor = b.actor, holder = b.holder, at = a.at, purpose = b.purpose
               from card.audit b where a.id = 4 and b.id = 5"""
        )
        await book.owner.execute("update card.audit set detail = '{\"row\": 0}' where id = 4")
        if change.startswith("at"):
            await book.owner.execute("update card.audit set at = at - interval '1 second' where id = 4")
    assert await book.found() == []


async def test_a_removed_and_an_inserted_row_are_found(book: Book) -> None:
    await book.owner.execute("delete from card.audit where id = 5")
    assert await book.found() == [Finding(Kind.REMOVED, 5)]
    await book.owner.execute(
        """insert into card.audit (id, at, actor, act) overriding system value
           values (-1, now() - interval '1 year', 'staff:9', 'test.act')"""
    )
    assert await book.found() == [Finding(Kind.REMOVED, 5), Finding(Kind.INSERTED, -1)]


async def test_a_row_that_was_removed_with_its_digest_breaks_its_seal(book: Book) -> None:
    await book.owner.execute("delete from card.audit_sealed where audit = 5")
    await book.owner.execute("delete from card.audit where id = 5")
    assert await book.found() == [Finding(Kind.SEAL_BROKEN, 2)]


async def test_a_seal_that_is_missing_in_the_middle_is_found(book: Book) -> None:
    await book.owner.execute("delete from card.audit_sealed where seal = 2")
    await book.owner.execute("delete from card.audit_seal where number = 2")
    kinds = {(finding.kind, finding.number) for finding in await book.found()}
    assert {(Kind.SEAL_MISSING, 2), (Kind.SEAL_BROKEN, 3), (Kind.TAIL_CUT, 2)} <= kinds


async def test_a_tail_that_was_cut_off_is_found_against_the_topic(book: Book) -> None:
    for table, column in (("audit_sealed", "seal"), ("audit_seal", "number")):
        await book.owner.execute(f"delete from card.{table} where {column} = 3")
    await book.owner.execute("delete from card.audit where id > 6")
    assert (await book.verify([])).findings == []  # the database alone cannot tell
    assert await book.found() == [Finding(Kind.TAIL_CUT, 3)]


async def test_a_tail_is_given_up_by_a_note_under_the_key_and_the_chain_goes_on_behind_its_numbers(
    book: Book, owner_engine: AsyncEngine
) -> None:
    for table in ("audit_sealed where seal", "audit_seal where number", "audit where id"):
        await book.owner.execute(f"delete from card.{table} > {6 if table.startswith('audit where') else 2}")
    assert await book.found() == [Finding(Kind.TAIL_CUT, 3)]
    assert await go_back(owner_engine, BOOK, book.registry.vault, book.broker.published, now_ms()) == (2, 3)
    await book.write()
    await book.seal()
    assert [number for number, _ in book.broker.published] == [1, 2, 3, 4]
    verified = await book.verify()
    assert (verified.findings, verified.given_up, verified.seals) == ([], {3}, 3)
    await book.owner.execute("update card.gone_back set to_time = to_time + interval '1 hour'")
    assert set(await book.found()) == {
        Finding(Kind.FORGED_NOTE, 2), Finding(Kind.SEAL_MISSING, 3), Finding(Kind.TAIL_CUT, 3)
    }  # fmt: skip


async def test_a_chain_made_anew_without_the_key_is_broken(book: Book) -> None:
    await book.owner.execute("update card.audit set actor = 'staff:8' where id = 4")
    await book.owner.execute("update card.audit_sealed set digest = sha256('forged') where audit = 4")
    await book.owner.execute("update card.audit_seal set head = sha256('forged') where number = 2")
    kinds = {(finding.kind, finding.number) for finding in await book.found()}
    assert {(Kind.ALTERED, 4), (Kind.SEAL_BROKEN, 2), (Kind.SEAL_BROKEN, 3), (Kind.RECOMPUTED, 2)} <= kinds


async def test_a_chain_made_anew_with_the_key_is_not_the_one_that_was_published(book: Book) -> None:
    await book.owner.execute("update card.audit set actor = 'staff:8' where id = 8")
    async with driver_session(book.registry.engine) as driver:
        _, before, seal = await BOOK.seals_between(driver, 0, 3, 3)
        rows = await BOOK.rows_of_seal(driver, seal.number)
    vault = book.registry.vault
    digests = [row_digest(vault, seal.key_version, row.now) for row in rows if row.now]
    for row, digest in zip(rows, digests, strict=True):
        await book.owner.execute("update card.audit_sealed set digest = $2 where audit = $1", row.id, digest)
    head = seal_head(vault, before.head, seal, digests)
    await book.owner.execute("update card.audit_seal set head = $2 where number = $1", seal.number, head)
    assert (await book.verify([])).findings == []
    assert await book.found() == [Finding(Kind.RECOMPUTED, 3)]


async def test_a_lower_number_that_is_committed_later_joins_the_next_seal(book: Book) -> None:
    late = await asyncpg.connect(book.registry.engine.url.render_as_string(False).replace("+asyncpg", ""))
    transaction = late.transaction()
    await transaction.start()
    await audit.record(late, TIMER, "test.late")
    for _ in range(2):
        await book.write(2)
        await book.seal()
    await transaction.commit()
    await late.close()
    await book.seal()
    counts = await book.owner.fetch("select seal, array_agg(audit order by audit) from card.audit_sealed group by 1 order by 1")
    assert [list(row[1]) for row in counts][3:] == [[11, 12], [13, 14], [10]]
    verified = await book.verify()
    assert (verified.findings, verified.late) == ([], [])


async def test_a_row_in_a_gap_that_was_sealed_over_is_never_sealed_and_is_found_whatever_time_it_names(
    registry: Registry, owner: Owner
) -> None:
    book = Book(registry, owner)
    async with driver_session(registry.engine) as driver:
        transaction = driver.transaction()
        await transaction.start()
        await audit.record(driver, TIMER, "test.rolled_back")
        await transaction.rollback()
    for hours in (-2, -1, 0):
        await book.write()
        await book.seal(book.another_sealer(hours))
    assert await book.found() == []
    await owner.execute(
        """insert into card.audit (id, at, actor, act) overriding system value
           values (1, now() + interval '1 year', 'staff:9', 'test.act')"""
    )
    await book.seal(book.another_sealer())
    assert (await book.verify()).rows == 9
    assert await book.found() == [Finding(Kind.INSERTED, 1)]


async def test_what_was_committed_behind_the_last_seal_is_sealed_when_somebody_seals_again_and_is_shown(book: Book) -> None:
    late = await asyncpg.connect(book.registry.engine.url.render_as_string(False).replace("+asyncpg", ""))
    async with late.transaction():
        await audit.record(late, TIMER, "test.late")
        await book.write(2)
        await book.seal()
    await late.close()
    await book.seal(book.another_sealer(48))
    verified = await book.verify()
    assert (verified.rows, verified.findings, verified.late) == (12, [], [10])


async def test_a_row_that_is_dated_back_behind_what_was_sealed_is_shown(book: Book) -> None:
    await book.owner.execute(
        "insert into card.audit (at, actor, act) values (now() - interval '1 day', 'staff:9', 'test.act'), (now(), '', '')"
    )
    await book.seal()
    verified = await book.verify()
    assert (verified.findings, verified.late) == ([], [10])


async def test_two_sealers_make_one_chain(book: Book) -> None:
    sealers = [book.another_sealer() for _ in range(4)]
    for _ in range(5):
        await book.write(4)
        await asyncio.gather(*(book.seal(sealer) for sealer in sealers))
    await book.seal()
    verified = await book.verify()
    assert (verified.rows, verified.findings) == (29, [])


async def test_a_seal_whose_publication_was_cut_off_is_published_by_the_next(book: Book) -> None:
    def dies() -> None:
        raise KeyboardInterrupt

    await book.write()
    book.broker.before = dies
    with pytest.raises(KeyboardInterrupt):
        await book.seal()
    assert len(book.broker.published) == 3
    book.broker.before = lambda: None
    await book.seal(book.another_sealer())
    assert [number for number, _ in book.broker.published] == [1, 2, 3, 4]
    assert await book.found() == []


async def test_rows_are_taken_away_after_their_time_and_the_chain_still_proves_the_rest(
    old_book: Book, owner_engine: AsyncEngine
) -> None:
    over = over_before(AUDIT_DAYS, now_ms())
    assert await retire_audit(owner_engine, over_before(500, now_ms()), lambda *_: None) == Due(0, 0, 0)
    assert await retire_audit(owner_engine, over, lambda *_: None) == Due(3, 3, 9)
    assert await retire_audit(owner_engine, over, lambda *_: None) == Due(0, 0, 0)
    noted = await old_book.owner.fetch("select actor, detail::text from card.audit where act = 'audit.retire'")
    assert [tuple(row) for row in noted] == [("service:card", '{"rows": 9, "up_to_seal": 3}')]
    await old_book.seal()
    verified = await old_book.verify()
    assert (verified.retired, verified.rows, verified.findings) == (9, 16, [])
    await old_book.owner.execute("delete from card.audit where id = 10")
    assert await old_book.found() == [Finding(Kind.REMOVED, 10)]


async def test_taking_rows_away_may_be_cut_off_and_goes_on_from_there(
    old_book: Book, owner_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(done: int, total: int) -> None:
        assert total == 9
        if done == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(retiring, "SEALS_AT_ONCE", 1)
    over = over_before(AUDIT_DAYS, now_ms())
    with pytest.raises(KeyboardInterrupt):
        await retire_audit(owner_engine, over, cut)
    assert await old_book.owner.fetchval("select min(id) from card.audit") == 7
    verified = await old_book.verify()
    assert (verified.retired, verified.findings) == (6, [])
    assert await retire_audit(owner_engine, over, lambda *_: None) == Due(1, 3, 3)
    noted = await old_book.owner.fetch("select detail ->> 'rows' from card.audit where act = 'audit.retire' order by id")
    assert [row[0] for row in noted] == ["9", "3"]


async def test_young_rows_are_found_removed_whoever_says_that_their_time_was_over(book: Book) -> None:
    removed = [Finding(Kind.REMOVED, row) for row in range(4, 7)]
    await book.owner.execute("delete from card.audit where id between 4 and 6")
    await book.owner.execute("insert into card.audit_retired (up_to_seal, rows) values (3, 3)")
    assert await book.found() == removed
    await book.owner.execute("update card.audit_seal set at = at - interval '400 days' where number = 2")
    # Nor does a seal's time count that the key does not vouch for.
    assert await book.found() == [Finding(Kind.SEAL_BROKEN, 2), *removed]


async def test_old_rows_that_nobody_has_said_to_be_taken_away_are_found_removed(old_book: Book) -> None:
    await old_book.owner.execute("delete from card.audit where id = 2")
    assert await old_book.found() == [Finding(Kind.REMOVED, 2)]


async def test_the_service_itself_can_change_nothing(registry: Registry, book: Book) -> None:
    async with driver_session(registry.engine) as driver:
        for statement in (
            "update card.audit set act = ''",
            "delete from card.audit",
            "delete from card.audit_seal",
            "update card.audit_seal set head = ''",
            "update card.audit_sealed set digest = ''",
            "insert into card.audit_retired (up_to_seal, rows) values (1, 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await driver.execute(statement)


async def test_what_was_published_is_read_from_a_broker(registry: Registry, owner: Owner, broker: Any) -> None:
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    book = Book(registry, owner)
    sealer = SealAudit(BOOK, registry.vault, announcer)
    for _ in range(3):
        await book.write()
        await book.seal(sealer)
    published = await asyncio.to_thread(lambda: list(read_published(broker.bootstrap, BOOK.service)))
    await announcer.stop()
    assert sorted(number for number, _ in published) == [1, 2, 3]
    assert (await book.verify(published)).findings == []
