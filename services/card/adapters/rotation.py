"""What a new version of a key asks for: holders whose data key is wrapped by an older one, or who are not in an index yet."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.people import HOLDER_COLUMNS, Holder, holder_of
from services.card.adapters.sealing import Digest, Sealing, WrappedKey

_COUNT_OLD: Final = "select count(*) from card.holder where deletion_time is null and data_key_version <> $1"
_OLD: Final = """
select id, data_key_version, data_key from card.holder
where deletion_time is null and data_key_version <> $1 and id > $2 order by id limit $3"""
_REWRAP: Final = """
update card.holder h set data_key = n.blob, data_key_version = $4
from unnest($1::bigint[], $2::smallint[], $3::bytea[]) as n(id, old_version, blob)
where h.id = n.id and h.data_key_version = n.old_version"""
_COUNT_MISSING: Final = """
select count(*) from card.holder h where deletion_time is null
and not exists (select from card.lookup l where l.holder = h.id and l.index_version = $1)"""
_MISSING: Final = f"""
select {HOLDER_COLUMNS} from card.holder h where deletion_time is null and id > $2
and not exists (select from card.lookup l where l.holder = h.id and l.index_version = $1)
order by id limit $3 for no key update"""  # noqa: S608 - our own list of columns
_NUMBERS: Final = """
select d.holder, d.kind, 100 + d.number - 1, d.sealed from card.document d
where d.holder = any($1::bigint[]) and d.replaced_time is null
union all
select c.holder, 0, 8, c.sealed_number from card.card c where c.holder = any($1::bigint[])"""
_ADD: Final = """
insert into card.lookup (field, index_version, digest, holder)
select * from unnest($1::smallint[], $2::smallint[], $3::bytea[], $4::bigint[]) on conflict do nothing"""
_ADD_NAMESAKE: Final = """
insert into card.namesake (index_version, digest, holder, citizen)
select v, d, h, exists (select from card.namesake n where n.holder = h and n.citizen)
from unnest($1::smallint[], $2::bytea[], $3::bigint[]) as w(v, d, h) on conflict do nothing"""


class SealedNumber(NamedTuple):
    """A number that a holder is found by."""

    holder: int
    document_kind: int
    """0: a card's."""
    field: int
    """Under which it is sealed."""
    sealed: bytes


async def count_wrapped_by_older(driver: "asyncpg.Connection[Any]", version: int) -> int:
    """Holders whose data key is wrapped by another version than this."""
    count: int = await driver.fetchval(_COUNT_OLD, version)
    return count


async def wrapped_by_older(
    driver: "asyncpg.Connection[Any]", version: int, after: int, limit: int
) -> list[tuple[int, WrappedKey]]:
    """Their data keys, by holder, behind one."""
    return [(row[0], WrappedKey(row[1], row[2])) for row in await driver.fetch(_OLD, version, after, limit)]


async def store_rewrapped(
    driver: "asyncpg.Connection[Any]", old: Sequence[tuple[int, WrappedKey]], new: Sequence[WrappedKey]
) -> None:
    """Put the keys in the place of those that were read, where nobody else has."""
    if new:
        ids, versions = [holder for holder, _ in old], [key.version for _, key in old]
        await driver.execute(_REWRAP, ids, versions, [key.blob for key in new], new[0].version)


async def count_missing(driver: "asyncpg.Connection[Any]", version: int) -> int:
    """Holders who are not in the index of a version."""
    count: int = await driver.fetchval(_COUNT_MISSING, version)
    return count


async def lock_missing(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, version: int, after: int, limit: int
) -> list[Holder]:
    """They themselves, locked, behind one."""
    return [holder_of(sealing, row) for row in await driver.fetch(_MISSING, version, after, limit)]


async def numbers_of(driver: "asyncpg.Connection[Any]", holders: Sequence[int]) -> list[SealedNumber]:
    """The numbers on documents and cards that holders are found by."""
    return [SealedNumber(*row) for row in await driver.fetch(_NUMBERS, holders)]


async def add_digests(driver: "asyncpg.Connection[Any]", found_by: Sequence[tuple[Digest, int]]) -> None:
    """Add what is missing, in order."""
    rows = sorted(found_by)
    await driver.execute(
        _ADD, [d.field for d, _ in rows], [d.index_version for d, _ in rows], [d.digest for d, _ in rows], [h for _, h in rows]
    )


async def add_namesakes(driver: "asyncpg.Connection[Any]", digests: Sequence[tuple[Digest, int]]) -> None:
    """The same for names and birth dates."""
    rows = sorted(digests)
    await driver.execute(_ADD_NAMESAKE, [d.index_version for d, _ in rows], [d.digest for d, _ in rows], [h for _, h in rows])


async def forget_index(owner: "asyncpg.Connection[Any]", version: int, limit: int) -> int:
    """Delete rows of an older version; answers how many are gone."""
    gone = 0
    for table in ("lookup", "namesake"):
        done = await owner.execute(
            f"delete from card.{table} where ctid in (select ctid from card.{table} where index_version = $1 limit $2)",  # noqa: S608
            version,
            limit,
        )
        gone += int(done.split()[1])
    return gone


async def bar_index(owner: "asyncpg.Connection[Any]", version: int) -> None:
    """From now on nothing is added under this version or an older one: a process that knows no newer one is refused."""
    for table in ("lookup", "namesake"):
        name = f"{table}_version"
        await owner.execute(f"alter table card.{table} drop constraint if exists {name}")
        await owner.execute(f"alter table card.{table} add constraint {name} check (index_version > {version:d}) not valid")
