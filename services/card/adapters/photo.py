"""Measures an applicant's photo: it is decoded, whatever its name says, and searched for faces."""

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from PIL import Image
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from services.card.domain.photo import Box, PhotoFacts, PhotoFault, PhotoPoint, PhotoRules, judge_photo
from services.common.errors import Code, DomainError

_MOST_PIXELS: Final = 4_000_000
"""A small file can hold a picture that fills the memory: nothing larger is decoded."""
_DETECTED: Final = 600
"""Pixels across: a larger picture is searched in a smaller copy."""
_SMALLEST_FACE: Final = 0.2
"""Of the picture's shorter side. Nothing smaller can be the applicant's face."""
_THREADS: Final = 2
_MOST_WAITING: Final = 32


def measure_photo(data: bytes, most_bytes: int) -> PhotoFacts | PhotoFault:
    """What can be measured of a JPEG, or why nothing can; whatever the bytes are, it raises nothing."""
    if len(data) > most_bytes:
        return PhotoFault(PhotoPoint.BYTES, f"{len(data)} 字节", f"不超过 {most_bytes} 字节")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that are odd and can be read
        try:
            with Image.open(io.BytesIO(data)) as picture:
                return _measure(picture, len(data))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return PhotoFault(PhotoPoint.READABLE, "无法解码", "完整的 JPEG 文件")


def _measure(picture: Image.Image, size: int) -> PhotoFacts | PhotoFault:
    if picture.format != "JPEG":
        return PhotoFault(PhotoPoint.FORMAT, picture.format or "未知", "JPEG")
    width, height = picture.size
    if width * height > _MOST_PIXELS:
        return PhotoFault(PhotoPoint.WIDTH, f"{width}×{height} 像素", f"不超过 {_MOST_PIXELS} 像素")
    picture.load()
    across, _ = picture.info.get("dpi", (0, 0))
    return PhotoFacts(size, width, height, round(across), picture.mode, _faces(picture))


def _faces(picture: Image.Image) -> tuple[Box, ...]:
    searched = picture.convert("RGB")
    searched.thumbnail((_DETECTED, _DETECTED))
    scale = picture.width / searched.width
    shorter = min(searched.size)
    smallest = max(24, int(shorter * _SMALLEST_FACE))
    found = _detector().detect_multi_scale(
        img=np.asarray(searched), scale_factor=1.1, step_ratio=1, min_size=(smallest, smallest), max_size=(shorter, shorter)
    )
    boxes = (Box(*(round(face[key] * scale) for key in ("c", "r", "width", "height"))) for face in found)
    return tuple(sorted(boxes, key=lambda box: -box.width))


_detectors: Final[list[Any]] = []


def _detector() -> Any:
    """Read once; looking for faces changes nothing in it."""
    if not _detectors:
        _detectors.append(Cascade(lbp_frontal_face_cascade_filename()))
    return _detectors[0]


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
        facts = measure_photo(data, self._rules.most_bytes)
        return (facts,) if isinstance(facts, PhotoFault) else judge_photo(self._rules, facts)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)
