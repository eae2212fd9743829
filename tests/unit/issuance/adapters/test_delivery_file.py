"""The supplier's delivery file: everything that is wrong with it is found, and named by its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.issuance.adapters.delivery_file import FAULTS, MOST_BYTES, BlankLine, Delivery, Fault, read_delivery

CITY = "440700"
FIRST = "440700D1560000050000000178ABCDEF"
SECOND = "440700D1560000050000000278ABCDEF"


def read(*lines: str, end: str = "\n") -> tuple[Delivery | None, list[tuple[int, Fault]]]:
    delivery, faults = read_delivery(("\n".join(lines) + end).encode(), {"ssc3"}, CITY)
    return delivery, [(fault.line, fault.fault) for fault in faults]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_box_is_read(end: str) -> None:
    delivery, faults = read("BX-1|ssc3|EASTCOM|2", f"B1|{FIRST}|6228480700000001", f"B2|{SECOND.lower()}|", end=end)
    assert faults == []
    blanks = (BlankLine(2, "B1", FIRST, "6228480700000001"), BlankLine(3, "B2", SECOND, ""))
    assert delivery == Delivery("BX-1", "ssc3", "EASTCOM", blanks)


@pytest.mark.parametrize(
    "header", ["", "BX-1|ssc3|EASTCOM", "BX-1|ssc3|EASTCOM|0", "BX-1|ssc3|EASTCOM|1|", "bx 1|ssc3|E|1", "BX-1||E|1", "A|B|C|-1"]
)
def test_without_a_header_there_is_no_box(header: str) -> None:
    assert read(header, f"B1|{FIRST}|") == (None, [(1, Fault.HEADER_WRONG)])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", Fault.LINE_WRONG),
        (f"B1|{FIRST}", Fault.LINE_WRONG),
        (f"B 1|{FIRST}|", Fault.LINE_WRONG),
        (f"B1|{FIRST[:-1]}|", Fault.LINE_WRONG),
        (f"B1|{FIRST}|12", Fault.LINE_WRONG),
        (f"B1|{FIRST}|\r", Fault.LINE_WRONG),
        (f"B1|999999{FIRST[6:]}|", Fault.IDENTIFIER_FOREIGN),
    ],
)
def test_a_wrong_line_is_named(line: str, fault: Fault) -> None:
    assert read("BX-1|ssc3|EASTCOM|2", f"B0|{SECOND}|", line)[1] == [(3, fault)]


def test_all_that_is_wrong_is_named_in_order_of_the_lines() -> None:
    _, faults = read("BX-1|other|EASTCOM|9", "nonsense", f"B1|{FIRST}|", f"B1|{FIRST}|")
    assert faults == [
        (1, Fault.COUNT_DIFFERS),
        (1, Fault.PRODUCT_UNKNOWN),
        (2, Fault.LINE_WRONG),
        (4, Fault.IDENTIFIER_REPEATED),
        (4, Fault.SERIAL_REPEATED),
    ]


def test_what_is_no_text_or_too_large_is_not_read() -> None:
    for content in (b"\xff", "箱|ssc3|E|1".encode(), b"x" * (MOST_BYTES + 1)):
        delivery, faults = read_delivery(content, {"ssc3"}, CITY)
        assert (delivery, [fault.fault for fault in faults]) == (None, [Fault.NOT_TEXT])


def test_each_fault_has_its_words() -> None:
    assert set(FAULTS) == set(Fault)


@given(st.binary(max_size=300) | st.text(alphabet="B1|ssc3\nX-0EASTCOM4", max_size=300).map(str.encode))
def test_whatever_comes_is_answered(content: bytes) -> None:
    delivery, faults = read_delivery(content, {"ssc3"}, CITY)
    assert delivery or faults
