"""The supplier's delivery file: which serial is on the plastic, which identifier on the chip. One box, whole or not at all.

BOX|product|supplier|count, the box's own number first; then a line a blank: serial|card identifier|bank account, or nothing.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MOST_BLANKS: Final = 5_000
MOST_BYTES: Final = 1024 * 1024

_BOX: Final = re.compile(r"[0-9A-Z-]{1,32}")
_SERIAL: Final = re.compile(r"[0-9A-Z-]{1,32}")
_IDENTIFIER: Final = re.compile(r"[0-9A-F]{32}")
_ACCOUNT: Final = re.compile(r"\d{10,32}")
_NAME: Final = re.compile(r"[\x21-\x7b\x7d\x7e]{1,64}")
_COUNT: Final = re.compile(r"[1-9]\d{0,4}")
_FIXED: Final = "D156000005"
"""Behind the city's code; the serial number and the check by key follow."""


class Fault(StrEnum):
    """What is wrong with a line. The names travel: never changed."""

    NOT_TEXT = "NOT_TEXT"
    HEADER_WRONG = "HEADER_WRONG"
    PRODUCT_UNKNOWN = "PRODUCT_UNKNOWN"
    COUNT_DIFFERS = "COUNT_DIFFERS"
    LINE_WRONG = "LINE_WRONG"
    SERIAL_REPEATED = "SERIAL_REPEATED"
    IDENTIFIER_REPEATED = "IDENTIFIER_REPEATED"
    IDENTIFIER_FOREIGN = "IDENTIFIER_FOREIGN"
    IDENTIFIER_NOT_GENUINE = "IDENTIFIER_NOT_GENUINE"
    BOX_KNOWN = "BOX_KNOWN"
    SERIAL_KNOWN = "SERIAL_KNOWN"
    IDENTIFIER_KNOWN = "IDENTIFIER_KNOWN"


FAULTS: Final = {
    Fault.NOT_TEXT: "文件不是纯文本，或超过大小限制",
    Fault.HEADER_WRONG: "文件头有误，应为 箱号|产品|供应商|张数",
    Fault.PRODUCT_UNKNOWN: "系统不认识该产品",
    Fault.COUNT_DIFFERS: "文件头所写张数与实际行数不符",
    Fault.LINE_WRONG: "行格式有误，应为 序列号|卡识别码|银行账号",
    Fault.SERIAL_REPEATED: "序列号在本文件中重复",
    Fault.IDENTIFIER_REPEATED: "卡识别码在本文件中重复",
    Fault.IDENTIFIER_FOREIGN: "卡识别码不属于本市",
    Fault.IDENTIFIER_NOT_GENUINE: "卡识别码校验不通过",
    Fault.BOX_KNOWN: "该箱号已入库",
    Fault.SERIAL_KNOWN: "该序列号已入库",
    Fault.IDENTIFIER_KNOWN: "该卡识别码已入库",
}
"""What a keeper can say to the supplier."""


class LineFault(NamedTuple):
    """Where it is, and what; the first line is the header."""

    line: int
    fault: Fault
    serial: str = ""


@dataclass(frozen=True, slots=True)
class BlankLine:
    """One blank, as the supplier describes it."""

    line: int
    serial: str
    card_identifier: str
    account: str
    """Which its bank has opened for it; empty: none."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A box."""

    box: str
    product: str
    supplier: str
    blanks: tuple[BlankLine, ...]


def read_delivery(content: bytes, products: Collection[str], city_code: str) -> tuple[Delivery | None, list[LineFault]]:
    """What a file says, and all that is wrong with it by itself; there is no delivery when its header cannot be read."""
    try:
        text = content.decode("ascii") if len(content) <= MOST_BYTES else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return None, [LineFault(1, Fault.NOT_TEXT)]
    header, *lines = text.removesuffix("\n").split("\n")
    parts = header.split("|")
    if len(parts) != 4 or not all(map(re.Pattern.fullmatch, (_BOX, _NAME, _NAME, _COUNT), parts)):
        return None, [LineFault(1, Fault.HEADER_WRONG)]
    box, product, supplier, count = parts
    faults = [] if product in products else [LineFault(1, Fault.PRODUCT_UNKNOWN)]
    if int(count) != len(lines) or len(lines) > MOST_BLANKS:
        faults.append(LineFault(1, Fault.COUNT_DIFFERS))
    blanks, wrong = _read_lines(lines)
    faults += wrong + _repeated(blanks) + _foreign(blanks, city_code + _FIXED)
    return Delivery(box, product, supplier, tuple(blanks)), sorted(faults)


def _read_lines(lines: Sequence[str]) -> tuple[list[BlankLine], list[LineFault]]:
    blanks, faults = [], []
    for number, line in enumerate(lines, 2):
        match line.split("|"):
            case [serial, identifier, account] if (
                _SERIAL.fullmatch(serial)
                and _IDENTIFIER.fullmatch(identifier.upper())
                and (not account or _ACCOUNT.fullmatch(account))
            ):
                blanks.append(BlankLine(number, serial, identifier.upper(), account))
            case _:
                faults.append(LineFault(number, Fault.LINE_WRONG))
    return blanks, faults


def _repeated(blanks: Sequence[BlankLine]) -> list[LineFault]:
    faults, serials, identifiers = [], set(), set()
    for blank in blanks:
        if blank.serial in serials:
            faults.append(LineFault(blank.line, Fault.SERIAL_REPEATED, blank.serial))
        if blank.card_identifier in identifiers:
            faults.append(LineFault(blank.line, Fault.IDENTIFIER_REPEATED, blank.serial))
        serials.add(blank.serial)
        identifiers.add(blank.card_identifier)
    return faults


def _foreign(blanks: Sequence[BlankLine], begin: str) -> list[LineFault]:
    return [
        LineFault(blank.line, Fault.IDENTIFIER_FOREIGN, blank.serial)
        for blank in blanks
        if not blank.card_identifier.startswith(begin)
    ]
