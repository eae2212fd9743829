"""A room whose journal is in PostgreSQL: opened, stopped where a test wants it, and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.errors import DomainError
from services.issuance.adapters.blanks import find_blanks
from services.issuance.adapters.card_service import Declined
from services.issuance.adapters.records import PostgresJournal
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.journal import NoteClass
from services.issuance.domain.record import Record, RecordState
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import Finished, IssueOutcome
from tests.support.blanks import CLERK, WINDOW, add_blanks
from tests.support.chip import Chip
from tests.support.chip_driver import PRODUCTS
from tests.support.issuance import Books, Room, check_books, open_vault
from tests.support.issuance_room import Card, Died, Registry, Wrong

Driver: TypeAlias = "asyncpg.Connection[Any]"

CLERK_HERE = Actor(CLERK, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**42)


def open_journal(engine: AsyncEngine, folder: Path) -> PostgresJournal:
    """A duty may settle at once what a stream owes."""
    return PostgresJournal(engine, open_vault(folder), told_by_the_stream_seconds=0)


async def open_room(journal: PostgresJournal, driver: Driver, size: int, seed: int = 0, code: str = "ssc3") -> Room:
    serials = await add_blanks(driver, size, product=code)
    blanks = await find_blanks(driver, serials)
    cards = [
        Card(Chip(PRODUCTS[code], bytes.fromhex(blank.card_identifier), seed + number), blank.serial)
        for number, blank in enumerate(blanks)
    ]
    return Room(journal, Registry(), cards, CLERK_HERE)


async def books_of(driver: Driver, room: Room) -> Books:
    serials = [card.serial for card in room.cards]
    blanks = {blank.serial: blank for blank in await find_blanks(driver, serials)}
    rows = await driver.fetch(
        "select id, epoch, state, application, serial, stage, card, reason from issuance.record where serial = any($1::text[])",
        serials,
    )
    records = [Record(row[0], row[1], RecordState(row[2]), row[3], row[4], Stage(row[5]), row[6], row[7]) for row in rows]
    mine = [record.id for record in records]
    owed = await driver.fetchval(
        "select count(*) from issuance.owed where done_time is null and record = any($1::bigint[])", mine
    )
    notes = await driver.fetch("select record, epoch, step, class from issuance.journal where record = any($1::bigint[])", mine)
    return Books(records, blanks, owed, [(row[0], row[1], row[2], NoteClass(row[3])) for row in notes])


async def check(driver: Driver, room: Room) -> None:
    check_books(await books_of(driver, room), room.registry, room.cards)


async def states(driver: Driver) -> Sequence[RecordState]:
    return [RecordState(row[0]) for row in await driver.fetch("select state from issuance.record order by id")]


def ended(finished: Finished | DomainError | None) -> IssueOutcome:
    assert isinstance(finished, Finished), finished
    return finished.outcome


def reason(finished: Finished | DomainError | None) -> str:
    assert isinstance(finished, Finished | DomainError), finished
    if isinstance(finished, DomainError):
        return finished.reason
    return finished.refusal.reason if isinstance(finished.refusal, Declined) else str(finished.refusal or "")


async def stop_at(room: Room, state: RecordState, application: int) -> None:
    """The process dies where its record has just come to that."""
    wrong = {
        RecordState.VERIFIED: Wrong(print_cut="not begun"),
        RecordState.WITHDRAWING: Wrong(give_up_at=1),
        RecordState.SPOILING: Wrong(give_up_at=8),
    }.get(state, Wrong())
    if state is RecordState.WAITING:
        room.registry.fail_from(3, "away")
    last = "record taken" if state is RecordState.RESERVED else f"{state.name} written"

    async def at(point: str) -> None:
        if point == last:
            raise Died(point)

    assert await room.stream(room.cards[0], application, wrong, at=at) is None
