"""A clerk is told what to do next, in Chinese and in English."""

import re
from pathlib import Path

import services.issuance.domain
from services.issuance.domain.refusal import SENTENCES, Refusal
from services.issuance.domain.refusal_english import CHIP_SENTENCES

CONVERSATIONS = ("card_data", "check_card", "conversation", "personalise", "probe", "update_card")


def raised() -> set[Refusal]:
    """What conversations end with."""
    folder = Path(services.issuance.domain.__file__).parent
    texts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in CONVERSATIONS]
    return {Refusal(name) for text in texts for name in re.findall(r"Refusal\.([A-Z_]+)", text)}


def test_every_end_of_a_conversation_has_both_sentences() -> None:
    assert raised() <= SENTENCES.keys()
    assert raised() <= CHIP_SENTENCES.keys()


def test_there_is_no_sentence_for_what_never_happens() -> None:
    assert CHIP_SENTENCES.keys() - raised() == {Refusal.PRODUCT_UNKNOWN}  # said by whoever sees the answer to reset


def test_each_says_what_to_do() -> None:
    for refusal in CHIP_SENTENCES:
        assert "请" in SENTENCES[refusal], refusal
        assert re.search(r"[.;:] ?.+\.$", CHIP_SENTENCES[refusal]), refusal
