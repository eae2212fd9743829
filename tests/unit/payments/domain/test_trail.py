from uuid import UUID

import pytest

from services.payments.domain.trail import Identity, Place, Trail, masked_card, name_of
from services.payments.domain.transfer import payment_id

PAYMENT = payment_id(1_780_000_000_000, 1284, 3)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((PAYMENT.hex(),), UUID(bytes=PAYMENT)),
        ((str(UUID(bytes=PAYMENT)),), UUID(bytes=PAYMENT)),
        (("1284/3",), Place(1284, 3)),
        (("till-7-1",), Identity("", "", request_id="till-7-1")),
        (("CAMPUS-LAKE", "till-7-1"), Identity("CAMPUS-LAKE", "", request_id="till-7-1")),
        (("BUS-1", "BUS-1-T7", "42"), Identity("BUS-1", "BUS-1-T7", 42)),
        (("CAMPUS-LAKE", "T1", "till-7-1"), Identity("CAMPUS-LAKE", "T1", request_id="till-7-1")),
    ],
)
def test_a_payment_is_called_by_what_an_operator_has_in_hand(words: tuple[str, ...], name: object) -> None:
    assert name_of(words) == name


@pytest.mark.parametrize("words", [(), ("a", "b", "c", "d")])
def test_anything_else_is_no_name(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="BATCH/ROW"):
        name_of(words)


def test_a_card_is_shown_so_that_it_can_be_compared_and_not_used() -> None:
    assert masked_card("440700D1000000000000000000000178") == "440700…0178"
    assert masked_card("C00000000001") == "…"


def test_what_happened_in_one_moment_stays_in_the_order_in_which_it_was_found() -> None:
    trail = Trail(Identity("M", "T", 1))
    for time_ms, what in ((2, "posted"), (2, "transfer"), (1, "tapped")):
        trail.add(time_ms, "ledger", what, empty="", nothing=None, zero=0)
    assert [step.what for step in trail.in_order()] == ["tapped", "posted", "transfer"]
    assert trail.steps[0].facts == {"zero": 0}
