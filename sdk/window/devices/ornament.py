"""The drawing on a card: its ground, our own mark, and plain shapes that say what it can do. No emblem of anybody's."""

from __future__ import annotations

from math import pi, sin

from fpdf.pattern import LinearGradient

from sdk.window.devices.sheet import Colour, Sheet

WIDTH_MM, HEIGHT_MM = 85.60, 53.98
"""ID-1 of ISO/IEC 7810."""
CORNER_MM = 3.18

INK: Colour = (17, 38, 46)
DEEP: Colour = (12, 74, 92)
QUIET: Colour = (74, 108, 116)
OCHRE: Colour = (166, 120, 52)
FINE: Colour = (196, 219, 218)
HAIR: Colour = (150, 178, 180)
WHITE: Colour = (255, 255, 255)
_PALE, _PALER = "#DCEBEA", "#F8FAF8"


def ground(sheet: Sheet) -> None:
    """Pale, lighter to the upper left, crossed by fine waves; over the edges."""
    shades = LinearGradient(0, 0, WIDTH_MM, HEIGHT_MM, [_PALER, "#EEF5F3", _PALE], extend_before=True, extend_after=True)
    with sheet.use_pattern(shades):
        sheet.rect(0, 0, WIDTH_MM, HEIGHT_MM, style="F")
    with sheet.strokes(FINE, 0.09):
        for number in range(26):
            sheet.polyline([(x / 2, _wave(x / 2, number)) for x in range(-2, 175)])


def _wave(x: float, number: int) -> float:
    """Waves that draw together to the right and part to the left."""
    along = x / WIDTH_MM
    spread = (number - 12.5) * (1.15 - 0.75 * sin(pi * along * 0.95))
    return 33 + spread + 5.5 * sin(2 * pi * along + 0.4) + 1.2 * sin(5 * pi * along + number / 4)


def cut_marks(sheet: Sheet) -> None:
    """The rounded corners, as hair lines."""
    across = 2 * CORNER_MM
    with sheet.strokes(HAIR, 0.05):
        for x, y, start in (
            (0, 0, 180),
            (WIDTH_MM - across, 0, 270),
            (WIDTH_MM - across, HEIGHT_MM - across, 0),
            (0, HEIGHT_MM - across, 90),
        ):
            sheet.arc(x, y, across, start, start + 90)


def mark(sheet: Sheet, x: float, y: float, size: float, colour: Colour = DEEP) -> None:
    """Two squares that hold each other, around a point: one card, many services."""
    side = size * 0.70
    inset = (size - side) / 2
    for turned, pen in ((0, colour), (45, colour)):
        with sheet.strokes(pen, size * 0.062), sheet.rotation(turned, x + size / 2, y + size / 2):
            sheet.rect(x + inset, y + inset, side, side, style="D", round_corners=True, corner_radius=side * 0.2)
    with sheet.local_context():
        sheet.set_fill_color(*OCHRE)
        sheet.circle(x + size / 2, y + size / 2, size * 0.11, style="F")


def contactless(sheet: Sheet, x: float, y: float, size: float) -> None:
    """Three arcs that widen to the right: the card is read without touch."""
    with sheet.strokes(QUIET, size * 0.075):
        for number in range(1, 4):
            radius = size * (0.16 + 0.24 * number)
            sheet.arc(x - radius, y + size / 2 - radius, 2 * radius, -38, 38)
