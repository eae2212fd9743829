"""The audit and its seals in PostgreSQL: rows that wait for a seal, seals stored once, and all of it to be verified."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from onecard.card.v1.audit_seals_pb2 import AuditSeal as AuditSealMessage
from services.common.audit.seals import BEFORE_THE_FIRST, LATE_MS, AuditRow, AuditSeal
from services.common.clock import instant, milliseconds

_CLOSED: Final = """
select coalesce((
    select last_row from {schema}.audit_seal
    where at < (select at from {schema}.audit_seal order by number desc limit 1) - make_interval(secs => $1)
    order by number desc limit 1), 0)"""
_END: Final = 2**63 - 1
"""A range, also where it has no end: of what is behind a number alone the server expects a third of the table."""
_UNSEALED: Final = """
select {row} from {schema}.audit a where a.id > $1 and a.id <= $3
    and not exists (select from {schema}.audit_sealed s where s.audit = a.id and s.audit > $1 and s.audit <= $3)
order by a.id limit $2"""
_SEAL: Final = "select number, rows, last_row, head, key_version, at from {schema}.audit_seal"
_NEWEST: Final = _SEAL + " order by number desc limit 1"
_BETWEEN: Final = _SEAL + " where number > $1 and number <= $2 order by number limit $3"
_HEADS: Final = "select number, head from {schema}.audit_seal where number = any($1::bigint[])"
_ADD: Final = """
insert into {schema}.audit_seal (number, rows, last_row, head, key_version, at) values ($1, $2, $3, $4, $5, $6)"""
_UNSENT: Final = _SEAL + " where sent_time is null order by number limit $1"
_SENT: Final = "update {schema}.audit_seal set sent_time = now() where number = any($1::bigint[])"
_OF_SEAL: Final = """
select s.audit, s.digest, {row} from {schema}.audit_sealed s left join {schema}.audit a on a.id = s.audit
where s.seal = $1 order by s.audit"""
_STRANGERS: Final = """
select a.id from {schema}.audit a where a.id <= $1 and not exists (select from {schema}.audit_sealed s where s.audit = a.id)
order by a.id limit $2"""
_RETIRED: Final = "select coalesce(max(up_to_seal), 0) from {schema}.audit_retired"
_DUE: Final = """
select count(*), coalesce(max(number), 0), coalesce(sum(rows), 0) from {schema}.audit_seal
where number > $1 and number < coalesce(
    (select number from {schema}.audit_seal where number > $1 and at >= $2 order by number limit 1), 9223372036854775807)"""
_RETIRE: Final = """
with gone as (
    delete from {schema}.audit where id = any(array(select audit from {schema}.audit_sealed where seal > $1 and seal <= $2))
    returning id)
insert into {schema}.audit_retired (up_to_seal, rows) select $2, (select count(*) from gone) returning rows"""


class Due(NamedTuple):
    """Seals whose rows' time is over, and have not been taken away."""

    seals: int
    up_to_seal: int
    rows: int


class SealedRow(NamedTuple):
    """A row as its seal has it, and as it is now."""

    id: int
    digest: bytes
    now: AuditRow | None
    """None: it is not there."""


class AuditBook:
    """The audit of one service, in its own schema, with the tables audit, audit_seal and audit_sealed."""

    def __init__(self, service: str, columns: str) -> None:
        """`columns`: of a row behind its number and its time, in the order in which they are sealed."""
        self.service = service
        self._columns = columns

    async def newest_seal(self, driver: "asyncpg.Connection[Any]") -> AuditSeal:
        """The last one; number 0 before there is any."""
        row = await driver.fetchrow(self._sql(_NEWEST))
        return _seal(row) if row else BEFORE_THE_FIRST

    async def closed_up_to(self, driver: "asyncpg.Connection[Any]") -> int:
        """Up to this number no act's row is committed any more: it was sealed a minute before the newest seal."""
        number: int = await driver.fetchval(self._sql(_CLOSED), LATE_MS / 1000)
        return number

    async def unsealed(self, driver: "asyncpg.Connection[Any]", after: int, limit: int) -> list[AuditRow]:
        """Rows behind a number that no seal covers, in order."""
        return [_row(row) for row in await driver.fetch(self._sql(_UNSEALED), after, limit, _END)]

    async def store_seal(
        self, driver: "asyncpg.Connection[Any]", seal: AuditSeal, digests: Sequence[tuple[int, bytes]]
    ) -> None:
        """A seal with its rows, in one transaction. UniqueViolationError: somebody else has sealed."""
        async with driver.transaction():
            await driver.execute(
                self._sql(_ADD), seal.number, seal.rows, seal.last_row, seal.head, seal.key_version, instant(seal.time_ms)
            )  # fmt: skip
            await driver.copy_records_to_table(
                "audit_sealed",
                schema_name=self.service,
                columns=("audit", "seal", "digest"),
                records=[(row, seal.number, digest) for row, digest in digests],
            )

    async def unsent_seals(self, driver: "asyncpg.Connection[Any]", limit: int) -> list[AuditSeal]:
        """Seals that were not published, or of which that is not known."""
        return [_seal(row) for row in await driver.fetch(self._sql(_UNSENT), limit)]

    async def mark_sent(self, driver: "asyncpg.Connection[Any]", seals: Sequence[AuditSeal]) -> None:
        """The broker has them."""
        await driver.execute(self._sql(_SENT), [seal.number for seal in seals])

    async def seals_between(self, driver: "asyncpg.Connection[Any]", after: int, up_to: int, limit: int) -> list[AuditSeal]:
        """Links of the chain, in order."""
        return [_seal(row) for row in await driver.fetch(self._sql(_BETWEEN), after, up_to, limit)]

    async def heads_of(self, driver: "asyncpg.Connection[Any]", numbers: Sequence[int]) -> dict[int, bytes]:
        """The heads of seals, by number; who is not there is left out."""
        return {row[0]: row[1] for row in await driver.fetch(self._sql(_HEADS), numbers)}

    async def rows_of_seal(self, driver: "asyncpg.Connection[Any]", number: int) -> list[SealedRow]:
        """In order of their numbers."""
        return [
            SealedRow(id_, digest, _row(now) if now[0] is not None else None)
            for id_, digest, *now in await driver.fetch(self._sql(_OF_SEAL), number)
        ]

    async def strangers(self, driver: "asyncpg.Connection[Any]", up_to: int, limit: int) -> list[int]:
        """Rows up to a number that no seal covers."""
        return [row[0] for row in await driver.fetch(self._sql(_STRANGERS), up_to, limit)]

    async def retired_up_to(self, driver: "asyncpg.Connection[Any]") -> int:
        """The seal up to which rows are said to have been taken away. Nobody vouches for that: a seal's time does."""
        number: int = await driver.fetchval(self._sql(_RETIRED))
        return number

    async def due(self, driver: "asyncpg.Connection[Any]", after: int, before_ms: int) -> Due:
        """Seals behind one that are older than a time, up to the first that is not."""
        (row,) = await driver.fetch(self._sql(_DUE), after, instant(before_ms))
        return Due(*row)

    async def retire(self, owner: "asyncpg.Connection[Any]", after: int, up_to: int) -> int:
        """Take away the rows of some seals, and note it; answers how many rows."""
        rows: int = await owner.fetchval(self._sql(_RETIRE), after, up_to)
        return rows

    def message_of(self, seal: AuditSeal) -> bytes:
        """The value of its record."""
        return AuditSealMessage(
            service=self.service,
            seal_number=seal.number,
            rows=seal.rows,
            last_row=seal.last_row,
            head=seal.head,
            key_version=seal.key_version,
            seal_time_ms=seal.time_ms,
        ).SerializeToString()

    def _sql(self, statement: str) -> str:
        return statement.format(schema=self.service, row=f"a.id, (extract(epoch from a.at) * 1000000)::bigint, {self._columns}")


def _row(row: Any) -> AuditRow:
    id_, at_us, *values = row
    return AuditRow(id_, at_us, tuple(values))


def _seal(row: Any) -> AuditSeal:
    number, rows, last_row, head, key_version, at = row
    return AuditSeal(number, rows, last_row, head, key_version, milliseconds(at))
