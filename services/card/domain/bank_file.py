"""The files that go to a bank and come back: which field stands where, as data, and two renderings of the same records.

No layout of such files was published, so this one is ours; `docs/bank-files.md` is its description for the bank. Text is GBK.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from services.card.domain.document import DocumentKind
from services.card.domain.person import Sex


class Rendering(Enum):
    """How the fields of a line are kept apart; which one a bank takes is agreed with it."""

    FIXED = 1
    """By position, counted in bytes."""
    PIPE = 2
    """By `|`."""


class Fill(Enum):
    """What a field of fixed width is filled up with."""

    TEXT = 1
    """Blanks, on the right."""
    NUMBER = 2
    """Zeros, on the left."""


class Field(NamedTuple):
    """A field of a line; the width is in bytes, and the most that either rendering carries."""

    name: str
    width: int
    fill: Fill = Fill.TEXT


OUTGOING: Final = "A01"
RETURN: Final = "R01"
"""The names of the two layouts, with their version."""
HEADER_MARK: Final = "H"
ROW_MARK: Final = "D"

OUTGOING_HEADER: Final = (
    Field("record", 1),
    Field("layout", 3),
    Field("city", 6),
    Field("bank", 12),
    Field("batch", 10, Fill.NUMBER),
    Field("date", 8, Fill.NUMBER),
    Field("count", 6, Fill.NUMBER),
    Field("total", 18, Fill.NUMBER),
)
OUTGOING_ROW: Final = (
    Field("record", 1),
    Field("row", 6, Fill.NUMBER),
    Field("application", 12, Fill.NUMBER),
    Field("document_kind", 2, Fill.NUMBER),
    Field("document_number", 20),
    Field("name", 100),
    Field("sex", 1, Fill.NUMBER),
    Field("birth_date", 8, Fill.NUMBER),
    Field("phone", 15),
    Field("product", 2, Fill.NUMBER),
    Field("account", 19),
)
RETURN_HEADER: Final = (
    Field("record", 1),
    Field("layout", 3),
    Field("city", 6),
    Field("bank", 12),
    Field("batch", 10, Fill.NUMBER),
    Field("return_number", 4, Fill.NUMBER),
    Field("date", 8, Fill.NUMBER),
    Field("count", 6, Fill.NUMBER),
    Field("accepted", 6, Fill.NUMBER),
    Field("total", 18, Fill.NUMBER),
)
RETURN_ROW: Final = (
    Field("record", 1),
    Field("row", 6, Fill.NUMBER),
    Field("application", 12, Fill.NUMBER),
    Field("document_number", 20),
    Field("name", 100),
    Field("verdict", 1),
    Field("account", 19),
    Field("cause", 3),
)


class Product(IntEnum):
    """The account that is asked for, by the classes of personal bank accounts in China."""

    CLASS_1 = 1
    """Ⅰ类户: without limits; a person has one at a bank."""
    CLASS_2 = 2
    """Ⅱ类户: with limits a day."""


@dataclass(frozen=True, slots=True)
class OutgoingRow:
    """One application, as the bank sees it."""

    application: int
    document_kind: DocumentKind
    document_number: str = field(repr=False)
    name: str = field(repr=False)
    sex: Sex = field(repr=False)
    birth_date: date = field(repr=False)
    phone: str = field(repr=False)
    product: Product
    account: str = field(repr=False, default="")
    """The one that the bank accepted beforehand, with the box that the card's blank came in; empty: it is to open one."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Applications on their way to a bank; in the file its rows are numbered from 1, in this order."""

    city: str
    """GB/T 2260, six digits."""
    bank: str
    """The bank's code, up to twelve letters and digits."""
    number: int
    """Never used again for this bank."""
    date: date
    rows: tuple[OutgoingRow, ...]


@dataclass(frozen=True, slots=True)
class NotCarried:
    """A field that the file cannot carry as it is."""

    row: int
    """0: the header."""
    field_name: str
    character: str = field(repr=False, default="")
    """The first one that does not fit in; empty: the text is too long, counted in bytes."""


def encode_outgoing(batch: Batch, rendering: Rendering) -> bytes | tuple[NotCarried, ...]:
    """The file; or what cannot be carried, for each such row. Nothing is ever cut, and no character replaced."""
    lines = [(OUTGOING_HEADER, _header(batch)), *((OUTGOING_ROW, _row(n, row)) for n, row in enumerate(batch.rows, 1))]
    faults = tuple(fault for n, line in enumerate(lines) if (fault := _find_fault(n, *line)))
    return faults or b"".join(_write_line(*line, rendering) for line in lines)


def read_line(layout: Sequence[Field], line: bytes, rendering: Rendering) -> Mapping[str, str] | None:
    """The texts of a line by field; None: it has another length, other fields, or no number where one belongs.

    Bytes that are no GBK become U+FFFD, which no text that was ever sent contains.
    """
    if rendering is Rendering.FIXED:
        if len(line) != sum(part.width for part in layout):
            return None
        # By bytes first: half a character at the end of a field must not take a byte of the next one with it.
        cells, start = [], 0
        for width in (part.width for part in layout):
            cells.append(line[start : start + width].decode("gbk", "replace"))
            start += width
    else:
        # By characters: the byte of `|` is also the second one of some Chinese characters, such as 東.
        cells = line.decode("gbk", "replace").split("|")
        if len(cells) != len(layout):
            return None
    texts = {part.name: cell.strip(" ") for part, cell in zip(layout, cells, strict=True)}
    numbers = all(_is_number(texts[part.name], part.width) for part in layout if part.fill is Fill.NUMBER)
    return texts if numbers else None


def _header(batch: Batch) -> tuple[str, ...]:
    total = sum(row.application for row in batch.rows)
    return (
        *(HEADER_MARK, OUTGOING, batch.city, batch.bank),
        *(str(batch.number), _digits(batch.date), str(len(batch.rows)), str(total)),
    )


def _row(number: int, row: OutgoingRow) -> tuple[str, ...]:
    return (
        *(ROW_MARK, str(number), str(row.application), str(row.document_kind.value), row.document_number, row.name),
        *(str(row.sex.value), _digits(row.birth_date), row.phone, str(row.product.value), row.account),
    )


def _digits(day: date) -> str:
    return day.isoformat().replace("-", "")


def _find_fault(row: int, layout: Sequence[Field], texts: Sequence[str]) -> NotCarried | None:
    for part, text in zip(layout, texts, strict=True):
        if (character := _find_uncarried(text)) or len(text.encode("gbk")) > part.width:
            return NotCarried(row, part.name, character)
    return None


def _find_uncarried(text: str) -> str:
    """The first character that does not come back as it went out: none of GBK, a separator, or a blank at an edge."""
    if text != text.strip(" "):
        return " "
    return next((c for c in text if c == "|" or not c.isprintable() or not _in_gbk(c)), "")


def _in_gbk(character: str) -> bool:
    try:
        character.encode("gbk")
    except UnicodeEncodeError:
        return False
    return True


def _write_line(layout: Sequence[Field], texts: Sequence[str], rendering: Rendering) -> bytes:
    if rendering is Rendering.PIPE:
        return "|".join(texts).encode("gbk") + b"\n"
    cells = [text.encode("gbk") for text in texts]
    return b"".join(_filled(part, cell) for part, cell in zip(layout, cells, strict=True)) + b"\n"


def _filled(part: Field, cell: bytes) -> bytes:
    return cell.rjust(part.width, b"0") if part.fill is Fill.NUMBER else cell.ljust(part.width)


def _is_number(text: str, width: int) -> bool:
    """Plain digits; full-width ones, signs and underscores, which `int` would take, are none."""
    return text.isascii() and text.isdigit() and len(text) <= width
