"""Every cause has its words, and a card is never shown whole."""

import pytest

from services.payments.domain.cause_words import CAUSE_WORDS
from services.payments.domain.letter import mask
from services.payments.domain.verdict import Cause


def test_every_cause_is_explained_in_words_of_its_own() -> None:
    assert set(CAUSE_WORDS) == set(Cause)
    assert len({told.meaning for told in CAUSE_WORDS.values()}) == len(Cause)
    assert all(told.meaning.endswith(".") and told.mends.endswith(".") for told in CAUSE_WORDS.values())


def test_what_can_be_mended_is_replayed_and_the_rest_refused() -> None:
    for cause, told in CAUSE_WORDS.items():
        itself = cause is Cause.UNKNOWN_CARD
        assert itself or ("replay" in told.mends) == told.mendable, cause.name
        assert told.mendable or "efuse" in told.mends, cause.name


@pytest.mark.parametrize(("card", "shown"), [("440700D1000000000000000000000178", "440700D1…0178"), ("C1234", "…"), ("", "")])
def test_a_card_is_masked(card: str, shown: str) -> None:
    assert mask(card) == shown
