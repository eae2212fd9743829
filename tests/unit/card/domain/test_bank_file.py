"""Applications as a file for a bank: what is carried, what is not, and the document that describes it."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.card.domain import names
from services.card.domain.bank_cause import BankCause, ReturnFault, RowFault
from services.card.domain.bank_file import (
    OUTGOING_HEADER,
    OUTGOING_ROW,
    RETURN_HEADER,
    RETURN_ROW,
    Batch,
    Field,
    Fill,
    NotCarried,
    OutgoingRow,
    Product,
    Rendering,
    encode_outgoing,
    read_line,
)
from services.card.domain.document import DocumentKind
from services.card.domain.person import Sex

DOCUMENT = (Path(__file__).parents[4] / "docs" / "bank-files.md").read_text(encoding="utf-8")
WOMAN = OutgoingRow(
    1001,
    DocumentKind.RESIDENT_ID,
    "11010519491231002X",
    "欧阳娜娜",
    Sex.FEMALE,
    date(1949, 12, 31),
    "13900000000",
    Product.CLASS_1,
)
MAN = OutgoingRow(
    1002,
    DocumentKind.RESIDENT_ID,
    "440524188001010014",
    "阿卜杜拉·买买提",
    Sex.MALE,
    date(1880, 1, 1),
    "",
    Product.CLASS_2,
)
SECOND_BYTE_IS_A_PIPE = "東亅倈億"

each_rendering = pytest.mark.parametrize("rendering", Rendering)


def batch(*rows: OutgoingRow) -> Batch:
    return Batch("440700", "BANK-EAST", 7, date(2026, 11, 24), rows)


def named(name: str) -> OutgoingRow:
    return OutgoingRow(1, DocumentKind.PASSPORT, "E12345678", name, Sex.MALE, date(1990, 1, 1), "", Product.CLASS_1)


def encoded(whole: Batch, rendering: Rendering) -> bytes:
    data = encode_outgoing(whole, rendering)
    assert isinstance(data, bytes), data
    return data


def name_read(row: OutgoingRow, rendering: Rendering) -> str:
    line = encoded(batch(row), rendering).removesuffix(b"\n").split(b"\n")[1]
    texts = read_line(OUTGOING_ROW, line, rendering)
    assert texts is not None
    return texts["name"]


def in_gbk(character: str) -> bool:
    try:
        character.encode("gbk")
    except UnicodeEncodeError:
        return False
    return True


han = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5).filter(in_gbk)
gbk_names = st.one_of(
    st.text(st.one_of(han, st.just("·"), st.sampled_from(SECOND_BYTE_IS_A_PIPE)), min_size=1, max_size=50),
    st.text(han, min_size=50, max_size=50),
    st.from_regex(r"[A-Z]{1,20}( [A-Z]{1,20})?", fullmatch=True),
)


@given(gbk_names, st.sampled_from(Rendering))
def test_a_name_comes_back_as_it_went_out(name: str, rendering: Rendering) -> None:
    assert name_read(named(name), rendering) == name


@each_rendering
def test_a_name_whose_second_bytes_look_like_separators_comes_back(rendering: Rendering) -> None:
    assert all(character.encode("gbk")[1:] == b"|" for character in SECOND_BYTE_IS_A_PIPE)
    assert name_read(named(SECOND_BYTE_IS_A_PIPE), rendering) == SECOND_BYTE_IS_A_PIPE


def test_every_line_of_fixed_width_has_the_same_bytes_whatever_it_holds() -> None:
    header, *rows = encoded(batch(WOMAN, MAN, named("LI"), named("中" * 50)), Rendering.FIXED).splitlines()
    assert len(header) == sum(part.width for part in OUTGOING_HEADER)
    assert {len(row) for row in rows} == {sum(part.width for part in OUTGOING_ROW)}


@each_rendering
@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("张𠮷", "𠮷"),
        ("李é🙂", "🙂"),
        ("王|二", "|"),
        ("王\n二", "\n"),
        ("王\x00", "\x00"),
        (" 王二", " "),
        ("王二 ", " "),
        ("中" * 51, ""),
        ("A" + "中" * 50, ""),
    ],
)
def test_what_cannot_be_carried_is_named_and_no_file_is_made(name: str, character: str, rendering: Rendering) -> None:
    assert encode_outgoing(batch(WOMAN, named(name)), rendering) == (NotCarried(2, "name", character),)


def test_every_row_that_cannot_be_carried_is_named() -> None:
    faults = encode_outgoing(batch(named("𠮷"), WOMAN, named("中" * 60)), Rendering.PIPE)
    assert faults == (NotCarried(1, "name", "𠮷"), NotCarried(3, "name"))


def test_a_header_that_cannot_be_carried_is_row_zero() -> None:
    whole = Batch("440700", "A BANK WITH A LONG NAME", 7, date(2026, 11, 24), (WOMAN,))
    assert encode_outgoing(whole, Rendering.PIPE) == (NotCarried(0, "bank"),)


def test_an_id_that_is_too_long_is_not_cut() -> None:
    row = OutgoingRow(10**12, MAN.document_kind, MAN.document_number, MAN.name, MAN.sex, MAN.birth_date, "", MAN.product)
    assert encode_outgoing(batch(row), Rendering.FIXED) == (NotCarried(1, "application"),)


def test_the_longest_name_that_is_accepted_at_the_counter_fits() -> None:
    assert name_read(named("中" * names.LONGEST), Rendering.FIXED) == "中" * names.LONGEST


def test_reprs_hide_who_it_is() -> None:
    shown = repr(batch(WOMAN)) + repr(NotCarried(1, "name", "娜"))
    assert not any(secret in shown for secret in ("娜", WOMAN.document_number, WOMAN.phone, "1949", "12, 31"))


@each_rendering
def test_digits_of_other_scripts_signs_and_underscores_are_no_number(rendering: Rendering) -> None:
    layout = (Field("number", 4, Fill.NUMBER),)
    assert read_line(layout, b"0012", rendering) == {"number": "0012"}
    for text in ("１２", "+012", "-001", "1_00", "    ", "12.0"):
        assert read_line(layout, text.encode("gbk"), rendering) is None


def tables() -> list[list[tuple[str, int, int, int, str]]]:
    found = []
    for block in re.split(r"\n(?:Header|Row):\n", DOCUMENT)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| (\d+)–(\d+) \| (\d+) \| (\w+) \|", block.partition("\n```")[0], re.MULTILINE)
        found.append([(name, int(first), int(last), int(width), fill) for name, first, last, width, fill in rows])
    return found


def described(layout: tuple[Field, ...]) -> list[tuple[str, int, int, int, str]]:
    rows, first = [], 1
    for part in layout:
        fill = "zeros" if part.fill is Fill.NUMBER else "blanks"
        rows.append((part.name, first, first + part.width - 1, part.width, fill))
        first += part.width
    return rows


def test_the_document_says_where_each_field_stands() -> None:
    assert tables() == [described(layout) for layout in (OUTGOING_HEADER, OUTGOING_ROW, RETURN_HEADER, RETURN_ROW)]


def test_the_documents_example_is_what_is_written() -> None:
    by_pipe, fixed, _ = re.findall(r"```\n(.*?)```", DOCUMENT, re.DOTALL)
    assert encoded(batch(WOMAN, MAN), Rendering.PIPE).decode("gbk") == by_pipe
    assert encoded(batch(WOMAN, MAN), Rendering.FIXED).decode("gbk") == fixed


def test_the_document_lists_the_causes() -> None:
    listed = {(int(number), name) for number, name in re.findall(r"^\| (\d{3}) \| `([A-Z_]+)` \|", DOCUMENT, re.MULTILINE)}
    assert listed == {(cause.value, cause.name) for kind in (BankCause, RowFault, ReturnFault) for cause in kind}
