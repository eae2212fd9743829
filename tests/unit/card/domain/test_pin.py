"""A PIN that can be guessed from what is known of its holder is none."""

from datetime import date

import pytest

from services.card.domain.card import Production, SocialStatus
from services.card.domain.holder_session import bars
from services.card.domain.pin import good_pin
from services.card.domain.refusal import Refusal
from tests.unit.card.domain.test_life_cycle import card

BORN = date(1990, 3, 7)
NUMBERS = ("440703199003071239", "13812345678", "100000290", "H1234567890")


@pytest.mark.parametrize("pin", ["", "12345", "1234567", "12345a", "１３５７９２", "½½½½½½"])
def test_a_pin_is_six_digits(pin: str) -> None:
    assert not good_pin(pin, BORN, ())


@pytest.mark.parametrize("pin", ["000000", "123456", "654321", "890123", "135791", "121212", "112211", "482482"])
def test_a_pattern_is_no_pin(pin: str) -> None:
    assert not good_pin(pin, BORN, ())


@pytest.mark.parametrize("pin", ["900307", "199003", "070390", "030790", "071990", "440703", "345678", "000029", "234567"])
def test_what_is_known_of_the_holder_is_no_pin(pin: str) -> None:
    assert not good_pin(pin, BORN, NUMBERS)


@pytest.mark.parametrize("pin", ["739154", "800317", "440731"])
def test_anything_else_is(pin: str) -> None:
    assert good_pin(pin, BORN, NUMBERS)


def test_only_a_card_in_its_holders_hand_that_is_neither_lost_nor_locked_lets_anybody_in() -> None:
    assert {social: bars(card(social)) for social in SocialStatus} == {
        SocialStatus.SEALED: None,
        SocialStatus.NORMAL: None,
        SocialStatus.FORMALLY_LOST: Refusal.CARD_IS_LOST,
        SocialStatus.LOCKED: Refusal.LOCKED,
        SocialStatus.TEMPORARILY_LOST: Refusal.CARD_IS_LOST,
        SocialStatus.CANCELLED: Refusal.CANCELLED,
    }
    assert bars(card(SocialStatus.SEALED, production=Production.AT_OUTLET)) is Refusal.NOT_COLLECTED
