"""What a new version of a key asks for: holders whose key is wrapped by an older one, or who are not wholly in an index yet."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.sealing import Digest, WrappedKey

_COUNT_OLD: Final = "select count(*) from card.holder where deletion_time is null and data_key_version <> $1"
_OLD: Final = """
select id, data_key_version, data_key from card.holder
where deletion_time is null and data_key_version <> $1 and id > $2 order by id limit $3"""
_REWRAP: Final = """
update card.holder h set data_key = n.blob, data_key_version = $4
from unnest($1::bigint[], $2::smallint[], $3::bytea[]) as n(id, old_version, blob)
where h.id = n.id and h.data_key_version = n.old_version"""
_END_OF_PAGE: Final = "select max(id) from (select id from card.holder where id > $1 order by id limit $2) as page"
# Number by number: whoever got a card since the new version came is there with the card, and with nothing else yet.
_MISSING: Final = """
select h.id from card.holder h left join (
    select holder, field, index_version, count(*) as digests from (
        select holder, field, index_version from card.lookup
        union all
        select holder, 4::smallint, index_version from card.namesake) as ways
    where holder > $2 and holder <= $3 group by holder, field, index_version) as found on found.holder = h.id
where h.id > $2 and h.id <= $3 and h.deletion_time is null
group by h.id, found.field
having coalesce(max(digests) filter (where index_version = $1), 0)
    < greatest(max(digests) filter (where index_version < $1), 1)"""
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

_REFUSE_BARRED: Final = """
create or replace function card.refuse_barred() returns trigger language plpgsql as $$ begin
    if exists (select from added a where a.index_version <= tg_argv[0]::int
               and not exists (select from added n where n.holder = a.holder and n.index_version > tg_argv[0]::int)) then
        raise exception '%: version % of the index is retired', tg_name, tg_argv[0] using errcode = 'check_violation';
    end if;
    return null;
end $$"""


class SealedNumber(NamedTuple):
    """A number that a holder is found by."""

    holder: int
    document_kind: int
    """0: a card's."""
    field: int
    """Under which it is sealed."""
    sealed: bytes


class Page(NamedTuple):
    """Holders behind one, up to another."""

    after: int
    until: int


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


async def page_holders(driver: "asyncpg.Connection[Any]", size: int) -> AsyncIterator[Page]:
    """All holders, some at a time: no statement takes long, however many there are."""
    after = 0
    while until := await driver.fetchval(_END_OF_PAGE, after, size):
        yield Page(after, until)
        after = until


async def find_missing(driver: "asyncpg.Connection[Any]", version: int, page: Page) -> set[int]:
    """Holders who are not wholly in the index of a version: of some way to find them an older one has more."""
    return {row[0] for row in await driver.fetch(_MISSING, version, *page)}


async def count_missing(driver: "asyncpg.Connection[Any]", version: int, size: int) -> int:
    """How many that are of all."""
    return sum([len(await find_missing(driver, version, page)) async for page in page_holders(driver, size)])


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


async def forget_index(owner: "asyncpg.Connection[Any]", version: int, page: Page) -> int:
    """Delete rows of an older version; answers how many are gone."""
    gone = 0
    for table in ("lookup", "namesake"):
        done = await owner.execute(
            f"delete from card.{table} where holder > $1 and holder <= $2 and index_version = $3",  # noqa: S608
            *page,
            version,
        )
        gone += int(done.split()[1])
    return gone


async def bar_index(owner: "asyncpg.Connection[Any]", version: int) -> None:
    """From now on nobody is added under this version or an older one alone: a process that knows no newer one is refused."""
    await owner.execute(_REFUSE_BARRED)
    for table in ("lookup", "namesake"):
        await owner.execute(
            f"create or replace trigger {table}_version after insert on card.{table} referencing new table as added"
            f" for each statement execute function card.refuse_barred({version:d})"
        )
