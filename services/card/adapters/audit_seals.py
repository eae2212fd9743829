"""The audit and its seals in PostgreSQL: rows that wait for a seal, seals stored once, and all of it to be verified."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from onecard.card.v1.audit_seals_pb2 import AuditSeal as AuditSealMessage
from services.card.domain.audit_seal import FIRST_HEAD, AuditRow, AuditSeal
from services.common.clock import instant, milliseconds

SERVICE: Final = "card"
_ROW: Final = """
a.id, (extract(epoch from a.at) * 1000000)::bigint, a.actor, a.shift, a.terminal, a.act, a.holder, a.card, a.application,
    a.purpose, a.detail::text"""
_UNSEALED: Final = f"""
select {_ROW} from card.audit a
where a.id > (select coalesce(max(last_row), 0) from card.audit_seal where at < now() - make_interval(secs => $1))
    and not exists (select from card.audit_sealed s where s.audit = a.id)
order by a.id limit $2"""  # noqa: S608 - our own list of columns
_SEAL: Final = "select number, rows, last_row, head, key_version, at from card.audit_seal"
_NEWEST: Final = _SEAL + " order by number desc limit 1"
_ALL: Final = _SEAL + " order by number"
_ADD: Final = """
insert into card.audit_seal (number, rows, last_row, head, key_version, at) values ($1, $2, $3, $4, $5, $6)"""
_UNSENT: Final = _SEAL + " where sent_time is null order by number limit $1"
_SENT: Final = "update card.audit_seal set sent_time = now() where number = any($1::bigint[])"
_OF_SEAL: Final = f"""
select s.audit, s.digest, {_ROW} from card.audit_sealed s left join card.audit a on a.id = s.audit
where s.seal = $1 order by s.audit"""  # noqa: S608
_STRANGERS: Final = """
select a.id from card.audit a where a.id <= $1 and not exists (select from card.audit_sealed s where s.audit = a.id)
    and a.at < now() - interval '1 minute' order by a.id limit $2"""
_RETIRED: Final = "select coalesce(max(up_to_seal), 0) from card.audit_retired"
_RETIRE: Final = """
with seals as (select max(number) as up_to from card.audit_seal where at < now() - make_interval(days => $1)),
gone as (
    delete from card.audit a using card.audit_sealed s, seals
    where s.audit = a.id and s.seal <= seals.up_to returning a.id),
noted as (
    insert into card.audit_retired (up_to_seal, rows) select up_to, (select count(*) from gone) from seals
    where up_to is not null on conflict do nothing)
select (select up_to from seals), (select count(*) from gone)"""


class SealedRow(NamedTuple):
    """A row as its seal has it, and as it is now."""

    id: int
    digest: bytes
    now: AuditRow | None
    """None: it is not there."""


async def newest_seal(driver: "asyncpg.Connection[Any]") -> AuditSeal:
    """The last one; number 0 before there is any."""
    row = await driver.fetchrow(_NEWEST)
    return _seal(row) if row else AuditSeal(0, 0, 0, FIRST_HEAD, 0, 0)


async def unsealed(driver: "asyncpg.Connection[Any]", look_back_seconds: float, limit: int) -> list[AuditRow]:
    """Rows that no seal covers, in order; as far back as behind the newest seal that is so old."""
    return [AuditRow(*row) for row in await driver.fetch(_UNSEALED, look_back_seconds, limit)]


async def store_seal(driver: "asyncpg.Connection[Any]", seal: AuditSeal, digests: Sequence[tuple[int, bytes]]) -> None:
    """A seal with its rows, in one transaction. UniqueViolationError: somebody else has sealed."""
    async with driver.transaction():
        await driver.execute(
            _ADD, seal.number, seal.rows, seal.last_row, seal.head, seal.key_version, instant(seal.time_ms)
        )  # fmt: skip
        await driver.copy_records_to_table(
            "audit_sealed",
            schema_name="card",
            columns=("audit", "seal", "digest"),
            records=[(row, seal.number, digest) for row, digest in digests],
        )


async def unsent_seals(driver: "asyncpg.Connection[Any]", limit: int) -> list[AuditSeal]:
    """Seals that were not published, or of which that is not known."""
    return [_seal(row) for row in await driver.fetch(_UNSENT, limit)]


async def mark_sent(driver: "asyncpg.Connection[Any]", seals: Sequence[AuditSeal]) -> None:
    """The broker has them."""
    await driver.execute(_SENT, [seal.number for seal in seals])


async def all_seals(driver: "asyncpg.Connection[Any]") -> list[AuditSeal]:
    """The chain, from its beginning."""
    return [_seal(row) for row in await driver.fetch(_ALL)]


async def rows_of_seal(driver: "asyncpg.Connection[Any]", number: int) -> list[SealedRow]:
    """In order of their numbers."""
    return [
        SealedRow(id_, digest, AuditRow(*now) if now[0] is not None else None)
        for id_, digest, *now in await driver.fetch(_OF_SEAL, number)
    ]


async def strangers(driver: "asyncpg.Connection[Any]", up_to: int, limit: int) -> list[int]:
    """Rows that no seal covers though a later one is covered, and that are older than a moment."""
    return [row[0] for row in await driver.fetch(_STRANGERS, up_to, limit)]


async def retired_up_to(driver: "asyncpg.Connection[Any]") -> int:
    """The seal up to which rows may be missing, because their time was over."""
    number: int = await driver.fetchval(_RETIRED)
    return number


async def retire(driver: "asyncpg.Connection[Any]", days: int) -> tuple[int, int]:
    """Take away the rows of seals that are so old; answers up to which seal, and how many rows. For the owner."""
    row = await driver.fetchrow(_RETIRE, days)
    assert row is not None, "it counts"
    return row[0] or 0, row[1]


def message_of(seal: AuditSeal) -> bytes:
    """The value of its record."""
    return AuditSealMessage(
        service=SERVICE,
        seal_number=seal.number,
        rows=seal.rows,
        last_row=seal.last_row,
        head=seal.head,
        key_version=seal.key_version,
        seal_time_ms=seal.time_ms,
    ).SerializeToString()


def _seal(row: Any) -> AuditSeal:
    number, rows, last_row, head, key_version, at = row
    return AuditSeal(number, rows, last_row, head, key_version, milliseconds(at))
