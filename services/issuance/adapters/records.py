"""Issuance records and their journal in PostgreSQL: what belongs together is one statement, fenced by the record's epoch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session
from services.common.keyvault.vault import KeyVault
from services.common.once import transact
from services.issuance.adapters.audit import record_check
from services.issuance.adapters.blanks import Signed, add_place, find_blank, find_blanks, find_identifiers, resume
from services.issuance.adapters.boxes import Accounts
from services.issuance.adapters.gather import Gather
from services.issuance.adapters.journal_entries import OWED_KEY, Entries, bound_to, keyed
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState, Verb, decide
from services.issuance.domain.effects import Change, ChangeKind, Generation, Outcome, Past
from services.issuance.domain.journal import Due, Entry, Note, NoteClass, past_of
from services.issuance.domain.record import WITHOUT_CHIP, Debt, Record, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage

TOLD_BY_THE_STREAM_SECONDS: Final = 15.0
"""So long a stream has for telling the card service itself; then the duty does it."""

_COLUMNS: Final = "select id, epoch, state, application, serial, stage, card, reason from issuance.record"
_BY_ID: Final = _COLUMNS + " where id = $1"
_LOCK: Final = "select id, state from issuance.record where id = any($1::bigint[]) order by id for update"
_END_STREAMS: Final = "update issuance.record set epoch = epoch + 1 where id = any($1::bigint[]) and state = any($2::int[])"
_OPEN_OF: Final = _COLUMNS + " where application = any($1::bigint[]) and state < 10"
_RESERVE: Final = """
with wanted as (
    select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::smallint[],
        $8::smallint[]) as w(application, serial, staff, shift, terminal, outlet, from_state, to_state)),
held as (
    insert into issuance.record (application, serial, staff, shift, terminal, outlet)
    select application, serial, staff, shift, terminal, outlet from wanted
    returning id, application, serial, staff, shift, terminal),
moved as (
    insert into issuance.blank_entry (serial, verb, from_state, to_state, from_place, to_place, record, epoch, application,
        staff, shift, terminal)
    select h.serial, 4, w.from_state, w.to_state, h.terminal, h.terminal, h.id, 1, h.application, h.staff, h.shift, h.terminal
    from held h join wanted w on w.serial = h.serial)
select serial, id from held"""
_TAKE: Final = """
update issuance.record set epoch = epoch + 1, staff = $3, shift = $4, terminal = $5, outlet = $6, take_time = clock_timestamp()
where id = $1 and epoch = $2 and (state between 1 and 7 or state = 10)
returning id, epoch, state, application, serial, stage, card, reason"""
_NOTES: Final = """
select step + epoch::bigint * 1000000, class, kind, address, generation, digest, outcome from issuance.journal
where record = $1 and class < 3 order by epoch, step, class"""
_COMPLETION: Final = """
select id, sealed, key_version from issuance.owed where record = $1 and what = 3 and done_time is null"""
_DUE: Final = """
with mine as (
    update issuance.owed set due_time = clock_timestamp() + make_interval(secs => $1)
    where id in (select id from issuance.owed where done_time is null and due_time < clock_timestamp()
        order by due_time limit 100 for update skip locked) returning *)
select o.id, o.what, o.sealed, o.key_version, o.staff, o.shift, o.terminal, o.outlet,
    r.id, r.epoch, r.state, r.application, r.serial, r.stage, r.card, r.reason
from mine o join issuance.record r on r.id = o.record order by o.id"""
_ABANDONED: Final = """
select r.staff, r.shift, r.terminal, r.outlet, r.id, r.epoch, r.state, r.application, r.serial, r.stage, r.card, r.reason
from issuance.record r join issuance.blank b on b.serial = r.serial
where r.state = 1 and r.take_time < clock_timestamp() - make_interval(secs => $1)
    or (r.state < 6 and b.state in (9, 10, 11, 14) or r.state < 5 and b.barred and b.state <> 12)
        and (r.state > 1 or r.take_time < clock_timestamp() - make_interval(secs => least($1, $2)))
order by r.id limit 100"""
_LYING: Final = """
select r.staff, r.shift, r.terminal, r.outlet, r.id, r.epoch, r.state, r.application, r.serial, r.stage, r.card, r.reason
from issuance.record r
where r.state in (5, 7) and r.id > $1 and r.change_time < clock_timestamp() - make_interval(secs => $2)
    and not exists (select from issuance.owed o where o.record = r.id and o.done_time is null)
order by r.id limit 50"""
_EVIDENCE: Final = """
insert into issuance.journal (record, epoch, step, class, kind, address, generation, digest, outcome)
values ($1, $2, $3, 3, $4, $5, $6, $7, $8) on conflict do nothing"""

_BEGINNING_SECONDS: Final = 15.0
"""So long after a blank was reserved the card service may still hear that its card begins: it was asked with less patience."""


class PostgresJournal:
    """Where streams of several processes meet: whoever takes a record ends the one that had it."""

    def __init__(
        self, engine: AsyncEngine, vault: KeyVault, told_by_the_stream_seconds: float = TOLD_BY_THE_STREAM_SECONDS
    ) -> None:
        """`vault`: of the service's own."""
        self._engine = engine
        self._vault = vault
        self._accounts = Accounts(vault)
        self._told_by_the_stream_seconds = told_by_the_stream_seconds
        entries = Entries(engine, vault, told_by_the_stream_seconds)
        self._entries = Gather(entries.write, lambda entry: entry.record.id)
        self._find = Gather(self._find_all, str)
        self._open_of = Gather(self._open_of_all, int)
        self._reserve = Gather(self._reserve_all, lambda wanted: wanted[0].serial)
        self._account_of = Gather(self._accounts_of_all, str)

    async def find(self, card_identifier: str) -> Blank | None:
        """The blank with that chip."""
        return await self._find(card_identifier)

    async def record(self, number: int) -> Record | None:
        """As it is now."""
        async with driver_session(self._engine) as driver:
            row = await driver.fetchrow(_BY_ID, number)
        return _record(row) if row else None

    async def open_of(self, application: int) -> Record | None:
        """The record that holds an application."""
        return await self._open_of(application)

    async def reserve(self, blank: Blank, application: int, actor: Actor) -> Taken | Refusal | None:
        """A new record with its first epoch; None: somebody was quicker, look again."""
        after = decide(blank, Verb.RESERVE, at=actor.terminal)
        if isinstance(after, Refusal):
            return after
        try:
            number = await self._reserve((blank, application, actor))
        except (asyncpg.UniqueViolationError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            return None
        record = Record(number, 1, RecordState.RESERVED, application, blank.serial, Stage.BLANK_RESERVED)
        held = replace(blank, state=after, record=number, epoch=1, application=application, attempts=blank.attempts + 1)
        return Taken(record, held, Past(), actor)

    async def take(self, record: Record, actor: Actor) -> Taken | Refusal | None:
        """Raise the epoch and read the journal, in one transaction; None: somebody was quicker, look again."""

        async def act(driver: "asyncpg.Connection[Any]") -> Taken | Refusal | None:
            values = (actor.staff, actor.shift, actor.terminal, actor.outlet)
            row = await driver.fetchrow(_TAKE, record.id, record.epoch, *values)
            if row is None:
                return None
            taken = _record(row)
            blank = await find_blank(driver, taken.serial)
            assert blank is not None, "a record has its blank"
            if blank.state is not BlankState.HANDED_OVER:
                await add_place(driver, actor.terminal, actor.outlet)
                if refusal := await resume(driver, blank, actor.terminal, _signed(actor), taken.fence):
                    raise _Refused(refusal)
                blank = await find_blank(driver, taken.serial)
                assert blank is not None, "it was here a moment ago"
            notes = [_note(row) for row in await driver.fetch(_NOTES, taken.id)]
            return Taken(taken, blank, past_of(notes), actor)

        try:
            return await transact(self._engine, act)
        except _Refused as refused:
            return refused.refusal

    async def write(self, entry: Entry) -> int | None:
        """The number of what is owed now, or 0; None: another stream has taken the record, and nothing was written."""
        try:
            return await self._entries(entry)
        except asyncpg.SerializationError:
            return None  # its blank was moved by somebody else: a newer stream, or a person

    async def note_check(self, record: Record, actor: Actor) -> bool:
        """Write down that somebody looks at an issued card; not where it was looked at too often in a day."""
        async with driver_session(self._engine) as driver:
            return await record_check(driver, actor, record.id)

    async def keep_evidence(self, record: Record, note: Note) -> None:
        """An answer that came too late."""
        change = note.change
        async with driver_session(self._engine) as driver:
            await driver.execute(
                _EVIDENCE, record.id, record.epoch, note.step, change.kind, change.address, change.generation or 0,
                keyed(self._vault, note.digest), note.outcome,
            )  # fmt: skip

    async def owed_completion(self, record: Record) -> tuple[int, bytes] | None:
        """What the card service was not told of a card that was handed over: its number, and who took it."""
        async with driver_session(self._engine) as driver:
            row = await driver.fetchrow(_COMPLETION, record.id)
        return (row[0], self._vault.unwrap(OWED_KEY, row[2], row[1], bound_to(record.id))) if row else None

    async def due(self) -> Sequence[Due]:
        """Debts that no stream has paid in time; whoever asks has them for a while."""
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(_DUE, self._told_by_the_stream_seconds / 3)
            blanks = {blank.serial: blank for blank in await find_blanks(driver, [row[12] for row in rows])}
        found = []
        for number, debt, sealed, version, *who in rows:
            record = _record(who[4:])
            what = self._vault.unwrap(OWED_KEY, version, sealed, bound_to(record.id)) if sealed else b""
            taken = Taken(record, blanks[record.serial], Past(), _actor(who[:4]))
            found.append(Due(taken, Debt(debt), number, what))
        return found

    async def abandoned(self, seconds: float) -> Sequence[Taken]:
        """Records with a blank that nobody has come back to for so long, nothing written; or whose blank is gone or barred."""
        return await self._read_taken(_ABANDONED, seconds, _BEGINNING_SECONDS)

    async def lying(self, after: int, seconds: float) -> Sequence[Taken]:
        """Records behind that number whose card lies at its outlet for so long already, as far as we know."""
        return await self._read_taken(_LYING, after, seconds)

    async def _read_taken(self, statement: str, *values: object) -> list[Taken]:
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(statement, *values)
            blanks = {blank.serial: blank for blank in await find_blanks(driver, [row[8] for row in rows])}
        records = [(_record(row[4:]), _nobody(*row[2:4])) for row in rows]
        return [Taken(record, blanks[record.serial], Past(), actor) for record, actor in records]

    async def account_of(self, serial: str) -> str:
        """The bank account that came with a blank; empty: none."""
        return await self._account_of(serial)

    async def _find_all(self, identifiers: Sequence[str]) -> list[Blank | None]:
        async with driver_session(self._engine) as driver:
            found = await find_identifiers(driver, identifiers)
        return [found.get(identifier) for identifier in identifiers]

    async def _open_of_all(self, applications: Sequence[int]) -> list[Record | None]:
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(_OPEN_OF, applications)
        found = {row[3]: _record(row) for row in rows}
        return [found.get(application) for application in applications]

    async def _reserve_all(self, wanted: Sequence[tuple[Blank, int, Actor]]) -> list[int]:
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(
                _RESERVE,
                [application for _, application, _ in wanted],
                [blank.serial for blank, _, _ in wanted],
                [actor.staff for _, _, actor in wanted],
                [actor.shift for _, _, actor in wanted],
                [actor.terminal for _, _, actor in wanted],
                [actor.outlet for _, _, actor in wanted],
                [blank.state for blank, _, _ in wanted],
                [BlankState.RESERVED] * len(wanted),
            )
        numbers = {row[0]: row[1] for row in rows}
        return [numbers[blank.serial] for blank, _, _ in wanted]

    async def _accounts_of_all(self, serials: Sequence[str]) -> list[str]:
        async with driver_session(self._engine) as driver:
            found = await self._accounts.find_all(driver, serials)
        return [found.get(serial, "") for serial in serials]


async def lock_records(driver: "asyncpg.Connection[Any]", numbers: Sequence[int]) -> dict[int, RecordState]:
    """How they stand, until the caller's transaction ends; in order of their numbers."""
    return {row[0]: RecordState(row[1]) for row in await driver.fetch(_LOCK, numbers)}


async def end_streams(driver: "asyncpg.Connection[Any]", numbers: Sequence[int]) -> None:
    """Whoever has one of these writes nothing more, unless its holder takes it already: its blank goes another way."""
    await driver.execute(_END_STREAMS, numbers, WITHOUT_CHIP)


class _Refused(Exception):  # noqa: N818 - it takes the transaction back
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def _signed(actor: Actor) -> Signed:
    return Signed(actor.staff, actor.shift, actor.terminal)


def _nobody(terminal: str, outlet: str) -> Actor:
    """The service itself: whoever had a card last has no part in what a duty finds and does about it."""
    return Actor(0, frozenset(), 0, terminal, outlet, 0)


def _actor(row: Any) -> Actor:
    """Whoever did what is owed, in whose name it is told; with no right to anything."""
    staff, shift, terminal, outlet = row
    return Actor(staff, frozenset(), shift, terminal, outlet, 0)


def _record(row: Any) -> Record:
    number, epoch, state, application, serial, stage, card, reason = row
    return Record(number, epoch, RecordState(state), application, serial, Stage(stage), card, reason)


def _note(row: Any) -> Note:
    step, kind, change, address, generation, digest, outcome = row
    what = Change(ChangeKind(change), address, Generation(generation) if generation else None)
    return Note(step, NoteClass(kind), what, digest, Outcome(outcome))
