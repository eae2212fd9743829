"""Holes of a seal, and what can be told of a batch that does not give its digest."""

import pytest

from services.payments.domain.evidence import OperationRow, Stored, TransferRow, VerdictRow, what_was_done
from services.payments.domain.seal import Span, holes_between, is_hole


@pytest.mark.parametrize(
    ("first", "last", "present", "holes"),
    [
        (1, 3, [1, 2, 3], []),
        (1, 3, [], [(1, 3)]),
        (4, 9, [4, 7, 8], [(5, 6), (9, 9)]),
        (4, 9, [9], [(4, 8)]),
        (4, 3, [], []),
        (1, 10**15, [5], [(1, 4), (6, 10**15)]),
    ],
)
def test_holes_are_the_numbers_that_are_missing(first: int, last: int, present: list[int], holes: list[Span]) -> None:
    assert list(holes_between(first, last, present)) == holes
    assert not any(is_hole(holes, number) for number in present)


RIDE = VerdictRow(row=0, reason=0, fare_fen=200, account_id=7, terminal=1, sequence=9)
FARE = TransferRow(row=0, leg=0, amount_fen=200, account_id=7, terminal=1, sequence=9, in_its_place=True)
REFUSED = VerdictRow(row=1, reason=1, fare_fen=0, account_id=7, terminal=1, sequence=10)
OPENING = VerdictRow(row=0, reason=0, fare_fen=0, account_id=7, terminal=1, sequence=9)
PAID = OperationRow(row=0, moved_fen=200, terminal=1)
PAYMENT = FARE._replace(sequence=0)


@pytest.mark.parametrize(
    ("verdicts", "operations", "transfers", "counts", "sign"),
    [
        ([RIDE, REFUSED], [], [FARE], (2, 0, 1), "its rows are all there"),
        ([OPENING], [], [FARE], (1, 0, 1), "its rows are all there"),
        ([], [PAID], [PAYMENT], (0, 1, 1), "its rows are all there"),
        ([RIDE], [], [FARE], (2, 0, 1), "row 1 was removed"),
        ([REFUSED], [], [], (2, 0, 1), "row 0 was removed"),
        ([RIDE, RIDE], [], [FARE], (1, 0, 1), "row 0 is there 2 times"),
        ([RIDE, REFUSED], [], [FARE], (1, 0, 1), "row 1 was inserted"),
        ([RIDE, REFUSED], [], [], (2, 0, 1), "row 0 do not name the same amount"),
        ([RIDE], [], [FARE, FARE._replace(leg=1)], (1, 0, 1), "row 0 do not name the same amount"),
        ([RIDE], [], [FARE, FARE], (1, 0, 1), "transfer 0 of row 0 is there 2 times"),
        ([RIDE], [], [FARE._replace(leg=2)], (1, 0, 1), "transfer 0 of row 0 was removed"),
        ([RIDE], [], [FARE, FARE._replace(row=3)], (1, 0, 1), "a transfer of row 3 was inserted"),
        ([RIDE], [], [FARE._replace(in_its_place=False)], (1, 0, 1), "does not have the id of its place"),
        ([RIDE], [], [FARE._replace(account_id=8)], (1, 0, 1), "the same account or identity"),
        ([OPENING], [], [], (1, 0, 1), "0 transfers are there, and it counts 1"),
        ([], [PAID], [], (0, 1, 1), "the operation and the transfers of row 0 do not name the same amount"),
    ],
)
def test_the_first_sign_of_what_was_done_is_told(
    verdicts: list[VerdictRow],
    operations: list[OperationRow],
    transfers: list[TransferRow],
    counts: tuple[int, int, int],
    sign: str,
) -> None:
    assert sign in what_was_done(Stored(verdicts, operations, transfers, counts))
