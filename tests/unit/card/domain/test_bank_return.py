"""A bank's return: what is refused whole, what by row, and that a row's first valid answer stays."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from services.card.domain.bank_cause import GUIDANCE, WAYS, BankCause, ReturnFault, RowFault, WayForward
from services.card.domain.bank_file import RETURN_HEADER, RETURN_ROW, Field, Fill, Rendering
from services.card.domain.bank_return import (
    AccountOpened,
    AccountRefused,
    Return,
    ReturnRefused,
    ReturnRow,
    ReturnVerdicts,
    SentBatch,
    SentRow,
    decode_return,
    match_return,
)
from services.card.domain.refusal import Refusal

DOCUMENT = (Path(__file__).parents[4] / "docs" / "bank-files.md").read_text(encoding="utf-8")
DAY = date(2026, 11, 25)
NAMES = {1: "欧阳娜娜", 2: "阿卜杜拉·买买提", 3: "東方"}

each_rendering = pytest.mark.parametrize("rendering", Rendering)


def account(tail: int) -> str:
    digits = f"9900000000{tail:08}"
    return digits + luhn.calc_check_digit(digits)


def sent_row(number: int) -> SentRow:
    return SentRow(1000 + number, f"E1234567{number}", NAMES[number])


SENT = SentBatch("440700", "BANK-EAST", 7, {number: sent_row(number) for number in NAMES})


def accepted(number: int) -> ReturnRow:
    row = sent_row(number)
    return ReturnRow(number, row.application, row.document_number, row.name, "1", account(number), "000")


def declined(number: int, cause: BankCause = BankCause.RISK) -> ReturnRow:
    return replace(accepted(number), verdict="2", account="", cause=str(cause.value))


def returned(*rows: ReturnRow) -> Return:
    return Return("440700", "BANK-EAST", 7, 1, DAY, rows)


def verdicts(sent: SentBatch, *rows: ReturnRow) -> ReturnVerdicts:
    found = match_return(sent, returned(*rows))
    assert isinstance(found, ReturnVerdicts), found
    return found


def answered(sent: SentBatch, *rows: ReturnRow) -> SentBatch:
    answers = verdicts(sent, *rows).answers
    return replace(sent, rows={n: replace(row, answer=answers.get(n, row.answer)) for n, row in sent.rows.items()})


def line(layout: Sequence[Field], texts: Sequence[object], rendering: Rendering) -> bytes:
    cells = [str(text).encode("gbk") for text in texts]
    if rendering is Rendering.PIPE:
        return b"|".join(cells)
    return b"".join(
        cell.rjust(part.width, b"0") if part.fill is Fill.NUMBER else cell.ljust(part.width)
        for cell, part in zip(cells, layout, strict=True)
    )


def lines(rendering: Rendering, rows: Sequence[ReturnRow], **header: object) -> list[bytes]:
    """A return in bytes; `header` is what it says otherwise than it should."""
    says: dict[str, object] = {
        "record": "H",
        "layout": "R01",
        "city": "440700",
        "bank": "BANK-EAST",
        "batch": 7,
        "return_number": 1,
        "date": "20261125",
        "count": len(rows),
        "accepted": sum(row.verdict == "1" for row in rows),
        "total": sum(row.application for row in rows),
        **header,
    }
    texts = [("D", r.row, r.application, r.document_number, r.name, r.verdict, r.account, r.cause) for r in rows]
    return [line(RETURN_HEADER, list(says.values()), rendering), *(line(RETURN_ROW, row, rendering) for row in texts)]


def refused(data: bytes, rendering: Rendering) -> tuple[ReturnFault, int]:
    found = decode_return(data, rendering)
    assert isinstance(found, ReturnRefused), found
    return found.fault, found.line


ROWS = (accepted(1), declined(2), accepted(3))


@each_rendering
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last_end", [True, False])
def test_a_return_is_read_with_either_end_of_line(rendering: Rendering, end: bytes, last_end: bool) -> None:
    data = end.join(lines(rendering, ROWS)) + (end if last_end else b"")
    assert decode_return(data, rendering) == returned(*ROWS)


@each_rendering
@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"count": 2}, ReturnFault.COUNT_DIFFERS),
        ({"accepted": 1}, ReturnFault.ACCEPTED_DIFFERS),
        ({"total": 3007}, ReturnFault.TOTAL_DIFFERS),
        ({"layout": "R02"}, ReturnFault.LAYOUT_UNKNOWN),
        ({"record": "D"}, ReturnFault.LAYOUT_UNKNOWN),
        ({"date": "20261131"}, ReturnFault.HEADER_UNREADABLE),
        ({"count": "3 "}, None),
        ({"count": "３"}, ReturnFault.HEADER_UNREADABLE),
        ({"batch": "-7"}, ReturnFault.HEADER_UNREADABLE),
        ({"batch": "7A"}, ReturnFault.HEADER_UNREADABLE),
    ],
)
def test_a_header_that_is_not_right_refuses_the_return_whole(
    rendering: Rendering, header: dict[str, object], fault: ReturnFault | None
) -> None:
    found = decode_return(b"\n".join(lines(rendering, ROWS, **header)), rendering)
    assert found == (returned(*ROWS) if fault is None else ReturnRefused(fault))


@each_rendering
def test_what_is_no_return_at_all_is_refused(rendering: Rendering) -> None:
    other = Rendering.PIPE if rendering is Rendering.FIXED else Rendering.FIXED
    for data in (b"", b"\n", b"\xff\xfe\x00", "你好".encode("gbk"), b"\n".join(lines(other, ROWS))):
        assert refused(data, rendering) == (ReturnFault.LAYOUT_UNKNOWN, 1)


@each_rendering
def test_a_header_that_is_cut_off_is_unreadable(rendering: Rendering) -> None:
    header, *_ = lines(rendering, ROWS)
    shorter = header.rpartition(b"|")[0] if rendering is Rendering.PIPE else header[:-1]
    assert refused(shorter, rendering) == (ReturnFault.HEADER_UNREADABLE, 1)


@each_rendering
def test_a_row_that_is_no_row_refuses_the_return_whole_and_names_its_line(rendering: Rendering) -> None:
    header, first, second, third = lines(rendering, ROWS)
    extra = b"|" if rendering is Rendering.PIPE else b" "
    for bad in (second + extra, b"", b"X" + second[1:], second.replace(b"1002", b"10O2"), second[: len(second) // 2]):
        assert refused(b"\n".join((header, first, bad, third)), rendering) == (ReturnFault.ROW_UNREADABLE, 3)


@each_rendering
def test_a_row_that_stands_twice_refuses_the_return_whole(rendering: Rendering) -> None:
    assert refused(b"\n".join(lines(rendering, (*ROWS, declined(1)))), rendering) == (ReturnFault.ROW_TWICE, 5)


@each_rendering
def test_a_return_that_breaks_off_is_refused_whole(rendering: Rendering) -> None:
    assert refused(b"\n".join(lines(rendering, ROWS)[:-1]), rendering) == (ReturnFault.COUNT_DIFFERS, 1)


@given(st.binary(max_size=400), st.sampled_from(Rendering), st.integers(0, 250))
def test_no_bytes_make_the_reader_fail(noise: bytes, rendering: Rendering, at: int) -> None:
    whole = b"\n".join(lines(rendering, ROWS))
    for data in (noise, whole[:at] + noise, whole[:at] + noise + whole[at + len(noise) :]):
        found = decode_return(data, rendering)
        if isinstance(found, Return):
            match_return(SENT, found)


def test_half_a_character_at_the_end_of_a_name_spoils_that_row_alone() -> None:
    header, first, second, third = lines(Rendering.FIXED, ROWS)
    start = sum(part.width for part in RETURN_ROW[:4])
    cut = first[: start + 99] + "娜".encode("gbk")[:1] + first[start + 100 :]
    found = decode_return(b"\n".join((header, cut, second, third)), Rendering.FIXED)
    assert isinstance(found, Return)
    matched = match_return(SENT, found)
    assert isinstance(matched, ReturnVerdicts)
    assert matched.refused == {1: RowFault.NAME_MISMATCH}
    assert matched.answers == {2: AccountRefused(BankCause.RISK), 3: AccountOpened(account(3))}


def test_the_documents_return_is_read() -> None:
    data = re.findall(r"```\n(.*?)```", DOCUMENT, re.DOTALL)[2].encode("gbk")
    found = decode_return(data, Rendering.PIPE)
    assert isinstance(found, Return)
    rows = {row.row: SentRow(row.application, row.document_number, row.name) for row in found.rows}
    matched = match_return(SentBatch("440700", "BANK-EAST", 7, rows), found)
    assert isinstance(matched, ReturnVerdicts)
    assert (len(matched.answers), matched.waiting) == (2, ())


def test_a_batch_that_was_not_sent_is_refused_whole() -> None:
    unknown = ReturnRefused(ReturnFault.BATCH_UNKNOWN)
    assert match_return(None, returned(*ROWS)) == unknown
    assert match_return(replace(SENT, number=8), returned(*ROWS)) == unknown


def test_another_city_or_bank_than_it_was_sent_to_is_refused_whole() -> None:
    for sent in (replace(SENT, bank="BANK-WEST"), replace(SENT, city="440300")):
        assert match_return(sent, returned(*ROWS)) == ReturnRefused(ReturnFault.BANK_DIFFERS)


def test_acceptances_and_refusals_are_the_answers() -> None:
    assert verdicts(SENT, *ROWS) == ReturnVerdicts(
        answers={1: AccountOpened(account(1)), 2: AccountRefused(BankCause.RISK), 3: AccountOpened(account(3))},
        repeats=(),
        refused={},
        waiting=(),
    )


def test_a_row_that_is_missing_waits_and_a_later_return_completes() -> None:
    first = verdicts(SENT, accepted(1))
    assert first.waiting == (2, 3)
    assert verdicts(answered(SENT, accepted(1)), declined(2), accepted(3)).waiting == ()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (replace(accepted(1), row=4), RowFault.UNKNOWN_ROW),
        (replace(accepted(1), application=1002), RowFault.UNKNOWN_ROW),
        (replace(accepted(1), document_number="E12345670"), RowFault.NUMBER_MISMATCH),
        (replace(accepted(1), name="欧阳娜"), RowFault.NAME_MISMATCH),
        (replace(accepted(1), account=account(1)[:-1]), RowFault.ACCOUNT_INVALID),
        (replace(accepted(1), account=account(1)[:-1] + str((int(account(1)[-1]) + 1) % 10)), RowFault.ACCOUNT_INVALID),
        (replace(accepted(1), account="0" * 19), RowFault.ACCOUNT_INVALID),
        (replace(accepted(1), account=""), RowFault.ACCOUNT_INVALID),
        (replace(accepted(1), cause="103"), RowFault.ANSWER_UNCLEAR),
        (replace(accepted(1), verdict="3"), RowFault.ANSWER_UNCLEAR),
        (replace(declined(1), account=account(1)), RowFault.ANSWER_UNCLEAR),
        (replace(declined(1), cause="999"), RowFault.ANSWER_UNCLEAR),
        (replace(declined(1), cause="201"), RowFault.ANSWER_UNCLEAR),
    ],
)
def test_a_row_that_is_not_right_is_refused_alone_and_its_application_waits(row: ReturnRow, fault: RowFault) -> None:
    found = verdicts(SENT, row, declined(2), accepted(3))
    assert found.refused == {row.row: fault}
    assert set(found.answers) == {2, 3}
    assert found.waiting == (1,)


def test_one_account_for_two_applications_is_believed_for_neither() -> None:
    found = verdicts(SENT, accepted(1), replace(accepted(2), account=account(1)), accepted(3))
    assert found.refused == {1: RowFault.ACCOUNT_SHARED, 2: RowFault.ACCOUNT_SHARED}
    later = verdicts(answered(SENT, accepted(1)), replace(accepted(2), account=account(1)))
    assert later.refused == {2: RowFault.ACCOUNT_SHARED}


@pytest.mark.parametrize("row", [accepted(1), declined(1)], ids=["accepted", "declined"])
def test_the_same_answer_again_is_a_repeat_without_effect(row: ReturnRow) -> None:
    found = verdicts(answered(SENT, row), row)
    assert (found.answers, found.repeats, found.refused) == ({}, (1,), {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (accepted(1), declined(1)),
        (declined(1), accepted(1)),
        (accepted(1), replace(accepted(1), account=account(99))),
        (declined(1), declined(1, BankCause.OTHER)),
    ],
)
def test_another_answer_than_the_first_is_a_conflict_and_the_first_stays(first: ReturnRow, second: ReturnRow) -> None:
    after = answered(SENT, first)
    found = verdicts(after, second)
    assert (found.answers, found.refused) == ({}, {1: RowFault.CONFLICT})
    assert GUIDANCE[RowFault.CONFLICT].way is WayForward.PERSON_DECIDES


def test_every_cause_has_a_sentence_and_a_way_forward() -> None:
    causes = [*BankCause, *RowFault, *ReturnFault]
    assert list(GUIDANCE) == causes
    assert set(WAYS) == {guidance.way for guidance in GUIDANCE.values()} == set(WayForward)
    assert all(text.endswith("。") for text in (*WAYS.values(), *(guidance.sentence for guidance in GUIDANCE.values())))


def test_a_cause_is_never_taken_for_a_refusal_of_ours() -> None:
    causes = [*BankCause, *RowFault, *ReturnFault]
    numbers = [cause.value for cause in causes]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {refusal.value for refusal in Refusal}


def test_reprs_hide_who_it_is_and_which_account() -> None:
    shown = repr(returned(*ROWS)) + repr(answered(SENT, *ROWS)) + repr(verdicts(SENT, *ROWS))
    assert not any(secret in shown for row in ROWS for secret in (row.name, row.document_number, account(row.row)))
