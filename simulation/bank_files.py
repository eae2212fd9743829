"""Files of applications and of returns as a bank reads and writes them, by `docs/bank-files.md` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

ACCEPTED, REFUSED, NO_CAUSE = "1", "2", "000"

# Widths in bytes, and whether zeros on the left or blanks on the right fill a field.
ZEROS, BLANKS = True, False
Widths = tuple[tuple[int, bool], ...]
APPLICATIONS_HEADER: Widths = (
    *((1, BLANKS), (3, BLANKS), (6, BLANKS), (12, BLANKS)),
    *((10, ZEROS), (8, ZEROS), (6, ZEROS), (18, ZEROS)),
)
APPLICATIONS_ROW: Widths = (
    *((1, BLANKS), (6, ZEROS), (12, ZEROS), (2, ZEROS), (20, BLANKS)),
    *((100, BLANKS), (1, ZEROS), (8, ZEROS), (15, BLANKS), (2, ZEROS), (19, BLANKS)),
)
RETURN_HEADER: Widths = (*APPLICATIONS_HEADER[:5], (4, ZEROS), (8, ZEROS), (6, ZEROS), (6, ZEROS), (18, ZEROS))
RETURN_ROW: Widths = (
    *((1, BLANKS), (6, ZEROS), (12, ZEROS), (20, BLANKS)),
    *((100, BLANKS), (1, BLANKS), (19, BLANKS), (3, BLANKS)),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One application, as far as a return repeats it."""

    row: int
    application: int
    document_number: str = field(repr=False)
    name: str = field(repr=False)
    account: str = field(repr=False, default="")
    """The one that was accepted beforehand; empty: none."""


class Applications(NamedTuple):
    """A file of applications."""

    city: str
    bank: str
    batch: int
    date: str
    rows: tuple[Asked, ...]
    by_pipe: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An application with the bank's answer."""

    asked: Asked
    verdict: str
    account: str = field(repr=False)
    cause: str


def read_applications(data: bytes) -> Applications:
    """Read a file in either rendering. Raises ValueError, which names a line, for one that is not as agreed."""
    by_pipe = data.startswith(b"H|")
    first, *lines = data.splitlines() or [b""]
    _, layout, city, bank, batch, date, count, total = _read(APPLICATIONS_HEADER, first, 1, by_pipe)
    rows = []
    for number, line in enumerate(lines, 2):
        _, row, application, _, document_number, name, *_, account = _read(APPLICATIONS_ROW, line, number, by_pipe)
        rows.append(Asked(int(row), int(application), document_number, name, account))
    if (layout, int(count), int(total)) != ("A01", len(rows), sum(row.application for row in rows)):
        raise ValueError("line 1: the header does not agree with the rows")
    return Applications(city, bank, int(batch), date, tuple(rows), by_pipe)


def write_return(
    asked: Applications, number: int, rows: Sequence[Answered], *, count_more: int = 0, total_more: int = 0
) -> bytes:
    """A return in the rendering of the applications; the sums of its header can be made wrong."""
    accepted = sum(row.verdict == ACCEPTED for row in rows)
    total = sum(row.asked.application for row in rows) + total_more
    header = ("H", "R01", asked.city, asked.bank, asked.batch, number, asked.date, len(rows) + count_more, accepted, total)
    lines = [_write(RETURN_HEADER, header, asked.by_pipe)]
    for row in rows:
        who = row.asked
        texts = ("D", who.row, who.application, who.document_number, who.name, row.verdict, row.account, row.cause)
        lines.append(_write(RETURN_ROW, texts, asked.by_pipe))
    return b"".join(lines)


def _read(widths: Widths, line: bytes, number: int, by_pipe: bool) -> list[str]:
    """The texts of a line. What is wrong with it is said without quoting it: it holds somebody's name."""
    try:
        texts = line.decode("gbk").split("|") if by_pipe else [cell.decode("gbk") for cell in _cells(widths, line)]
    except UnicodeDecodeError:
        raise ValueError(f"line {number}: GBK is agreed") from None
    texts = [text.strip(" ") for text in texts]
    if len(texts) != len(widths):
        raise ValueError(f"line {number}: {len(widths)} fields are agreed")
    if not all(text.isdigit() for text, (_, fill) in zip(texts, widths, strict=True) if fill is ZEROS):
        raise ValueError(f"line {number}: digits are agreed where a number belongs")
    return texts


def _cells(widths: Widths, line: bytes) -> list[bytes]:
    """The fields by position; none of them for a line of another length."""
    ends = list(accumulate(width for width, _ in widths))
    starts = [0, *ends[:-1]]
    return [line[start:end] for start, end in zip(starts, ends, strict=True)] if len(line) == ends[-1] else []


def _write(widths: Widths, values: Sequence[str | int], by_pipe: bool) -> bytes:
    texts = [str(value) for value in values]
    if by_pipe:
        return "|".join(texts).encode("gbk") + b"\r\n"
    line = b""
    for text, (width, fill) in zip(texts, widths, strict=True):
        line += text.encode("gbk").rjust(width, b"0") if fill is ZEROS else text.encode("gbk").ljust(width)
    return line + b"\r\n"
