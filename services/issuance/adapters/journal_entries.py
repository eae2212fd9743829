"""Entries of the journal in PostgreSQL: one is written whole, in one statement with those of others, fenced by its epoch."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session
from services.common.keyvault.vault import KeyVault
from services.issuance.domain.blank import place_after
from services.issuance.domain.journal import Entry, Move

OWED_KEY: Final = "owed"
JOURNAL_KEY: Final = "journal"

_WRITE: Final = """
with wanted as (
    select * from unnest($1::bigint[], $2::int[], $3::smallint[], $4::smallint[], $5::bigint[], $6::text[], $7::smallint[],
        $8::smallint[], $9::smallint[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::text[],
        $16::text[], $17::smallint[], $18::text[], $19::smallint[], $20::bytea[], $21::smallint[], $22::smallint[],
        $32::smallint[])
    as w(record, epoch, state, stage, card, reason, verb, from_state, to_state, from_place, to_place, why, staff, shift,
        terminal, outlet, paid, answer, debt, sealed, version, outcome, was)),
held as (
    update issuance.record r set state = w.state, stage = greatest(r.stage, w.stage),
        card = case w.card when 0 then r.card else w.card end, reason = case w.reason when '' then r.reason else w.reason end,
        change_time = clock_timestamp()
    from wanted w where r.id = w.record and r.epoch = w.epoch and r.state = w.was
    returning r.id, r.epoch, r.state, r.stage, r.serial, w.verb, w.from_state, w.to_state, w.from_place, w.to_place, w.why,
        w.staff, w.shift, w.terminal, w.outlet, w.paid, w.answer, w.debt, w.sealed, w.version, w.outcome),
noted as (
    insert into issuance.journal (record, epoch, step, class, kind, address, generation, digest, outcome)
    select h.id, h.epoch, n.step, n.class, n.kind, n.address, n.generation, n.digest, n.outcome
    from held h join unnest($23::bigint[], $24::int[], $25::smallint[], $26::text[], $27::int[], $28::smallint[], $29::bytea[],
        $30::smallint[]) as n(record, step, class, kind, address, generation, digest, outcome) on n.record = h.id),
moved as (
    insert into issuance.blank_entry (serial, verb, from_state, to_state, from_place, to_place, record, epoch, staff, shift,
        terminal, reason)
    select serial, verb, from_state, to_state, from_place, to_place, id, epoch, nullif(staff, 0), nullif(shift, 0),
        terminal, why
    from held where verb > 0),
forgotten as (delete from issuance.blank_account a using held h where a.serial = h.serial and h.state = 10),
paid as (
    update issuance.owed o set done_time = clock_timestamp(), answer = h.answer, sealed = null from held h
    where o.record = h.id and o.what = h.paid and o.done_time is null),
owes as (
    insert into issuance.owed (record, what, sealed, key_version, staff, shift, terminal, outlet, due_time)
    select id, debt, sealed, version, staff, shift, terminal, outlet, clock_timestamp() + make_interval(secs => $31::float8)
    from held where debt > 0
    returning id, record),
told as (
    insert into issuance.outbox (record, epoch, stage, outcome, place)
    select id, epoch, stage, outcome, terminal from held where outcome > 0)
select h.id, coalesce(o.id, 0) from held h left join owes o on o.record = h.id"""


class Entries:
    """Whatever of them an older epoch has is not written, nor what was decided on a state that is no longer the record's."""

    def __init__(self, engine: AsyncEngine, vault: KeyVault, told_by_the_stream_seconds: float) -> None:
        """So long a stream has for telling the card service itself; then the duty does it."""
        self._engine = engine
        self._vault = vault
        self._told_by_the_stream_seconds = told_by_the_stream_seconds

    async def write(self, entries: Sequence[Entry]) -> list[int | None]:
        """Of each: the number of what is owed now, or 0; None: another stream has the record. Each is of another record."""
        ordered = sorted(entries, key=_record_of)
        columns = zip(*map(self._values, ordered), strict=True)
        notes = [(entry.record.id, note) for entry in entries for note in entry.notes]
        async with driver_session(self._engine) as driver:
            rows = await driver.fetch(
                _WRITE,
                *map(list, columns),
                [record for record, _ in notes],
                [note.step for _, note in notes],
                [note.kind for _, note in notes],
                [note.change.kind for _, note in notes],
                [note.change.address for _, note in notes],
                [note.change.generation or 0 for _, note in notes],
                [keyed(self._vault, note.digest) for _, note in notes],
                [note.outcome for _, note in notes],
                self._told_by_the_stream_seconds,
                [entry.record.state for entry in ordered],
            )
        written = {row[0]: row[1] for row in rows}
        return [written.get(entry.record.id) for entry in entries]

    def _values(self, entry: Entry) -> tuple[Any, ...]:
        record, actor, owes = entry.record, entry.actor, entry.owes
        version, sealed = 0, None
        if owes and owes.what:
            version, sealed = self._vault.wrap(OWED_KEY, owes.what, bound_to(record.id))
        return (
            record.id,
            record.epoch,
            entry.state,
            entry.stage,
            entry.card,
            entry.reason,
            *_moved(entry.move),
            actor.staff,
            actor.shift,
            actor.terminal,
            actor.outlet,
            entry.paid or 0,
            entry.answer,
            owes.debt if owes else 0,
            sealed,
            version,
            entry.tells,
        )


def keyed(vault: KeyVault, digest: bytes) -> bytes:
    """As it stands in the journal: commands hold a name and a number, which could be found out by trying."""
    return vault.mac(JOURNAL_KEY, vault.current(JOURNAL_KEY), digest)


def bound_to(record: int) -> bytes:
    """What is owed for a record is opened for no other one."""
    return b"owed %d" % record


def _record_of(entry: Entry) -> int:
    return entry.record.id


def _moved(move: Move | None) -> tuple[Any, ...]:
    if move is None:
        return (0, 0, 0, "", "", "")
    blank = move.blank
    return (move.verb, blank.state, move.to, blank.place, place_after(blank, move.verb), move.reason)
