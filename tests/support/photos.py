"""Photos of applicants: one that is as demanded, and others that are not."""

import io
from functools import cache
from typing import Any

from PIL import Image
from skimage import data

SIZE = (358, 441)
FACE = (134, 10, 310, 227)
"""Where the face of the picture that comes with scikit-image fills a photo as a city wants it."""
OFF_CENTRE = (180, 10, 356, 227)
FAR_AWAY = (70, 0, 380, 382)


def jpeg(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **{"quality": 88, "dpi": (350, 350), **options})
    return file.getvalue()


def portrait(box: tuple[int, int, int, int] = FACE, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(data.astronaut()).crop(box).resize(size, Image.Resampling.LANCZOS)


@cache
def good_photo() -> bytes:
    return jpeg(portrait())
