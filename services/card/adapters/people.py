"""Holders in PostgreSQL: found by digests, locked, added many at once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters.sealing import Digest, HolderCipher, SealedPerson, Sealing, WrappedKey, columns
from services.card.domain.actor import Actor
from services.card.domain.document import Document, DocumentKind, parse_document, read_text
from services.card.domain.person import Field, LookupField, Person
from services.common.clock import instant
from services.common.errors import Code, DomainError

_FIND: Final = """
select l.field, l.digest, l.holder from unnest($1::smallint[], $2::smallint[], $3::bytea[]) as w(field, version, digest)
join card.lookup l on l.field = w.field and l.index_version = w.version and l.digest = w.digest"""
_NAMESAKES: Final = """
select n.digest, n.holder from unnest($1::smallint[], $2::bytea[], $3::boolean[]) as w(version, digest, citizen)
join card.namesake n on n.index_version = w.version and n.digest = w.digest and not (n.citizen and w.citizen)"""
_LOCK_NAMESAKES: Final = "select pg_advisory_xact_lock(name) from unnest($1::bigint[]) as names(name)"
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
_PAGE_NAMESAKES: Final = """
select distinct n.holder from unnest($1::smallint[], $2::bytea[]) as w(version, digest)
join card.namesake n on n.index_version = w.version and n.digest = w.digest where n.holder > $3 order by n.holder limit $4"""
_NEW_IDS: Final = "select nextval('card.holder_id') from generate_series(1, $1)"
_STORE_IDENTITY: Final = """
update card.holder set name = $2, birth_date = $3, traits = $4, phone = $5, address = $6, social_security_number = $7,
    version = version + 1
where id = $1"""
_STORE_CATEGORY: Final = "update card.holder set category = $2, resident = $3, version = version + 1 where id = $1"
# Behind the period before, also when that was stored by a process whose clock is ahead.
_ADD_CATEGORY: Final = """
insert into card.holder_category (holder, valid_from, category, resident)
select $1, greatest($4, max(valid_from) + interval '1 millisecond'), $2, $3 from card.holder_category where holder = $1"""
_LEAVE_INDEX: Final = "delete from card.lookup where holder = $1 and (field in (1, 2) or index_version <> all($2::smallint[]))"
_REPLACE_DOCUMENTS: Final = "update card.document set replaced_time = $3 where holder = $1 and number = any($2::smallint[])"

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


def document_digests(sealing: Sealing, document: Document) -> list[Digest]:
    """What the bearer of a document is found by: the number that is theirs for life, or else the document's."""
    if document.citizen:
        return sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, document.number)
    return sealing.digests(LookupField.DOCUMENT, str(document.kind.value), document.text)


async def lock_namesakes(driver: "asyncpg.Connection[Any]", digests: Iterable[Digest]) -> None:
    """Until the transaction ends nobody else adds people of these names and birth dates. In one order: none waits in a ring."""
    await driver.execute(_LOCK_NAMESAKES, sorted({int.from_bytes(d.digest[:8], signed=True) for d in digests}))


async def find_namesakes(driver: "asyncpg.Connection[Any]", wanted: Sequence[tuple[Digest, bool]]) -> dict[bytes, set[int]]:
    """Holders of the same name and birth date, by digest. Two who are known by citizens' numbers are two people."""
    found: dict[bytes, set[int]] = {}
    versions, digests = [d.index_version for d, _ in wanted], [d.digest for d, _ in wanted]
    for digest, holder in await driver.fetch(_NAMESAKES, versions, digests, [citizen for _, citizen in wanted]):
        found.setdefault(digest, set()).add(holder)
    return found


async def page_namesakes(driver: "asyncpg.Connection[Any]", digests: Sequence[Digest], after: int, limit: int) -> list[int]:
    """Holders of one name and birth date, behind a number."""
    versions, found_by = [d.index_version for d in digests], [d.digest for d in digests]
    return [row[0] for row in await driver.fetch(_PAGE_NAMESAKES, versions, found_by, after, limit)]


async def read_holders(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, ids: Iterable[int], *, lock: bool = False
) -> dict[int, Holder]:
    """Holders by id, locked in order of their ids if asked; who was deleted is not there."""
    wanted = sorted(set(ids))
    rows = await driver.fetch(_LOCK if lock else _HOLDER, wanted) if wanted else []
    return {row[0]: holder_of(sealing, row) for row in rows}


async def lock_holder(driver: "asyncpg.Connection[Any]", sealing: Sealing, number: int) -> Holder:
    """One holder, locked. Raises DomainError when there is none, or none any more."""
    found = await read_holders(driver, sealing, [number], lock=True)
    if number not in found:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_HOLDER", "没有查到持卡人，请核对号码")
    return found[number]


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


def open_number(cipher: HolderCipher, number: int, sealed: bytes) -> tuple[str, str]:
    """Issuing country, empty but for a passport, and number on the n-th document of a holder."""
    return read_text(cipher.open(document_field(number), sealed).decode())


def open_document(holder: Holder, stored: StoredDocument, today: date) -> Document:
    """A stored document with all that its number states."""
    country, number = open_number(holder.cipher, stored.number, stored.sealed)
    document = parse_document(DocumentKind(stored.kind), number, today, country)
    return document if isinstance(document, Document) else Document(DocumentKind(stored.kind), number, country=country)


def seal_document(holder: Holder, document: Document, number: int) -> bytes:
    """A document's number as the n-th of a holder."""
    return holder.cipher.seal(document_field(number), document.text.encode())


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


async def store_person(driver: "asyncpg.Connection[Any]", holder: Holder, person: Person) -> None:
    """What is known of a locked holder from now on. It changes nothing that the holder is found by."""
    await driver.execute(_STORE_IDENTITY, holder.id, *holder.cipher.seal_person(person))


async def store_category(driver: "asyncpg.Connection[Any]", holder: int, category: str, resident: bool, now_ms: int) -> None:
    """A locked holder belongs there from now on; what was before stays written down."""
    await driver.execute(_STORE_CATEGORY, holder, category, resident)
    await driver.execute(_ADD_CATEGORY, holder, category, resident, instant(now_ms))


async def store_identity(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    holder: Holder,
    person: Person,
    found_by: Sequence[Digest],
    namesakes: Sequence[Digest],
    *,
    citizen: bool,
) -> None:
    """A locked holder is this person from now on, and found as such. UniqueViolationError when a number is somebody else's.

    Of an index that this process does not know yet everything goes, so that whoever fills it finds the holder missing.
    """
    await store_person(driver, holder, person)
    await driver.execute(_LEAVE_INDEX, holder.id, list(sealing.index_versions()))
    await driver.execute("delete from card.namesake where holder = $1", holder.id)
    await add_lookups(driver, holder.id, sorted(found_by))
    await _copy(
        driver,
        "namesake",
        ("index_version", "digest", "holder", "citizen"),
        [(digest.index_version, digest.digest, holder.id, citizen) for digest in namesakes],
    )


async def add_document(
    driver: "asyncpg.Connection[Any]",
    holder: int,
    replaced: Sequence[int],
    kind: int,
    seal: Callable[[int], bytes],
    valid_until: date | None,
    now_ms: int,
) -> None:
    """Another document of a locked holder, in place of some. `seal` is told which one of the holder's it is."""
    now = instant(now_ms)
    await driver.execute(_REPLACE_DOCUMENTS, holder, list(replaced), now)
    number = await driver.fetchval("select coalesce(max(number), 0) + 1 from card.document where holder = $1", holder)
    columns = ("holder", "number", "kind", "sealed", "valid_until", "create_time")
    await _copy(driver, "document", columns, [(holder, number, kind, seal(number), valid_until, now)])


async def add_former(
    driver: "asyncpg.Connection[Any]", holder: int, seal: Callable[[int], bytes], actor: Actor, now_ms: int
) -> None:
    """Keep who a locked holder was. `seal` is told which one of the holder's it is."""
    number = await driver.fetchval("select coalesce(max(number), 0) + 1 from card.former_identity where holder = $1", holder)
    columns = ("holder", "number", "sealed", "at", "actor")
    await _copy(driver, "former_identity", columns, [(holder, number, seal(number), instant(now_ms), actor.name)])


async def add_lookups(driver: "asyncpg.Connection[Any]", holder: int, digests: Sequence[Digest]) -> None:
    """A holder is found by these, too. UniqueViolationError when somebody else is."""
    await _copy(driver, "lookup", ("field", "index_version", "digest", "holder"), [(*digest, holder) for digest in digests])


async def _copy(driver: "asyncpg.Connection[Any]", table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    await driver.copy_records_to_table(table, schema_name="card", columns=names, records=rows)
