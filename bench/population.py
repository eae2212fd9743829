"""A registry with millions of people, loaded by COPY: everybody is found by the digest of their own number.

What is sealed of them is noise of the same length: nobody who is looked up is opened.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import chain
from struct import Struct
from typing import Any, Final

import asyncpg

from bench.people import citizen_number
from services.card.adapters.sealing import SEALED_VERSION, Sealing
from services.card.domain.document import DocumentKind
from services.card.domain.person import LookupField

_AT_ONCE: Final = 50_000
_FIRST_HOLDER: Final = 2**32
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_KEY, _NAME, _DATE, _TRAITS, _PHONE, _NUMBER = 44, 37, 38, 31, 39, 46
"""Bytes of a wrapped key, and of what is sealed: nonce, tag, and a name, a date, sex and nationality, 11 and 18 digits."""
_SEALED: Final = (_NAME, _DATE, _TRAITS, _PHONE, _NUMBER)
_CATEGORY: Final = b"ordinary"
_TABLES: Final[dict[str, Sequence[tuple[str, str]]]] = {
    "holder": [
        ("id", "q"),
        ("data_key_version", "h"),
        ("data_key", f"{_KEY}s"),
        ("sealed_version", "h"),
        ("name", f"{_NAME}s"),
        ("birth_date", f"{_DATE}s"),
        ("traits", f"{_TRAITS}s"),
        ("phone", f"{_PHONE}s"),
        ("social_security_number", f"{_NUMBER}s"),
        ("category", f"{len(_CATEGORY)}s"),
        ("resident", "?"),
        ("create_time", "q"),
    ],
    "lookup": [("field", "h"), ("index_version", "h"), ("digest", "32s"), ("holder", "q")],
    "namesake": [("index_version", "h"), ("digest", "32s"), ("holder", "q"), ("citizen", "?")],
    "document": [("holder", "q"), ("number", "h"), ("kind", "h"), ("sealed", f"{_NUMBER}s"), ("create_time", "q")],
    "holder_category": [("holder", "q"), ("valid_from", "q"), ("category", f"{len(_CATEGORY)}s"), ("resident", "?")],
}
"""What adding a holder writes: columns, and how each is packed."""
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def load_people(owner: "asyncpg.Connection[Any]", sealing: Sealing, count: int) -> None:
    """Load so many people, as the owner, who need not look after references."""
    await owner.execute("set session_replication_role = replica")
    for first in range(0, count, _AT_ONCE):
        rows = _rows(sealing, range(first, min(first + _AT_ONCE, count)))
        async with owner.transaction():
            for (table, columns), packed in zip(_TABLES.items(), rows, strict=True):
                names = [name for name, _ in columns]
                source = BytesIO(_SIGNATURE + packed + _END)
                await owner.copy_to_table(table, schema_name="card", columns=names, source=source, format="binary")
    await owner.execute("reset session_replication_role")
    await owner.execute("select setval('card.holder_id', $1)", _FIRST_HOLDER + count)
    await owner.execute(f"vacuum (analyze) {', '.join(f'card.{table}' for table in _TABLES)}")
    await owner.execute("checkpoint")


def _rows(sealing: Sealing, numbers: Sequence[int]) -> Iterator[bytes]:
    """Of each table."""
    now = (datetime.now(UTC) - _EPOCH) // _MICROSECOND
    pack = {table: _packer([packed for _, packed in columns]) for table, columns in _TABLES.items()}
    ids = [_FIRST_HOLDER + number for number in numbers]
    noise = os.urandom
    yield b"".join(
        pack["holder"](id_, 1, noise(_KEY), SEALED_VERSION, *map(noise, _SEALED), _CATEGORY, True, now) for id_ in ids
    )
    found_by = [sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, citizen_number(n))[0] for n in numbers]
    yield b"".join(pack["lookup"](*digest, id_) for digest, id_ in zip(found_by, ids, strict=True))
    yield b"".join(pack["namesake"](1, noise(32), id_, True) for id_ in ids)
    yield b"".join(pack["document"](id_, 1, DocumentKind.RESIDENT_ID, noise(_NUMBER), now) for id_ in ids)
    yield b"".join(pack["holder_category"](id_, now, _CATEGORY, True) for id_ in ids)


def _packer(fields: Sequence[str]) -> Callable[..., bytes]:
    """Packs a row as COPY takes it: how many fields, and each with its length before it."""
    row = Struct("!h" + "".join(f"i{packed}" for packed in fields))
    lengths = [Struct(f"!{packed}").size for packed in fields]

    def pack(*values: object) -> bytes:
        return row.pack(len(fields), *chain.from_iterable(zip(lengths, values, strict=True)))

    return pack
