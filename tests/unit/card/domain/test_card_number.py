"""The numbers of a card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.card.domain.card_number import card_identifier, card_number, is_card_number


def test_the_check_character_is_that_of_the_standard() -> None:
    assert card_number(10_000_000) == "100000008"  # 11 − 3
    assert card_number(0) == "000000000"  # 11 → 0
    assert {card_number(n)[8] for n in range(200)} == set("0123456789X")


def test_a_ninth_digit_is_never_given_out() -> None:
    with pytest.raises(ValueError, match="used up"):
        card_number(100_000_000)


@given(st.integers(0, 99_999_999), st.integers(0, 8), st.sampled_from("0123456789X"))
def test_one_wrong_character_is_always_noticed(serial: int, at: int, wrong: str) -> None:
    number = card_number(serial)
    assert is_card_number(number)
    altered = number[:at] + wrong + number[at + 1 :]
    assert is_card_number(altered) is (altered == number)


def test_an_identifier_carries_city_serial_and_mac() -> None:
    seen: list[bytes] = []

    def mac(message: bytes) -> bytes:
        seen.append(message)
        return bytes(range(32))

    assert card_identifier("440700", 757, mac) == "440700D156000005000002F500010203"
    assert seen == [bytes.fromhex("440700D156000005000002F5")]
