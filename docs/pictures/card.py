"""Draws `card-front.png` and `card-back.png` beside itself, with what prints the cards: `python docs/pictures/card.py`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw

from sdk.window.devices.card_pdf import card_pdf
from sdk.window.devices.ornament import CORNER_MM
from sdk.window.devices.printer import CardFace
from sdk.window.devices.type import find_type
from simulation.residents import photo

DOTS_PER_MM = 300 / 25.4
FACE = CardFace(
    name="王秀兰",
    social_security_number="440703196504120026",
    card_number="A1234567X",
    issue_date=date(2026, 1, 5),
    expiry_date=date(2036, 1, 4),
    photo=photo(),
    authority="五邑市人力资源和社会保障局",
)
"""Somebody made up, of a made-up city; the face comes with scikit-image."""


def cut(page: Image.Image) -> Image.Image:
    """Along the cut marks."""
    shape = Image.new("L", page.size)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, page.width - 1, page.height - 1), CORNER_MM * DOTS_PER_MM, fill=255)
    page.putalpha(shape)
    return page


for side, page in zip(("front", "back"), pypdfium2.PdfDocument(card_pdf(FACE, find_type())), strict=True):
    picture = cut(page.render(scale=300 / 72).to_pil().convert("RGB"))
    picture.save(Path(__file__).with_name(f"card-{side}.png"), optimize=True)
