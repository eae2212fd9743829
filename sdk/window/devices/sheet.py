"""A PDF that carries what is to be seen and nothing else, with the few strokes that a card and a receipt are made of."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

from fpdf import FPDF
from fpdf.enums import TextMode

from sdk.window.devices.type import Type

Colour = tuple[int, int, int]

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of each table
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_POINT_MM = 25.4 / 72
_WORD = re.compile(r"[^ ·]*[ ·]|[^ ·]+")
_HALF_WORD = re.compile(r"[^ ·-]*[ ·-]|[^ ·-]+")
"""A hyphen at the end of a line may be the name's own or not: only where nothing else helps. Nowhere else is a word broken."""


class TooLongError(Exception):
    """A text finds no room, however small its type."""


class Set(NamedTuple):
    """How a text was fitted: its lines and the size of its type."""

    lines: tuple[str, ...]
    points: float


class Sheet(FPDF):
    """Pages of one size in mm, each from its upper left corner."""

    def __init__(self, width_mm: float, height_mm: float, type_: Type) -> None:
        orientation: Literal["L", "P"] = "L" if width_mm > height_mm else "P"
        super().__init__(orientation, "mm", (min(width_mm, height_mm), max(width_mm, height_mm)))
        self.set_auto_page_break(auto=False)
        self.set_margin(0)
        self.c_margin = 0
        self.set_creation_date(_LONG_AGO)  # the same card is the same file, whenever it is printed
        for family, file in (("sans", type_.sans), ("serif", type_.serif)):
            self.add_font(family, fname=file.path, collection_font_number=file.face)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for font in self.fonts.values():
            font.ttfont.close()  # type: ignore[union-attr]  # type of our own files alone; the library leaves them open

    def file_id(self) -> None:
        """None: it would be a digest of what is on the card."""

    def write_line(
        self,
        x: float,
        baseline: float,
        text: str,
        points: float,
        colour: Colour,
        *,
        family: str = "sans",
        spacing: float = 0,
        heavy: float = 0,
        right: bool = False,
    ) -> None:
        """One line. `heavy`: the stroke around each letter in points, as the type has one weight; `right`: it ends at x."""
        with self.local_context():
            self.set_font(family, size=points)
            self.set_char_spacing(spacing)
            self.set_text_color(*colour)
            if heavy:
                self.text_mode = TextMode.FILL_STROKE
                self.set_draw_color(*colour)
                self.line_width = heavy
            self.text(x - self.get_string_width(text) if right else x, baseline, text)
        self.set_char_spacing(0)

    def fit(self, text: str, width: float, choices: Sequence[tuple[int, float]], family: str = "sans") -> Set:
        """By the first choice of lines and size in which a text finds room. TooLongError: in none."""
        for part in (_WORD, _HALF_WORD):
            for lines, points in choices:
                self.set_font(family, size=points)
                if (broken := self._broken(part.findall(text), width)) and len(broken) <= lines:
                    return Set(tuple(broken), points)
        raise TooLongError

    def _broken(self, parts: list[str], width: float) -> list[str] | None:
        """In lines; None: a part is wider than a line."""
        lines = [""]
        for part in parts:
            if self.get_string_width((lines[-1] + part).rstrip()) <= width:
                lines[-1] += part
            elif self.get_string_width(part.rstrip()) <= width:
                lines.append(part)
            else:
                return None
        return [line.rstrip() for line in lines if line]

    @contextmanager
    def strokes(self, colour: Colour, width_mm: float) -> Iterator[None]:
        """What is drawn inside is drawn with this pen."""
        with self.local_context():
            self.set_draw_color(*colour)
            self.set_line_width(width_mm)
            yield


def height_of(points: float) -> float:
    """In mm."""
    return points * _POINT_MM
