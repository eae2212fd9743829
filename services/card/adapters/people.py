"""Holders in PostgreSQL: found by digests, locked, added many at once."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.sealing import Digest, HolderCipher, SealedPerson, Sealing, WrappedKey, columns
from services.card.domain.person import Field, Person
from services.common.clock import instant

_FIND: Final = """
select l.field, l.digest, l.holder from unnest($1::smallint[], $2::smallint[], $3::bytea[]) as w(field, version, digest)
join card.lookup l on l.field = w.field and l.index_version = w.version and l.digest = w.digest"""
_NAMESAKES: Final = """
select n.digest, n.holder from unnest($1::smallint[], $2::bytea[], $3::boolean[]) as w(version, digest, citizen)
join card.namesake n on n.index_version = w.version and n.digest = w.digest and not (n.citizen and w.citizen)"""
HOLDER_COLUMNS: Final = (
    "id, data_key_version, data_key, sealed_version, name, birth_date, traits, phone, address, social_security_number, "
    "category, resident, version"
)
_HOLDER: Final = (
    f"select {HOLDER_COLUMNS} from card.holder"  # noqa: S608 - our own list of columns
    " where id = any($1::bigint[]) and deletion_time is null order by id"
)
_LOCK: Final = f"{_HOLDER} for no key update"
_DOCUMENTS: Final = """
select holder, number, kind, sealed, valid_until from card.document
where holder = any($1::bigint[]) and replaced_time is null order by holder, number"""
_NEW_IDS: Final = "select nextval('card.holder_id') from generate_series(1, $1)"

_HOLDER_COLUMNS: Final = (
    "id",
    "data_key_version",
    "data_key",
    "sealed_version",
    *SealedPerson._fields,
    "category",
    "resident",
    "create_time",
)


class Holder(NamedTuple):
    """A holder as stored, with the cipher that opens the rest."""

    id: int
    cipher: HolderCipher
    sealed: SealedPerson
    category: str
    resident: bool
    version: int

    def person(self) -> Person:
        """In the clear."""
        return self.cipher.open_person(self.sealed)


class StoredDocument(NamedTuple):
    """A document of a holder; its number is sealed."""

    number: int
    """Which one of the holder's, from 1."""
    kind: int
    sealed: bytes
    valid_until: date | None


class NewHolder(NamedTuple):
    """Somebody who is to be added, whole."""

    id: int
    key: WrappedKey
    sealed_version: int
    person: SealedPerson
    category: str
    resident: bool
    citizen: bool
    document_kind: int
    document: bytes
    valid_until: date | None
    found_by: Sequence[Digest]
    namesakes: Sequence[Digest]


async def find_holders(driver: "asyncpg.Connection[Any]", digests: Sequence[Digest]) -> dict[tuple[int, bytes], int]:
    """Holders by (field, digest)."""
    rows = await driver.fetch(_FIND, *columns(digests))
    return {(field, digest): holder for field, digest, holder in rows}


async def find_namesakes(driver: "asyncpg.Connection[Any]", wanted: Sequence[tuple[Digest, bool]]) -> dict[bytes, set[int]]:
    """Holders of the same name and birth date, by digest. Two who are known by citizens' numbers are two people."""
    found: dict[bytes, set[int]] = {}
    versions, digests = [d.index_version for d, _ in wanted], [d.digest for d, _ in wanted]
    for digest, holder in await driver.fetch(_NAMESAKES, versions, digests, [citizen for _, citizen in wanted]):
        found.setdefault(digest, set()).add(holder)
    return found


async def read_holders(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, ids: Iterable[int], *, lock: bool = False
) -> dict[int, Holder]:
    """Holders by id, locked in order of their ids if asked; who was deleted is not there."""
    wanted = sorted(set(ids))
    rows = await driver.fetch(_LOCK if lock else _HOLDER, wanted) if wanted else []
    return {row[0]: holder_of(sealing, row) for row in rows}


def holder_of(sealing: Sealing, row: Any) -> Holder:
    """A row of HOLDER_COLUMNS."""
    number, key_version, key, sealed_version, *rest = row
    sealed, (category, resident, version) = SealedPerson(*rest[:6]), rest[6:]
    return Holder(
        number, sealing.cipher(number, WrappedKey(key_version, key), sealed_version), sealed, category, resident, version
    )


async def read_documents(driver: "asyncpg.Connection[Any]", ids: Iterable[int]) -> dict[int, list[StoredDocument]]:
    """The documents in use, by holder."""
    found: dict[int, list[StoredDocument]] = {}
    for holder, *document in await driver.fetch(_DOCUMENTS, sorted(set(ids))):
        found.setdefault(holder, []).append(StoredDocument(*document))
    return found


def document_field(number: int) -> int:
    """Under which field the n-th document of a holder is sealed."""
    return Field.DOCUMENT + number - 1


async def new_holder_ids(driver: "asyncpg.Connection[Any]", count: int) -> list[int]:
    """Numbers for new holders, which are their payment accounts' numbers, too."""
    return [row[0] for row in await driver.fetch(_NEW_IDS, count)]


async def add_holders(driver: "asyncpg.Connection[Any]", new: Sequence[NewHolder], now_ms: int) -> None:
    """Add people with their first document. UniqueViolationError when somebody else has added one of them meanwhile."""
    now = instant(now_ms)
    await _copy(
        driver,
        "holder",
        _HOLDER_COLUMNS,
        [(n.id, n.key.version, n.key.blob, n.sealed_version, *n.person, n.category, n.resident, now) for n in new],
    )
    # In order of the digests: two who add the same people meet at the first of them, and none waits for the other in a ring.
    found_by = sorted((digest, n.id) for n in new for digest in n.found_by)
    await _copy(driver, "lookup", ("field", "index_version", "digest", "holder"), [(*digest, id_) for digest, id_ in found_by])
    await _copy(
        driver,
        "namesake",
        ("index_version", "digest", "holder", "citizen"),
        [(digest.index_version, digest.digest, n.id, n.citizen) for n in new for digest in n.namesakes],
    )
    await _copy(
        driver,
        "document",
        ("holder", "number", "kind", "sealed", "valid_until", "create_time"),
        [(n.id, 1, n.document_kind, n.document, n.valid_until, now) for n in new],
    )
    await _copy(
        driver,
        "holder_category",
        ("holder", "valid_from", "category", "resident"),
        [(n.id, now, n.category, n.resident) for n in new],
    )


async def add_lookups(driver: "asyncpg.Connection[Any]", holder: int, digests: Sequence[Digest]) -> None:
    """A holder is found by these, too. UniqueViolationError when somebody else is."""
    await _copy(driver, "lookup", ("field", "index_version", "digest", "holder"), [(*digest, holder) for digest in digests])


async def _copy(driver: "asyncpg.Connection[Any]", table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    await driver.copy_records_to_table(table, schema_name="card", columns=names, records=rows)
