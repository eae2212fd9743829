"""Rows of a batch in PostgreSQL's binary COPY format, made once: they are copied, and the batch digest is over them.

The digest can be made again from the database with the SELECTs below, because COPY TO writes the same bytes.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from struct import Struct
from typing import Any, Final

import asyncpg
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from services.payments.domain.book import Barred, Decided, Ruled
from services.payments.domain.calendar import service_day
from services.payments.domain.operation import Ruling
from services.payments.domain.payment import Payment
from services.payments.domain.transfer import Leg, transfer_id

VERDICT_COLUMNS: Final = (
    "terminal", "sequence", "batch", "row", "outcome", "reason", "fare_fen", "charged_fen", "account_id",
    "event_time", "body_digest",
)  # fmt: skip
TRANSFER_COLUMNS: Final = (
    "id", "batch", "row", "leg", "code", "debit_account", "credit_account", "amount_fen", "currency", "account_id",
    "terminal", "sequence", "event_time", "service_date", "posting_date",
)  # fmt: skip
OPERATION_COLUMNS: Final = (
    "terminal", "request_id", "batch", "row", "kind", "outcome", "reason", "amount_fen", "moved_fen", "account_id",
    "payment", "body_digest", "body",
)  # fmt: skip
PAYMENT_COLUMNS: Final = (
    "id", "terminal", "merchant", "scene", "request_id", "account_id", "payee", "one_step", "status", "amount_fen",
    "captured_total_fen", "refunded_total_fen", "part_accounts", "held_fen", "captured_fen", "refunded_fen", "create_time",
    "expire_time",
)  # fmt: skip
RIDE_COLUMNS: Final = (
    "account_id", "tariff_key", "event_time", "terminal", "sequence", "body", "before", "rated", "awaits_exit",
)  # fmt: skip
# Each field is its length and its value; the row begins with the number of fields.
_VERDICT: Final = Struct("!h" + "ii iq iq ii ih ih iq iq iq iq i32s".replace(" ", ""))
_TRANSFER: Final = Struct("!h" + "i16s iq ii ih ih iq iq iq ih iq ii iq iq ii ii".replace(" ", ""))
_OPERATION: Final = Struct("!h" + "ii i".replace(" ", ""))
_OPERATION_FACTS: Final = Struct("!" + "iq ii ih ih ih iq iq iq".replace(" ", ""))
_PAYMENT: Final = Struct("!h" + "i16s ii i".replace(" ", ""))
_PAYMENT_FACTS: Final = Struct("!" + "iq iq i? ih iq iq iq".replace(" ", ""))
_TWO_SHORTS: Final = Struct("!ihi")
_TWO_TIMES: Final = Struct("!iqiq")
_LENGTH: Final = Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_ARRAY: Final = Struct("!iiiIii")
_ELEMENT: Final = Struct("!iq")
_BIGINT_OID: Final = 20
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
            8, leg.debit_account, 8, leg.credit_account, 8, leg.amount_fen, 2, leg.currency, 8, leg.account_id,
            4, leg.terminal, 8, leg.sequence,
            8, (leg.event_time_ms - _PG_EPOCH_MS) * 1000,
            4, service_day(leg.event_time_ms) - _PG_EPOCH_DAY, 4, posting_day,
        )
        for leg in legs
    )  # fmt: skip


def operation_rows(ruled: Iterable[Ruled], barred: Iterable[Barred]) -> bytes:
    """Rows of `payments.operation`, in order of identity."""
    rows = [
        (request.caller.number, request.request_id.encode(), ruling, request.body)
        for operation, ruling in ruled
        for request in (operation.request,)
    ]
    rows += [(terminal, request_id.encode(), ruling, b"") for terminal, request_id, ruling in barred]
    if len(rows) > 1:
        rows.sort(key=_identity)
    return b"".join([_operation_row(*row) for row in rows])


def _identity(row: tuple[int, bytes, Ruling, bytes]) -> tuple[int, bytes]:
    return row[:2]


def _operation_row(terminal: int, request_id: bytes, ruling: Ruling, body: bytes) -> bytes:
    return b"".join(
        (
            _OPERATION.pack(13, 4, terminal, len(request_id)), request_id,
            _OPERATION_FACTS.pack(
                8, ruling.batch, 4, ruling.row, 2, ruling.kind, 2, 2 if ruling.reason else 1, 2, ruling.reason,
                8, ruling.amount_fen, 8, ruling.moved_fen, 8, ruling.account_id,
            ),
            field(ruling.payment), field(ruling.digest), field(body),
        )
    )  # fmt: skip


def payment_rows(payments: Iterable[Payment]) -> bytes:
    """Rows of `payments.payment`."""
    return b"".join([_payment_row(payment) for payment in payments])


def _payment_row(payment: Payment) -> bytes:
    parts = payment.parts
    merchant, request_id = payment.merchant_id.encode(), payment.request_id.encode()
    return b"".join(
        (
            _PAYMENT.pack(18, 16, payment.id, 4, payment.terminal, len(merchant)), merchant,
            _TWO_SHORTS.pack(2, payment.scene, len(request_id)), request_id,
            _PAYMENT_FACTS.pack(
                8, payment.account_id, 8, payment.payee, 1, payment.one_step, 2, payment.status,
                8, payment.amount_fen, 8, payment.captured_fen, 8, payment.refunded_fen,
            ),
            _array([part.account_id for part in parts]),
            _array([part.held_fen for part in parts]),
            _array([part.captured_fen for part in parts]),
            _array([part.refunded_fen for part in parts]),
            _TWO_TIMES.pack(8, microseconds(payment.create_time_ms), 8, microseconds(payment.expire_time_ms)),
        )
    )  # fmt: skip


def microseconds(time_ms: int) -> int:
    """An instant as PostgreSQL counts it."""
    return (time_ms - _PG_EPOCH_MS) * 1000


def field(value: bytes | None) -> bytes:
    """A value of any length, behind that length."""
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def _array(values: Sequence[int]) -> bytes:
    """One dimension of bigint, counted from 1."""
    head = _ARRAY.pack(20 + 12 * len(values), 1, 0, _BIGINT_OID, len(values), 1)
    return head + b"".join([_ELEMENT.pack(8, value) for value in values])


async def copy_rows(
    driver: "asyncpg.Connection[Any]",
    verdicts: bytes = b"",
    transfers: bytes = b"",
    operations: bytes = b"",
    payments: bytes = b"",
    rides: bytes = b"",
) -> None:
    """Append the rows of a batch, in the transaction that is open."""
    for table, columns, rows in (
        ("verdict", VERDICT_COLUMNS, verdicts),
        ("operation", OPERATION_COLUMNS, operations),
        ("payment", PAYMENT_COLUMNS, payments),
        ("transfer", TRANSFER_COLUMNS, transfers),
        ("ride", RIDE_COLUMNS, rides),
    ):
        if rows:
            await _copy(driver, table, columns, rows)


async def _copy(driver: "asyncpg.Connection[Any]", table: str, columns: Sequence[str], rows: bytes) -> None:
    stream = _copy_stream(rows)
    await driver.copy_to_table(table, schema_name="payments", source=stream, format="binary", columns=columns)


async def _copy_stream(rows: bytes) -> AsyncIterator[bytes]:
    """What COPY … FROM STDIN (FORMAT binary) reads."""
    yield _HEADER
    yield rows
    yield _TRAILER


def batch_digest(key: bytes, batch: int, now_ms: int, verdicts: bytes, transfers: bytes, operations: bytes = b"") -> bytes:
    """HMAC-SM3 over a batch: its number and clock, then its rows as they are stored."""
    digest = HMAC(key, SM3())
    digest.update(_ID_HEAD.pack(batch, now_ms))
    digest.update(verdicts)
    digest.update(transfers)
    digest.update(operations)
    return digest.finalize()


_VERDICT_LIST: Final = ", ".join(VERDICT_COLUMNS)
_TRANSFER_LIST: Final = ", ".join(TRANSFER_COLUMNS)
_OPERATION_LIST: Final = ", ".join(OPERATION_COLUMNS)
SELECT_VERDICTS: Final = f"select {_VERDICT_LIST} from payments.verdict where batch = $1 order by terminal, sequence"  # noqa: S608  # constants
SELECT_TRANSFERS: Final = f"select {_TRANSFER_LIST} from payments.transfer where batch = $1 order by id"  # noqa: S608  # constants
SELECT_OPERATIONS: Final = f"select {_OPERATION_LIST} from payments.operation where batch = $1 order by terminal, request_id"  # noqa: S608  # constants


def rows_of_copy(stream: bytes) -> bytes:
    """The rows of a binary COPY TO STDOUT, without its header and trailer."""
    assert stream.startswith(_HEADER)
    assert stream.endswith(_TRAILER)
    return stream[len(_HEADER) : -len(_TRAILER)]
