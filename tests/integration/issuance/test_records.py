"""Records in PostgreSQL: one stream has each, its journal is added to alone, and what is too late changes nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.issuance.adapters.blanks import find_blank
from services.issuance.adapters.records import PostgresJournal
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.blank import Blank, BlankState, Verb
from services.issuance.domain.effects import Change, ChangeKind, Outcome, Past
from services.issuance.domain.journal import Entry, Move, Note, NoteClass, Owing
from services.issuance.domain.record import NEXT, Debt, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from tests.support.blanks import CLERK, OTHER, WINDOW, add_blanks
from tests.support.issuance import open_vault

Driver: TypeAlias = "asyncpg.Connection[Any]"

CLERK_HERE = Actor(CLERK, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**60)
CLERK_THERE = replace(CLERK_HERE, staff=9, shift=90, terminal=OTHER)
RECORDS = Change(ChangeKind.RECORDS, 0xEF06)


@pytest.fixture
def journal(issuance_engine: AsyncEngine, tmp_path: Path) -> PostgresJournal:
    return PostgresJournal(issuance_engine, open_vault(tmp_path))


async def reserve(journal: PostgresJournal, driver: Driver, application: int = 1) -> Taken:
    (serial,) = await add_blanks(driver, 1)
    blank = await find_blank(driver, serial)
    assert blank is not None
    taken = await journal.reserve(blank, application, CLERK_HERE)
    assert isinstance(taken, Taken)
    return taken


def intent(step: int = 1, change: Change = RECORDS) -> Note:
    return Note(step, NoteClass.INTENT, change, bytes(32))


def touch(taken: Taken, *notes: Note) -> Entry:
    move = Move(taken.blank, Verb.BEGIN, BlankState.PERSONALISING)
    return Entry(taken.record, taken.actor, RecordState.TOUCHED, Stage.AUTHENTICATED, notes=notes or (intent(),), move=move)


async def state_of(driver: Driver, taken: Taken) -> tuple[int, int, int]:
    row = await driver.fetchrow("select state, stage, epoch from issuance.record where id = $1", taken.record.id)
    assert row is not None
    return row[0], row[1], row[2]


async def test_the_table_of_records_is_that_of_the_rules(driver: Driver) -> None:
    rows = await driver.fetch("select from_state, to_state from issuance.record_rule")
    assert {tuple(row) for row in rows} == {(before, after) for before, to in NEXT.items() for after in to}


async def test_what_is_reserved_is_held_for_its_application(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    blank = await journal.find(taken.blank.card_identifier)
    assert blank == taken.blank
    assert blank.state is BlankState.RESERVED
    assert await journal.open_of(1) == taken.record
    assert await journal.record(taken.record.id) == taken.record


async def test_an_application_holds_one_blank_and_a_blank_one_application(journal: PostgresJournal, driver: Driver) -> None:
    blanks = [await find_blank(driver, serial) for serial in await add_blanks(driver, 2)]
    first, second = [blank for blank in blanks if isinstance(blank, Blank)]
    answers = await asyncio.gather(*(journal.reserve(blank, 1, CLERK_HERE) for blank in (first, second)))
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "Taken"]
    answers = await asyncio.gather(*(journal.reserve(second, number, CLERK_HERE) for number in (2, 3)))
    assert not all(isinstance(answer, Taken) for answer in answers)
    assert await driver.fetchval("select count(*) from issuance.record") <= 2


async def test_a_blank_of_another_place_is_not_reserved(journal: PostgresJournal, driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    blank = await find_blank(driver, serial)
    assert blank is not None
    assert await journal.reserve(blank, 1, CLERK_THERE) is Refusal.BLANK_ELSEWHERE


async def test_an_entry_moves_record_journal_and_blank_together(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    assert await journal.write(touch(taken)) is not None
    assert await state_of(driver, taken) == (RecordState.TOUCHED, Stage.AUTHENTICATED, 1)
    blank = await find_blank(driver, taken.blank.serial)
    assert blank is not None
    assert blank.state is BlankState.PERSONALISING
    again = await journal.take(taken.record, CLERK_HERE)
    assert isinstance(again, Taken)
    assert again.past == Past(((RECORDS, Outcome.UNKNOWN),))


async def test_whoever_takes_a_record_ends_the_one_who_had_it(journal: PostgresJournal, driver: Driver) -> None:
    older = await reserve(journal, driver)
    newer = await journal.take(older.record, CLERK_THERE)
    assert isinstance(newer, Taken)
    assert newer.record.epoch == 2
    assert newer.blank.place == OTHER
    assert await journal.write(touch(older)) is None
    assert await state_of(driver, older) == (RecordState.RESERVED, Stage.BLANK_RESERVED, 2)
    assert await journal.write(touch(newer)) is not None
    entries = await driver.fetch(
        "select verb, epoch from issuance.blank_entry where serial = $1 and record is not null order by id", older.blank.serial
    )
    assert [(Verb(row[0]), row[1]) for row in entries] == [
        (Verb.RESERVE, 1),
        (Verb.TRANSFER, 2),
        (Verb.ARRIVE, 2),
        (Verb.RESUME, 2),
        (Verb.BEGIN, 2),
    ]


async def test_of_two_who_take_it_at_once_one_has_it(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    answers = await asyncio.gather(*(journal.take(taken.record, who) for who in (CLERK_HERE, CLERK_THERE)))
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "Taken"]


async def test_the_database_refuses_a_journal_row_of_an_old_epoch(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    await journal.take(taken.record, CLERK_HERE)
    insert = (
        "insert into issuance.journal (record, epoch, step, class, kind, address, digest) values ($1, $2, 1, $3, 'X', 0, '')"
    )
    for epoch, kind in ((1, NoteClass.INTENT), (3, NoteClass.INTENT), (2, NoteClass.EVIDENCE)):
        if kind is NoteClass.EVIDENCE:
            continue
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await driver.execute(insert, taken.record.id, epoch, kind)
    await driver.execute(insert, taken.record.id, 2, NoteClass.INTENT)


async def test_late_answers_are_kept_and_decide_nothing(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    assert await journal.write(touch(taken)) is not None
    await journal.take(taken.record, CLERK_HERE)
    late = Note(1, NoteClass.EVIDENCE, RECORDS, bytes(32), Outcome.DONE)
    await journal.keep_evidence(taken.record, late)
    record = await journal.record(taken.record.id)
    assert record is not None
    newest = await journal.take(record, CLERK_HERE)
    assert isinstance(newest, Taken)
    assert newest.past == Past(((RECORDS, Outcome.UNKNOWN),))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from issuance.journal",
        "update issuance.journal set outcome = 1",
        "truncate issuance.journal",
        "update issuance.record set application = 2",
        "update issuance.record set epoch = epoch - 1",
        "update issuance.record set stage = stage - 1",
        "update issuance.record set state = 10",
        "delete from issuance.record",
        "delete from issuance.owed",
    ],
)
async def test_what_was_written_stays(journal: PostgresJournal, driver: Driver, owner: Driver, statement: str) -> None:
    taken = await reserve(journal, driver)
    assert await journal.write(touch(taken)) is not None
    with pytest.raises(asyncpg.PostgresError):
        await driver.execute(statement)
    if "journal" in statement:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await owner.execute(statement)


async def test_what_is_owed_is_owed_once_and_paid_once(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    spoil = Move(taken.blank, Verb.SPOIL, BlankState.SPOILED, "KEY_REFUSED")
    record, actor = taken.record, taken.actor
    owing = Owing(Debt.FAILED)
    spoiling = Entry(
        record, actor, RecordState.SPOILING, Stage.AUTHENTICATED, reason="KEY_REFUSED", move=spoil, owes=owing, tells=5
    )
    assert await journal.write(spoiling)
    assert await driver.fetchval("select count(*) from issuance.owed where done_time is null") == 1
    spoiled = Entry(
        replace(record, state=RecordState.SPOILING), actor, RecordState.SPOILED, Stage.AUTHENTICATED, paid=Debt.FAILED
    )
    assert await journal.write(spoiled) == 0
    assert await driver.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    assert await driver.fetchval("select count(*) from issuance.outbox") == 1
    assert await journal.open_of(1) is None


async def test_what_is_not_in_the_table_is_not_written(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await journal.write(Entry(taken.record, taken.actor, RecordState.ISSUED, Stage.ENABLED))


async def test_nobody_finds_out_by_trying_what_was_written(journal: PostgresJournal, driver: Driver) -> None:
    taken = await reserve(journal, driver)
    digest = bytes(range(32))
    assert await journal.write(touch(taken, Note(1, NoteClass.INTENT, RECORDS, digest))) == 0
    await journal.keep_evidence(taken.record, Note(2, NoteClass.EVIDENCE, RECORDS, digest))
    stored = [row[0] for row in await driver.fetch("select digest from issuance.journal where record = $1", taken.record.id)]
    assert len(stored) == 2
    assert digest not in stored
    assert stored[0] == stored[1] != bytes(32)


async def test_what_was_decided_on_another_state_is_not_written(journal: PostgresJournal, driver: Driver) -> None:
    """A duty reads a record, and its stream goes on under the same epoch."""
    taken = await reserve(journal, driver)
    assert await journal.write(touch(taken)) == 0
    withdrawn = Entry(taken.record, taken.actor, RecordState.WITHDRAWING, Stage.BLANK_RESERVED, owes=Owing(Debt.FAILED))
    assert await journal.write(withdrawn) is None
    assert (await state_of(driver, taken))[0] == RecordState.TOUCHED
