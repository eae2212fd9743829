"""What a JPEG file says of its picture, read before a pixel is decoded (ITU-T T.81, JFIF 1.02, EXIF 2.3)."""

import re
import struct
from dataclasses import dataclass, field
from typing import Final

_FRAMES: Final = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive, each with Huffman codes: what printers and browsers read."""
_OTHER_FRAMES: Final = set(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _JFIF, _EXIF = 0xDA, 0xD9, 0xE0, 0xE1
_ADDED: Final = {*range(0xE1, 0xEE), 0xEF, 0xFE}
"""What cameras and programs add: EXIF, previews, comments. All but what tells how colours are coded."""
_AFTER_SCAN: Final = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""The first marker after coded pixels: among them stand stuffed zeros and restart markers."""
_ORIENTATION, _ACROSS, _DOWN, _UNIT = 0x0112, 0x011A, 0x011B, 0x0128
_CM_PER_INCH: Final = 2.54


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A file that is whole, as far as one can tell without decoding it."""

    picture: bytes = field(repr=False)
    """The file without what was added: a decoder has nothing to stumble over or to warn of."""
    width: int
    height: int
    components: int
    dpi: tuple[float, float]
    """Across and down; zeros: the file does not say."""
    orientation: int
    """As EXIF counts it; 1: upright."""
    extra_bytes: int
    """What follows the end."""


def read_jpeg(data: bytes) -> Jpeg | None:
    """Walk its segments; None for what is cut off, damaged, or not coded in a usual way."""
    kept, frame, jfif, exif, at = [data[:2]], b"", b"", b"", 2
    while (marker := _marker(data, at)) != _END:
        length = int.from_bytes(data[at + 2 : at + 4])
        end = at + 2 + length
        if marker is None or length < 2 or end > len(data):
            return None
        content = data[at + 4 : end]
        if marker in _OTHER_FRAMES or (marker in _FRAMES and frame):
            return None
        if marker in _FRAMES:
            frame = content
        elif marker == _SCAN:
            after = _AFTER_SCAN.search(data, end)
            if after is None:
                return None
            end = after.end() - 2
        elif marker == _JFIF and content.startswith(b"JFIF\0"):
            jfif = jfif or content
        elif marker == _EXIF and content.startswith(b"Exif\0\0"):
            exif = exif or content[6:]
        if marker not in _ADDED:
            kept.append(data[at:end])
        at = end
    if len(frame) < 6:
        return None
    _, height, width, components = struct.unpack_from(">BHHB", frame)
    if not (width and height):
        return None
    orientation, dpi = _from_exif(exif)
    picture = b"".join((*kept, data[at : at + 2]))
    return Jpeg(picture, width, height, components, _from_jfif(jfif) or dpi, orientation, len(data) - at - 2)


def _marker(data: bytes, at: int) -> int | None:
    """None where none stands."""
    return data[at + 1] if data[at : at + 1] == b"\xff" and at + 1 < len(data) else None


def _from_jfif(content: bytes) -> tuple[float, float] | None:
    if len(content) < 12:
        return None
    unit, across, down = struct.unpack_from(">BHH", content, 7)
    return _dpi(across, down, {1: 1.0, 2: _CM_PER_INCH}.get(unit))


def _from_exif(tiff: bytes) -> tuple[int, tuple[float, float]]:
    """The orientation, and the resolution; of what is damaged, what stands before the damage."""
    order = "<" if tiff.startswith(b"II") else ">"
    found: dict[int, int] = {}
    ratios: dict[int, float] = {}
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            (tag,) = struct.unpack_from(order + "H", tiff, entry)
            if tag in {_ORIENTATION, _UNIT}:
                (found[tag],) = struct.unpack_from(order + "H", tiff, entry + 8)
            elif tag in {_ACROSS, _DOWN}:
                (where,) = struct.unpack_from(order + "I", tiff, entry + 8)
                above, below = struct.unpack_from(order + "II", tiff, where)
                ratios[tag] = above / below if below else 0.0
    except struct.error:
        pass
    unit = {2: 1.0, 3: _CM_PER_INCH}.get(found.get(_UNIT, 2))
    dpi = _dpi(ratios.get(_ACROSS, 0.0), ratios.get(_DOWN, 0.0), unit)
    return found.get(_ORIENTATION, 1), dpi or (0.0, 0.0)


def _dpi(across: float, down: float, unit: float | None) -> tuple[float, float] | None:
    return (across * unit, down * unit) if unit and across and down else None
