"""Rows in PostgreSQL's binary form, and what is derived from them."""

from uuid import UUID

from services.payments.adapters.rows import batch_digest
from services.payments.domain.transfer import transfer_id


def test_transfer_ids_are_version_7_and_sort_by_time_batch_row_and_leg() -> None:
    places = [
        (1_790_000_000_000, 5, 0, 0),
        (1_790_000_000_000, 5, 0, 1),
        (1_790_000_000_000, 5, 1, 0),
        (1_790_000_000_000, 5, 3_999, 255),
        (1_790_000_000_000, 6, 0, 0),
        (1_790_000_000_000, 2**52 - 1, 2**14 - 1, 255),
        (1_790_000_000_001, 1, 0, 0),
    ]
    ids = [UUID(bytes=transfer_id(*place)) for place in places]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}


def test_the_batch_digest_covers_number_clock_rows_and_key() -> None:
    digest = batch_digest(bytes(16), 1, 2, b"verdicts", b"transfers")
    others = [
        batch_digest(b"k" * 16, 1, 2, b"verdicts", b"transfers"),
        batch_digest(bytes(16), 9, 2, b"verdicts", b"transfers"),
        batch_digest(bytes(16), 1, 9, b"verdicts", b"transfers"),
        batch_digest(bytes(16), 1, 2, b"Verdicts", b"transfers"),
        batch_digest(bytes(16), 1, 2, b"verdicts", b"Transfers"),
    ]
    assert len(digest) == 32
    assert digest not in others
