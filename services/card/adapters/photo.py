"""Measures an applicant's photo: it is decoded, whatever its name says, and searched for faces."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from services.card.adapters.jpeg import Jpeg, read_jpeg
from services.card.domain.photo import Box, PhotoFacts, PhotoFault, PhotoPoint, PhotoRules, judge_photo
from services.common.errors import Code, DomainError

MOST_BYTES: Final = 262_144
"""A longer file is refused unread; of one that is only longer than the city wants, every other point is measured too."""
_MOST_PIXELS: Final = 1_000_000
"""A small file can hold a picture that fills the memory: nothing larger is decoded."""
_SIGNATURES: Final = {
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
}
_COLOURS: Final = {1: "L", 3: "RGB", 4: "CMYK"}
_DETECTED: Final = 600
"""Pixels: a longer side is searched in a smaller copy."""
_SMALLEST_FACE: Final = 0.2
"""Of the picture's shorter side. Nothing smaller can be the applicant's face, and below it hair and cloth look like faces."""
_LEAST_HITS, _LEAST_HITS_OF_OTHERS = 2, 3
"""A face is hit by many windows, a likeness by one or two. A second face refuses a photo, so it must be the clearer one."""
_MOST_HITS: Final = 1000
"""Photos have some dozens; more are only found in what was made to keep us busy."""
_THREADS: Final = 2
_MOST_WAITING: Final = 32


def measure_photo(data: bytes) -> PhotoFacts | PhotoFault:
    """What can be measured of a JPEG, or why nothing can; whatever the bytes are, it neither raises nor warns."""
    if len(data) > MOST_BYTES:
        return PhotoFault(PhotoPoint.BYTES, f"{len(data)} 字节", f"不超过 {MOST_BYTES} 字节")
    if not data.startswith(b"\xff\xd8"):
        kind = next((name for signature, name in _SIGNATURES.items() if data.startswith(signature)), "未知格式")
        return PhotoFault(PhotoPoint.FORMAT, kind, "JPEG")
    jpeg = read_jpeg(data)
    if jpeg is None:
        return PhotoFault(PhotoPoint.READABLE, "不完整或已损坏", "完整的 JPEG 文件")
    try:
        faces = None if jpeg.width * jpeg.height > _MOST_PIXELS else _faces(_decode(jpeg))
    except (OSError, ValueError, SyntaxError):
        return PhotoFault(PhotoPoint.READABLE, "无法解码", "完整的 JPEG 文件")
    colour = _COLOURS.get(jpeg.components, f"{jpeg.components} 通道")
    return PhotoFacts(
        len(data), jpeg.width, jpeg.height, jpeg.dpi, colour, faces, jpeg.orientation, jpeg.extra_bytes
    )  # fmt: skip


def _decode(jpeg: Jpeg) -> Image.Image:
    """Its brightness: all that the detector looks at."""
    with Image.open(io.BytesIO(jpeg.picture), formats=("JPEG",)) as picture:
        picture.draft("L", None)
        return picture.convert("L")


def _faces(picture: Image.Image) -> tuple[Box, ...]:
    """The clearest first."""
    width = picture.width
    picture.thumbnail((_DETECTED, _DETECTED))
    shorter = min(picture.size)
    smallest = max(24, int(shorter * _SMALLEST_FACE))
    if smallest >= shorter:
        return ()
    # We ask for every window that was hit: the detector's own grouping leaves one face in several boxes.
    hits = _detector().detect_multi_scale(
        img=np.asarray(picture),
        scale_factor=1.1,
        step_ratio=1.25,
        min_size=(smallest, smallest),
        max_size=(shorter, shorter),
        min_neighbor_number=1,
        intersection_score_threshold=2.0,
    )
    squares = np.array([(hit["c"], hit["r"], hit["width"]) for hit in hits[:_MOST_HITS]], dtype=float).reshape(-1, 3)
    scale = width / picture.width
    return tuple(Box(*(round(side * scale) for side in (left, top, size, size))) for left, top, size in _merge(squares))


def _merge(squares: "np.ndarray[Any, Any]") -> list[tuple[float, float, float]]:
    """One square (left, top, size) a face: the mean of the windows that agree best; what touches it is the same face."""
    left, top, size = squares.T
    across = np.minimum.outer(left + size, left + size) - np.maximum.outer(left, left)
    down = np.minimum.outer(top + size, top + size) - np.maximum.outer(top, top)
    common = across.clip(0) * down.clip(0)
    agrees = common > 0.4 * (np.add.outer(size**2, size**2) - common)
    touches = agrees | (common > 0.35 * np.minimum.outer(size, size) ** 2)
    left_over = np.ones(len(squares), dtype=bool)
    faces: list[tuple[float, float, float]] = []
    while left_over.any():
        counts = (agrees & left_over).sum(axis=1) * left_over
        best = int(counts.argmax())
        if counts[best] < (_LEAST_HITS_OF_OTHERS if faces else _LEAST_HITS):
            break
        x, y, side = squares[agrees[best] & left_over].mean(axis=0)
        faces.append((float(x), float(y), float(side)))
        left_over &= ~touches[best]
    return faces


@cache
def _detector() -> Any:
    """Read once; looking for faces changes nothing in it and lets other threads run."""
    return Cascade(lbp_frontal_face_cascade_filename())


class PhotoChecker:
    """Checks photos in threads of its own, so that nobody else waits; too many at once are refused."""

    def __init__(self, rules: PhotoRules) -> None:
        self._rules = rules
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="photo")
        self._waiting = 0

    async def check(self, data: bytes) -> tuple[PhotoFault, ...]:
        """Every point that is not as demanded. Raises DomainError when too many wait already."""
        if self._waiting >= _MOST_WAITING:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_PHOTOS", "照片检查繁忙，请稍后再试")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.check_now, data)
        finally:
            self._waiting -= 1

    def check_now(self, data: bytes) -> tuple[PhotoFault, ...]:
        """The same, in the caller's own thread."""
        facts = measure_photo(data)
        return (facts,) if isinstance(facts, PhotoFault) else judge_photo(self._rules, facts)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)
