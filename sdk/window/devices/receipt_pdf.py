"""A visit's receipt as a page of 80 mm, as long as it takes, in black for a thermal head."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from onecard.card.v1 import window_pb2 as messages
from sdk.window.devices.receipt import CENTRED, Line, Look, receipt_lines, wrapped
from sdk.window.devices.sheet import Colour, Sheet, height_of
from sdk.window.devices.type import Type

WIDTH_MM = 80.0
_LEFT, _RIGHT = 5.0, 75.0
_TOP, _BOTTOM = 6.0, 6.0
_INDENT = 4.2
_GAP = 2.0
_BLACK: Colour = (0, 0, 0)
_POINTS = {
    Look.AUTHORITY: 10.5,
    Look.TITLE: 14,
    Look.REPRINT: 10,
    Look.FACT: 8.2,
    Look.PLAIN: 9.2,
    Look.STRONG: 10.5,
    Look.SMALL: 7.8,
    Look.FOOT: 8,
}
_LEADING = 1.6
_RULE_MM = 4.4


class _Piece(NamedTuple):
    """A text in a row; `right`: it ends at x."""

    x: float
    text: str
    right: bool = False


def receipt_pdf(receipt: messages.VisitReceipt, authority: str, type_: Type) -> bytes:
    """One page. A character that the type lacks stands there as its code point."""
    lines = [_printable(line, type_) for line in receipt_lines(receipt, authority)]
    with Sheet(WIDTH_MM, WIDTH_MM, type_) as sheet:
        rows = [(line.look, row) for line in lines for row in _rows(sheet, line)]
        height = _TOP + sum(_pitch(look) for look, _ in rows) + _BOTTOM
        sheet.add_page(format=(WIDTH_MM, max(height, WIDTH_MM)))
        y = _TOP
        for look, row in rows:
            _draw(sheet, look, row, y)
            y += _pitch(look)
        return bytes(sheet.output())


def _pitch(look: Look) -> float:
    return _RULE_MM if look is Look.RULE else height_of(_POINTS[look]) * _LEADING


def _rows(sheet: Sheet, line: Line) -> list[list[_Piece]]:
    """Where each text of a line goes; a rule is one empty row."""
    if line.look is Look.RULE:
        return [[]]
    sheet.set_font(_family(line.look), size=_POINTS[line.look])
    if line.look in CENTRED:
        parts = wrapped(line.left, _RIGHT - _LEFT, sheet.get_string_width)
        return [[_Piece((WIDTH_MM - sheet.get_string_width(part)) / 2, part)] for part in parts]
    x = _LEFT + (_INDENT if line.look is Look.SMALL else 0)
    rows = [[_Piece(x, part)] for part in wrapped(line.left, _RIGHT - x, sheet.get_string_width)]
    if line.right:
        *before, last = wrapped(line.right, _RIGHT - _LEFT, sheet.get_string_width)
        taken = x + sheet.get_string_width(rows[-1][0].text) + _GAP
        if before or taken + sheet.get_string_width(last) > _RIGHT:
            rows += [[_Piece(_RIGHT, part, right=True)] for part in (*before, last)]
        else:
            rows[-1].append(_Piece(_RIGHT, last, right=True))
    return rows


def _draw(sheet: Sheet, look: Look, row: list[_Piece], y: float) -> None:
    if look is Look.RULE:
        with sheet.strokes(_BLACK, 0.18):
            sheet.set_dash_pattern(dash=0.9, gap=0.9)
            sheet.line(_LEFT, y + _RULE_MM / 2, _RIGHT, y + _RULE_MM / 2)
        return
    points = _POINTS[look]
    baseline = y + height_of(points) * 1.15
    for x, text, right in row:
        heavy = 0.3 if look in (Look.TITLE, Look.STRONG, Look.REPRINT) else 0
        sheet.write_line(x, baseline, text, points, _BLACK, family=_family(look), heavy=heavy, right=right)
        if look is Look.REPRINT:
            width, height = WIDTH_MM - 2 * (x - 2), height_of(points) * 1.4
            with sheet.strokes(_BLACK, 0.25):
                sheet.rect(x - 2, baseline - height * 0.78, width, height, round_corners=True, corner_radius=0.8)


def _family(look: Look) -> str:
    return "serif" if look in (Look.AUTHORITY, Look.TITLE) else "sans"


def _printable(line: Line, type_: Type) -> Line:
    return replace(line, left=_without_gaps(line.left, type_), right=_without_gaps(line.right, type_))


def _without_gaps(text: str, type_: Type) -> str:
    for character in type_.lacks(text):
        text = text.replace(character, f"（U+{ord(character):04X}）")
    return text
