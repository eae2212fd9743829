"""Rows of COPY, many batches of them, taken apart: by batch, and for one batch by field."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

from services.payments.adapters.rows import OPERATION_COLUMNS, TRANSFER_COLUMNS, VERDICT_COLUMNS
from services.payments.domain.evidence import OperationRow, Stored, TransferRow, VerdictRow
from services.payments.domain.transfer import LEGS, ROWS, transfer_id

_SHORT: Final = Struct("!h")
_INT: Final = Struct("!i")
_BIGINT: Final = Struct("!q")
_AT_BATCH: Final = 26
"""Where the batch is in a row of verdicts or transfers: behind the number of fields, 20 bytes of identity and its length."""


class Batch(NamedTuple):
    """A row of `payments.batch`."""

    number: int
    now_ms: int
    verdicts: int
    operations: int
    transfers: int
    digest: bytes
    key_version: int

    @property
    def rows(self) -> int:
        """How many there should be."""
        return self.verdicts + self.operations + self.transfers


class Taken(NamedTuple):
    """The rows of one batch, and where each begins in all of them."""

    rows: bytes
    starts: Sequence[int]


class Rows:
    """Rows of a table in the order of batches, to be taken batch by batch."""

    def __init__(self, data: bytes, starts: Sequence[int], at_batch: Sequence[int] | None = None) -> None:
        self._data = data
        self._starts = starts
        self._at_batch = at_batch
        self._taken = 0
        self._strays: set[int] = set()

    def take(self, number: int) -> Taken:
        """The rows of the next batch; rows before it belong to none."""
        first = bisect_left(range(len(self._starts)), number, lo=self._taken, key=self._batch)
        self._strays.update(map(self._batch, range(self._taken, first)))
        self._taken = bisect_right(range(len(self._starts)), number, lo=first, key=self._batch)
        starts = self._starts[first : self._taken]
        end = self._starts[self._taken] if self._taken < len(self._starts) else len(self._data)
        return Taken(self._data[starts[0] : end] if starts else b"", starts)

    def strays(self) -> set[int]:
        """Batches that have rows here and were not asked for."""
        return self._strays | set(map(self._batch, range(self._taken, len(self._starts))))

    def _batch(self, row: int) -> int:
        at = _AT_BATCH if self._at_batch is None else self._at_batch[row]
        return int(_BIGINT.unpack_from(self._data, self._starts[row] + at)[0])


def verdicts_of(data: bytes) -> Rows:
    """Rows of verdicts, or of transfers, are equally long: no column may be null, or longer in one row than in another."""
    return Rows(data, range(0, len(data), next(_row_ends(data))) if data else ())


transfers_of = verdicts_of


def operations_of(data: bytes) -> Rows:
    """Rows of operations differ in length."""
    starts = [0, *_row_ends(data)][:-1]
    # Behind the number of fields, the terminal and the request id.
    return Rows(data, starts, [2 + 8 + 4 + _INT.unpack_from(data, start + 10)[0] + 4 for start in starts])


def stored(batch: Batch, verdicts: Taken, operations: Taken, transfers: Taken) -> Stored:
    """What is looked at in the rows of one batch."""
    return Stored(
        [_verdict(fields) for fields in _fields(verdicts.rows, VERDICT_COLUMNS)],
        [_operation(fields) for fields in _fields(operations.rows, OPERATION_COLUMNS)],
        [_transfer(fields, batch) for fields in _fields(transfers.rows, TRANSFER_COLUMNS)],
        (batch.verdicts, batch.operations, batch.transfers),
    )


_Fields = dict[str, int]
"""Each field as a whole number, whatever it is."""


def _verdict(of: _Fields) -> VerdictRow:
    return VerdictRow(of["row"], of["reason"], of["fare_fen"], of["account_id"], of["terminal"], of["sequence"])


def _operation(of: _Fields) -> OperationRow:
    return OperationRow(of["row"], of["moved_fen"], of["terminal"])


def _transfer(of: _Fields, batch: Batch) -> TransferRow:
    return TransferRow(
        of["row"],
        of["leg"],
        of["amount_fen"],
        of["account_id"],
        of["terminal"],
        of["sequence"],
        in_its_place=0 <= of["row"] < ROWS and 0 <= of["leg"] < LEGS and of["id"] == _place(of, batch),
    )


def _place(of: _Fields, batch: Batch) -> int:
    return int.from_bytes(transfer_id(batch.now_ms, batch.number, of["row"], of["leg"]), signed=True)


def _fields(data: bytes, columns: Sequence[str]) -> Iterator[_Fields]:
    start = 0
    for end in _row_ends(data):
        values = []
        at = start + 2
        while at < end:
            length = max(0, _INT.unpack_from(data, at)[0])
            values.append(int.from_bytes(data[at + 4 : at + 4 + length], signed=True))
            at += 4 + length
        yield dict(zip(columns, values, strict=True))
        start = end


def _row_ends(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        (fields,) = _SHORT.unpack_from(data, at)
        at += 2
        for _ in range(fields):
            at += 4 + max(0, _INT.unpack_from(data, at)[0])
        yield at
