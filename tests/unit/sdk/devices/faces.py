"""Cards to print."""

import io
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

from PIL import Image

from sdk.window.devices.printer import CardFace

PLACE = b"TAKEN-AT-HOME"


@cache
def photo() -> bytes:
    """As large as a city wants it, with what a camera adds."""
    gradient = Image.linear_gradient("L").resize((358, 441))
    picture = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM), gradient))
    exif = Image.Exif()
    exif[0x010E] = PLACE.decode()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, dpi=(350, 350), exif=exif, comment=PLACE)
    return file.getvalue()


def face(**differently: Any) -> CardFace:
    ordinary = CardFace(
        name="王秀兰",
        social_security_number="440703196504120026",
        card_number="A1234567X",
        issue_date=date(2026, 1, 5),
        expiry_date=date(2036, 1, 4),
        photo=photo(),
        authority="五邑市人力资源和社会保障局",
    )
    return replace(ordinary, **differently)
