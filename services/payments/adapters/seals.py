"""Seals in PostgreSQL, and the keyed digest at their head."""

from collections.abc import Iterable, Sequence
from struct import pack
from typing import Any, Final

from asyncpg import Range
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import instant, milliseconds
from services.common.gone_back import GoneBack
from services.payments.domain.seal import Seal

CHAIN: Final = "payments"
"""Whose it is, among the chains of all services."""
BEFORE_THE_FIRST: Final = Seal(0, 0, 0, (), (), 0, bytes(32), 0, 0)
"""What the first seal follows."""

SEAL_COLUMNS: Final = "number, first_batch, last_batch, holes, late, batches, head, key_version, create_time"
_NEWEST: Final = text(f"select {SEAL_COLUMNS} from payments.seal order by number desc limit 1")  # noqa: S608  # constants
_BETWEEN: Final = text(
    f"select {SEAL_COLUMNS} from payments.seal where number > :after and number <= :upto order by number limit :most"  # noqa: S608  # constants
)
_INSERT: Final = text(
    f"insert into payments.seal ({SEAL_COLUMNS}) values"  # noqa: S608  # constants
    " (:number, :first, :last, :holes, :late, :batches, :head, :key_version, :create_time)"
)
_COMMITTED: Final = text("select number, digest from payments.batch where number > :last order by number limit :most")
# Holes that are to be seen now. A posting transaction lives for seconds, so only young holes need looking at; no hole is
# filled twice, and none by a batch that a later seal covers.
_FILLED: Final = text("""
with young as (
    select holes, late from payments.seal where create_time > cast(:since as timestamptz)
)
select b.number, b.digest
from young cross join lateral unnest(young.holes) as hole
join payments.batch b on b.number >= lower(hole) and b.number < upper(hole)
where b.number not in (select unnest(late) from young)
order by b.number limit :most""")


async def newest_seal(connection: AsyncConnection) -> Seal:
    """The end of the chain."""
    row = (await connection.execute(_NEWEST)).first()
    return BEFORE_THE_FIRST if row is None else seal_of(row)


async def seals_between(connection: AsyncConnection, after: int, upto: int, most: int) -> list[Seal]:
    """The next seals, in order."""
    return [seal_of(row) for row in await connection.execute(_BETWEEN, {"after": after, "upto": upto, "most": most})]


async def store_seal(connection: AsyncConnection, seal: Seal) -> None:
    """Append to the chain. Whoever comes second with a number gets 23505."""
    await connection.execute(
        _INSERT,
        {
            "number": seal.number,
            "first": seal.first,
            "last": seal.last,
            "holes": [Range(first, last + 1) for first, last in seal.holes],
            "late": list(seal.late),
            "batches": seal.batches,
            "head": seal.head,
            "key_version": seal.key_version,
            "create_time": instant(seal.create_time_ms),
        },
    )


async def committed_after(connection: AsyncConnection, last: int, most: int) -> list[tuple[int, bytes]]:
    """(number, digest) of committed batches behind the last sealed number, in order."""
    return [(number, digest) for number, digest in await connection.execute(_COMMITTED, {"last": last, "most": most})]


async def filled_holes(connection: AsyncConnection, since_ms: int, most: int) -> list[tuple[int, bytes]]:
    """(number, digest) of batches that are holes of seals made since then and have been committed, in order."""
    return [
        (number, digest) for number, digest in await connection.execute(_FILLED, {"since": instant(since_ms), "most": most})
    ]


def seal_head(key: bytes, before: bytes, seal: Seal, digests: Iterable[bytes]) -> bytes:
    """HMAC-SM3 over the head before, everything that the seal says, and the digests of its batches in order of number."""
    head = HMAC(key, SM3())
    head.update(before)
    head.update(_numbers((seal.number, seal.first, seal.last, seal.create_time_ms, len(seal.holes), len(seal.late))))
    head.update(_numbers([number for span in seal.holes for number in span]))
    head.update(_numbers(seal.late))
    for digest in digests:
        head.update(digest)
    return head.finalize()


def gone_back_mac(key: bytes, time: GoneBack) -> bytes:
    """HMAC-SM3 over what a note says that the ledger gave up."""
    mac = HMAC(key, SM3())
    mac.update(time.content)
    return mac.finalize()


def _numbers(numbers: Sequence[int]) -> bytes:
    return pack(f"!{len(numbers)}q", *numbers)


def seal_of(row: Any) -> Seal:
    """A seal of its row, in the order of SEAL_COLUMNS."""
    number, first, last, holes, late, batches, head, key_version, create_time = row
    spans = tuple((hole.lower, hole.upper - 1) for hole in holes)
    return Seal(number, first, last, spans, tuple(late), batches, head, key_version, milliseconds(create_time))
