import pytest
from kafka.partitioner import murmur2

from services.payments.adapters.outcome_cursor import BadCursorError, Cursor, Life, decode_cursor, encode_cursor, home_of

LIFE = Life("cluster-1", 12)
HOME = home_of("BUS", 12)


@pytest.mark.parametrize("offsets", [{HOME: 0}, {HOME: 2**63 - 1}, dict.fromkeys(range(12), 7)])
def test_a_cursor_is_read_as_it_is_written(offsets: dict[int, int]) -> None:
    cursor = Cursor.at(LIFE, offsets)
    assert decode_cursor(encode_cursor(cursor), "BUS") == cursor
    assert cursor.life == LIFE


def test_a_cursor_is_small() -> None:
    assert len(encode_cursor(Cursor.at(Life("5L6g3nShT-eMCtK--X86sw", 12), {HOME: 10**9}))) < 40


@pytest.mark.parametrize(
    "kept",
    [
        b"nonsense",
        b"\x90",
        encode_cursor(Cursor.at(LIFE, {HOME: 5})) + b"\x00",
        encode_cursor(Cursor.at(LIFE, {HOME: -1})),
        encode_cursor(Cursor.at(LIFE, {HOME: 2**64 - 1})),
        encode_cursor(Cursor.at(LIFE, {})),
        encode_cursor(Cursor.at(LIFE, {HOME: 1, 12: 1})),
        encode_cursor(Cursor.at(LIFE, {(HOME + 1) % 12: 1})),
        encode_cursor(Cursor.at(Life("cluster-1", 0), {})),
    ],
    ids=[
        "nonsense",
        "empty",
        "too long",
        "negative",
        "too far",
        "nowhere",
        "beyond the partitions",
        "another's",
        "no partition",
    ],
)
def test_what_is_no_cursor_of_the_merchant_is_refused(kept: bytes) -> None:
    with pytest.raises(BadCursorError):
        decode_cursor(kept, "BUS")


@pytest.mark.parametrize("merchant", ["BUS", "BUS-HARBOUR", "campus/1", "x" * 64])
def test_a_merchant_is_at_home_where_every_client_of_kafka_looks_for_it(merchant: str) -> None:
    assert home_of(merchant, 12) == (murmur2(merchant.encode()) & 0x7FFFFFFF) % 12
