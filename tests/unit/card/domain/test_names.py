"""Names are taken as they are; what cannot be carried is named, character by character."""

import pytest

from services.card.domain.masking import masked_end, masked_name, masked_number
from services.card.domain.names import Carrier, NameProblem, cannot_carry, normalise_name


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" 张 三 ", NameProblem.CHARACTERS),
        ("张三", "张三"),
        ("阿卜杜拉•买买提", "阿卜杜拉·买买提"),
        ("阿卜杜拉．买买提", "阿卜杜拉·买买提"),
        ("阿卜杜拉 · 买买提", "阿卜杜拉·买买提"),
        ("𬎆", "𬎆"),
        ("㐂", "㐂"),
        ("〇一", "〇一"),
        ("John Smith", "JOHN SMITH"),
        ("José  Ñuñez", "JOSE NUNEZ"),
        ("O'Neil-Jones", "O'NEIL-JONES"),
        ("", NameProblem.EMPTY),
        ("  ", NameProblem.EMPTY),
        ("张3", NameProblem.CHARACTERS),
        ("张三A", NameProblem.CHARACTERS),
        ("·张三", NameProblem.CHARACTERS),
        ("张三😀", NameProblem.CHARACTERS),
        ("张三\x00", NameProblem.CHARACTERS),
        ("张" * 51, NameProblem.TOO_LONG),
    ],
)
def test_a_name_is_put_right_or_refused(typed: str, stored: str | NameProblem) -> None:
    assert normalise_name(typed) == stored
    if isinstance(stored, str):
        assert normalise_name(stored) == stored


def test_a_character_beyond_gbk_is_named_and_never_replaced() -> None:
    problems = {found.carrier: found for found in cannot_carry("王𬎆𬎆", lambda character: character != "王")}
    assert problems[Carrier.BANK_FILE].characters == problems[Carrier.CHIP].characters == ("𬎆",)
    assert problems[Carrier.PRINTER].characters == ("王",)
    assert "U+2C386" in problems[Carrier.BANK_FILE].sentence
    assert cannot_carry("阿卜杜拉·买买提", lambda _: True) == ()


def test_a_name_that_is_too_long_for_the_chip_is_never_cut() -> None:
    (found,) = cannot_carry("买" * 46, lambda _: True)
    assert (found.carrier, found.characters) == (Carrier.CHIP, ())
    assert "过长" in found.sentence
    assert cannot_carry("买" * 45, lambda _: True) == ()


def test_masks_leave_enough_to_compare_and_too_little_to_use() -> None:
    assert [masked_name(name) for name in ("张三", "欧阳娜娜", "张", "JOHN SMITH")] == ["*三", "***娜", "*", "J*** S****"]
    assert masked_number("11010519491231002X") == "1****************X"
    assert masked_number("E1") == "**"
    assert masked_end("13812345678") == "*******5678"
    assert masked_end("1234567") == "*******"
