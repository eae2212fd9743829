"""An applicant's photo: what is demanded, what was measured, and in which points they differ."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final


class PhotoPoint(IntEnum):
    """What is looked at. The numbers are stored and travel: never changed, never used again."""

    READABLE = 1
    FORMAT = 2
    BYTES = 3
    WIDTH = 4
    HEIGHT = 5
    RESOLUTION = 6
    ONE_FACE = 7
    FACE_WIDTH = 8
    FACE_POSITION = 9
    COLOUR = 10
    ORIENTATION = 11
    EXTRA_BYTES = 12


OVERRIDABLE: Final = frozenset({PhotoPoint.RESOLUTION, PhotoPoint.FACE_WIDTH, PhotoPoint.FACE_POSITION})
"""A clerk may let these pass with a reason: many cameras write no resolution, and a detector is no judge of a face."""

NAMES: Final = {
    PhotoPoint.READABLE: "照片文件",
    PhotoPoint.FORMAT: "照片格式",
    PhotoPoint.BYTES: "照片大小",
    PhotoPoint.WIDTH: "照片宽度",
    PhotoPoint.HEIGHT: "照片高度",
    PhotoPoint.RESOLUTION: "照片分辨率",
    PhotoPoint.ONE_FACE: "照片中的人脸",
    PhotoPoint.FACE_WIDTH: "人脸宽度",
    PhotoPoint.FACE_POSITION: "人脸位置",
    PhotoPoint.COLOUR: "照片颜色",
    PhotoPoint.ORIENTATION: "照片方向",
    PhotoPoint.EXTRA_BYTES: "照片文件末尾",
}


@dataclass(frozen=True, slots=True)
class PhotoRules:
    """What the city demands."""

    width_px: int
    height_px: int
    dpi: int
    least_bytes: int
    most_bytes: int
    least_face_px: int
    most_face_px: int


@dataclass(frozen=True, slots=True)
class Box:
    """Where a face is, in pixels from the upper left."""

    left: int
    top: int
    width: int
    height: int

    @property
    def centre(self) -> tuple[float, float]:
        """Across and down."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What was measured of a whole JPEG."""

    size: int
    """Bytes."""
    width_px: int
    height_px: int
    dpi: tuple[float, float]
    """Across and down; zeros: the file does not say."""
    colour: str
    """RGB, L (grey), CMYK."""
    faces: tuple[Box, ...] | None = field(repr=False)
    """None: the picture is too large to be searched."""
    orientation: int = 1
    """As EXIF counts it; 1: upright. A printer does not turn what is marked to be turned."""
    extra_bytes: int = 0
    """What follows the picture's end: another picture, a film, anything."""


@dataclass(frozen=True, slots=True)
class PhotoFault:
    """A point that is not as demanded, with both figures."""

    point: PhotoPoint
    measured: str
    demanded: str

    @property
    def overridable(self) -> bool:
        """Whether a clerk may let it pass, with a reason."""
        return self.point in OVERRIDABLE

    @property
    def sentence(self) -> str:
        """What a clerk can say."""
        return f"{NAMES[self.point]}不符合要求：现为{self.measured}，应为{self.demanded}。"


_DPI_TOLERANCE: Final = 1.27
"""Half a dot a centimetre: a file that counts by the centimetre says 138 for 350 dpi, as it has whole numbers only."""
_COLOURS: Final = {"L": "灰度", "CMYK": "印刷四色 CMYK"}
_OFF_CENTRE: Final = 0.12
"""Of the width: how far the middle of a face may lie from the middle of the picture. Our own, as no city published one."""
_HIGHEST, _LOWEST = 0.30, 0.62
"""Of the height, from above: where the middle of a face may be. Our own, too."""
_THERE: Final = f"横 {0.5 - _OFF_CENTRE:.0%} 至 {0.5 + _OFF_CENTRE:.0%}、纵 {_HIGHEST:.0%} 至 {_LOWEST:.0%}"


def judge_photo(rules: PhotoRules, facts: PhotoFacts) -> tuple[PhotoFault, ...]:
    """Every point in which a picture is not as demanded."""
    faults: list[PhotoFault] = []

    def demand(met: bool, point: PhotoPoint, measured: str, demanded: str) -> None:
        if not met:
            faults.append(PhotoFault(point, measured, demanded))

    least, most = rules.least_bytes, rules.most_bytes
    demand(least <= facts.size <= most, PhotoPoint.BYTES, f"{facts.size} 字节", f"{least} 至 {most} 字节")
    demand(facts.width_px == rules.width_px, PhotoPoint.WIDTH, f"{facts.width_px} 像素", f"{rules.width_px} 像素")
    demand(facts.height_px == rules.height_px, PhotoPoint.HEIGHT, f"{facts.height_px} 像素", f"{rules.height_px} 像素")
    dense = all(abs(dpi - rules.dpi) <= _DPI_TOLERANCE for dpi in facts.dpi)
    demand(dense, PhotoPoint.RESOLUTION, _in_words(facts.dpi), f"{rules.dpi} dpi")
    demand(facts.colour == "RGB", PhotoPoint.COLOUR, _COLOURS.get(facts.colour, facts.colour), "彩色 RGB")
    demand(facts.orientation == 1, PhotoPoint.ORIENTATION, f"带旋转标记 {facts.orientation}", "正向且不带旋转标记")
    demand(not facts.extra_bytes, PhotoPoint.EXTRA_BYTES, f"多出 {facts.extra_bytes} 字节", "无多余数据")
    if facts.faces is not None:
        demand(len(facts.faces) == 1, PhotoPoint.ONE_FACE, f"{len(facts.faces)} 张", "1 张")
    if facts.faces and len(facts.faces) == 1:
        (face,) = facts.faces
        least, most = rules.least_face_px, rules.most_face_px
        demand(least <= face.width <= most, PhotoPoint.FACE_WIDTH, f"{face.width} 像素", f"{least} 至 {most} 像素")
        across, down = face.centre[0] / facts.width_px, face.centre[1] / facts.height_px
        there = abs(across - 0.5) <= _OFF_CENTRE and _HIGHEST <= down <= _LOWEST
        demand(there, PhotoPoint.FACE_POSITION, f"横 {across:.0%}、纵 {down:.0%}", _THERE)
    return tuple(faults)


def _in_words(dpi: tuple[float, float]) -> str:
    across, down = (f"{one:g}" for one in dpi)
    if not any(dpi):
        return "未注明"
    return f"{across} dpi" if across == down else f"横 {across} dpi、纵 {down} dpi"


def not_overridden(faults: tuple[PhotoFault, ...], overrides: frozenset[PhotoPoint]) -> tuple[PhotoFault, ...]:
    """What remains of the faults when a clerk lets some points pass."""
    return tuple(fault for fault in faults if not (fault.overridable and fault.point in overrides))
