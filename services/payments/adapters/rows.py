"""Rows of a batch in PostgreSQL's binary COPY format, made once: they are copied, and the batch digest is over them.

The digest can be made again from the database with the SELECTs below, because COPY TO writes the same bytes.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from struct import Struct
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from services.payments.domain.calendar import service_day
from services.payments.domain.posting import Decided
from services.payments.domain.transfer import CNY, Leg

VERDICT_COLUMNS: Final = (
    "terminal", "sequence", "batch", "row", "outcome", "reason", "fare_fen", "charged_fen", "account_id",
    "event_time", "body_digest",
)  # fmt: skip
TRANSFER_COLUMNS: Final = (
    "id", "batch", "row", "leg", "code", "debit_account", "credit_account", "amount_fen", "currency", "account_id",
    "terminal", "sequence", "event_time", "service_date", "posting_date",
)  # fmt: skip
# Each field is its length and its value; the row begins with the number of fields.
_VERDICT: Final = Struct("!h" + "ii iq iq ii ih ih iq iq iq iq i32s".replace(" ", ""))
_TRANSFER: Final = Struct("!h" + "i16s iq ii ih ih iq iq iq ih iq ii iq iq ii ii".replace(" ", ""))
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
# PostgreSQL counts from 2000-01-01, in microseconds and in days.
_PG_EPOCH_MS: Final = 946_684_800_000
_PG_EPOCH_DAY: Final = 10_957  # days from 1970-01-01 to 2000-01-01
_ID_HEAD: Final = Struct("!QQ")


def verdict_rows(decided: Iterable[Decided]) -> bytes:
    """Rows of `payments.verdict`, in order of identity: two lanes that meet the same identities cannot deadlock.

    A packed row begins with its identity in network order, so the bytes sort as the identities do.
    """
    pack = _VERDICT.pack
    rows = [
        pack(
            11,
            4, tap.terminal.number, 8, tap.sequence, 8, verdict.batch, 4, verdict.row,
            2, 2 if verdict.reason else 1, 2, verdict.reason,
            8, verdict.fare_fen, 8, verdict.charged_fen, 8, account_id,
            8, (tap.event_time_ms - _PG_EPOCH_MS) * 1000,
            32, tap.digest,
        )
        for tap, account_id, verdict in decided
    ]  # fmt: skip
    rows.sort()
    return b"".join(rows)


def transfer_rows(legs: Iterable[Leg], batch: int, now_ms: int) -> bytes:
    """Rows of `payments.transfer`, in journal order."""
    pack = _TRANSFER.pack
    posting_day = service_day(now_ms) - _PG_EPOCH_DAY
    return b"".join(
        pack(
            15,
            16, transfer_id(now_ms, batch, leg.row, leg.leg), 8, batch, 4, leg.row, 2, leg.leg, 2, leg.code,
            8, leg.debit_account, 8, leg.credit_account, 8, leg.amount_fen, 2, CNY, 8, leg.account_id,
            4, leg.tap.terminal.number, 8, leg.tap.sequence,
            8, (leg.tap.event_time_ms - _PG_EPOCH_MS) * 1000,
            4, service_day(leg.tap.event_time_ms) - _PG_EPOCH_DAY, 4, posting_day,
        )
        for leg in legs
    )  # fmt: skip


def transfer_id(now_ms: int, batch: int, row: int, leg: int) -> bytes:
    """A time-ordered UUID (version 7): milliseconds, then batch, row and leg, so it is unique without chance.

    Batch numbers may use 52 bits, rows 18, legs 4.
    """
    place = batch << 22 | row << 4 | leg
    return _ID_HEAD.pack(now_ms << 16 | 0x7000 | place >> 62, 0x8000_0000_0000_0000 | place & 0x3FFF_FFFF_FFFF_FFFF)


async def copy_rows(driver: "asyncpg.Connection[Any]", verdicts: bytes, transfers: bytes) -> None:
    """Append the rows of a batch, in the transaction that is open."""
    await _copy(driver, "verdict", VERDICT_COLUMNS, verdicts)
    if transfers:
        await _copy(driver, "transfer", TRANSFER_COLUMNS, transfers)


async def _copy(driver: "asyncpg.Connection[Any]", table: str, columns: Sequence[str], rows: bytes) -> None:
    stream = _copy_stream(rows)
    await driver.copy_to_table(table, schema_name="payments", source=stream, format="binary", columns=columns)


async def _copy_stream(rows: bytes) -> AsyncIterator[bytes]:
    """What COPY … FROM STDIN (FORMAT binary) reads."""
    yield _HEADER
    yield rows
    yield _TRAILER


def batch_digest(key: bytes, batch: int, now_ms: int, verdicts: bytes, transfers: bytes) -> bytes:
    """HMAC-SM3 over a batch: its number and clock, then its rows as they are stored."""
    digest = HMAC(key, SM3())
    digest.update(_ID_HEAD.pack(batch, now_ms))
    digest.update(verdicts)
    digest.update(transfers)
    return digest.finalize()


_VERDICT_LIST: Final = ", ".join(VERDICT_COLUMNS)
_TRANSFER_LIST: Final = ", ".join(TRANSFER_COLUMNS)
SELECT_VERDICTS: Final = f"select {_VERDICT_LIST} from payments.verdict where batch = $1 order by terminal, sequence"  # noqa: S608  # constants
SELECT_TRANSFERS: Final = f"select {_TRANSFER_LIST} from payments.transfer where batch = $1 order by id"  # noqa: S608  # constants


def rows_of_copy(stream: bytes) -> bytes:
    """The rows of a binary COPY TO STDOUT, without its header and trailer."""
    assert stream.startswith(_HEADER)
    assert stream.endswith(_TRAILER)
    return stream[len(_HEADER) : -len(_TRAILER)]
