"""What can be told of a batch whose rows do not give its digest: the rows are numbered, and they agree with each other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class VerdictRow(NamedTuple):
    """What is looked at in a row of `payments.verdict`."""

    row: int
    reason: int
    fare_fen: int
    account_id: int
    terminal: int
    sequence: int


class OperationRow(NamedTuple):
    """What is looked at in a row of `payments.operation`."""

    row: int
    moved_fen: int
    terminal: int


class TransferRow(NamedTuple):
    """What is looked at in a row of `payments.transfer`."""

    row: int
    leg: int
    amount_fen: int
    account_id: int
    terminal: int
    sequence: int
    in_its_place: bool
    """Whether the id is the one that the batch's clock, its number, row and leg make."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The rows of a batch, and how many the batch says there are."""

    verdicts: Sequence[VerdictRow]
    operations: Sequence[OperationRow]
    transfers: Sequence[TransferRow]
    counts: tuple[int, int, int]


def what_was_done(stored: Stored) -> str:
    """The first thing that shows; where nothing does, a value was changed that nothing else in the batch repeats."""
    return next(_signs(stored), "its rows are all there, and one of their values, its digest or its clock was changed")


def _signs(stored: Stored) -> Iterator[str]:
    rows = Counter([verdict.row for verdict in stored.verdicts] + [operation.row for operation in stored.operations])
    decided = stored.counts[0] + stored.counts[1]
    for row in range(max(decided, max(rows, default=-1) + 1)):
        if row >= decided:
            yield f"row {row} was inserted: the batch counts {decided}"
        elif not rows[row]:
            yield f"row {row} was removed"
        elif rows[row] > 1:
            yield f"row {row} is there {rows[row]} times: one was inserted"
    yield from _signs_of_transfers(stored, rows)
    for what, there, count in zip(
        ("verdicts", "operations", "transfers"),
        (len(stored.verdicts), len(stored.operations), len(stored.transfers)),
        stored.counts,
        strict=True,
    ):
        if there != count:
            yield f"{there} {what} are there, and it counts {count}"


def _signs_of_transfers(stored: Stored, rows: Counter[int]) -> Iterator[str]:
    legs: dict[int, list[TransferRow]] = {}
    for transfer in stored.transfers:
        legs.setdefault(transfer.row, []).append(transfer)
        if not rows[transfer.row]:
            yield f"a transfer of row {transfer.row} was inserted: nothing was decided there"
    for verdict in sorted(stored.verdicts):
        found = legs.get(verdict.row, [])
        yield from _signs_of_legs(verdict.row, found)
        # An opening's verdict names no fare, and still has its transfer.
        if (verdict.fare_fen or verdict.reason) and sum(leg.amount_fen for leg in found) != verdict.fare_fen:
            yield f"the verdict and the transfers of row {verdict.row} do not name the same amount"
        if any((leg.account_id, leg.terminal, leg.sequence) != verdict[3:] for leg in found):
            yield f"the verdict and the transfers of row {verdict.row} do not name the same account or identity"
    for operation in sorted(stored.operations):
        found = legs.get(operation.row, [])
        yield from _signs_of_legs(operation.row, found)
        if sum(leg.amount_fen for leg in found) != operation.moved_fen:
            yield f"the operation and the transfers of row {operation.row} do not name the same amount"


def _signs_of_legs(row: int, found: Sequence[TransferRow]) -> Iterator[str]:
    legs = Counter(transfer.leg for transfer in found)
    for leg in range(max(legs, default=-1) + 1):
        if not legs[leg]:
            yield f"transfer {leg} of row {row} was removed"
        elif legs[leg] > 1:
            yield f"transfer {leg} of row {row} is there {legs[leg]} times: one was inserted"
    for transfer in found:
        if not transfer.in_its_place:
            yield f"transfer {transfer.leg} of row {row} does not have the id of its place"
