"""A payment by itself: what its purses contribute, in which order it is taken and given back, and how it ends."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.domain.payment import Part, Payment, PaymentStatus

_ENDS = [PaymentStatus.CAPTURED, PaymentStatus.VOIDED, PaymentStatus.EXPIRED]


def a_payment(*held_fen: int) -> Payment:
    """Held from purses 1, 2, 3 …"""
    parts = [Part(number, fen) for number, fen in enumerate(held_fen, 1)]
    return Payment(bytes(16), 1, "M", 1, "r", 2**32, 1000, False, PaymentStatus.HELD, parts, 0, 0)


def by_purse(shares: Sequence[tuple[Part, int]]) -> list[tuple[int, int]]:
    return [(part.account_id, fen) for part, fen in shares]


def test_purses_are_captured_in_the_order_in_which_they_were_held() -> None:
    payment = a_payment(300, 200, 100)
    assert by_purse(list(payment.capture(100))) == [(1, 100)]
    assert by_purse(list(payment.capture(350))) == [(1, 200), (2, 150)]
    assert by_purse(list(payment.capture(150))) == [(2, 50), (3, 100)]
    assert (payment.captured_fen, payment.held_fen) == (600, 0)


def test_purses_are_refunded_in_the_reverse_order() -> None:
    payment = a_payment(300, 200, 100)
    list(payment.capture(550))
    assert by_purse(list(payment.refund(30))) == [(3, 30)]
    assert by_purse(list(payment.refund(100))) == [(3, 20), (2, 80)]
    assert by_purse(list(payment.refund(420))) == [(2, 120), (1, 300)]
    assert payment.paid_fen == 0


def test_a_capture_takes_first_again_what_was_captured_from_first() -> None:
    payment = a_payment(300, 200)
    list(payment.capture(250))
    list(payment.refund(250))
    assert by_purse(list(payment.capture(100))) == [(1, 50), (2, 50)]


@pytest.mark.parametrize("end", _ENDS)
def test_an_ended_payment_holds_nothing_and_cannot_end_again(end: PaymentStatus) -> None:
    payment = a_payment(300)
    payment.end(end)
    assert (payment.status, payment.held_fen, payment.changed) == (end, 0, True)
    for another in PaymentStatus:
        with pytest.raises(AssertionError, match="stays as it ended"):
            payment.end(another)
    assert payment.status is end


def test_more_than_there_is_cannot_be_spread() -> None:
    payment = a_payment(300, 200)
    with pytest.raises(AssertionError):
        list(payment.capture(501))
    with pytest.raises(AssertionError):
        list(a_payment(300).refund(1))


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
    st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
)
def test_no_purse_ever_gives_more_than_it_held_nor_gets_back_more_than_it_gave(
    held: list[int], steps: list[tuple[bool, int]]
) -> None:
    payment = a_payment(*held)
    taken = given_back = 0
    for takes, wanted in steps:
        fen = min(wanted, payment.held_fen if takes else payment.paid_fen)
        shares = list(payment.capture(fen) if takes else payment.refund(fen))
        assert sum(share for _, share in shares) == fen
        assert all(share > 0 for _, share in shares)
        taken, given_back = taken + fen * takes, given_back + fen * (not takes)
        assert all(0 <= part.refunded_fen <= part.captured_fen <= part.held_fen for part in payment.parts)
        assert (payment.captured_fen, payment.refunded_fen) == (taken, given_back)
        assert payment.held_fen == payment.amount_fen - taken
