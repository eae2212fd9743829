"""A photo without what is not to be seen: no place, device, comment or thumbnail goes along. Its dots stay as they are."""

from __future__ import annotations

from collections.abc import Iterator

_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_KEPT = {0xE0, 0xEE}
"""JFIF, and how the colours are to be read."""


def only_the_picture(photo: bytes) -> bytes:
    """The same picture, dot by dot. ValueError: it is no JPEG."""
    if photo[:2] != bytes((0xFF, _START)):
        raise ValueError("not a JPEG")
    return b"\xff\xd8" + b"".join(_parts(photo)) + b"\xff\xd9"


def _parts(photo: bytes) -> Iterator[bytes]:
    """Segment by segment, up to the end of the picture; what was hung on behind it stays away."""
    at = 2
    while True:
        if at + 2 > len(photo) or photo[at] != 0xFF:
            raise ValueError("the JPEG is cut short")
        marker = photo[at + 1]
        if marker == _END:
            return
        end = at + 2 + int.from_bytes(photo[at + 2 : at + 4])
        if end < at + 4 or end > len(photo):
            raise ValueError("the JPEG is cut short")
        if marker == _SCAN:
            end = _end_of_scan(photo, end)
        if not _dropped(marker):
            yield photo[at:end]
        at = end


def _dropped(marker: int) -> bool:
    return marker == _COMMENT or (0xE0 <= marker <= 0xEF and marker not in _KEPT)


def _end_of_scan(photo: bytes, at: int) -> int:
    """Where the next marker stands; a zero or a restart behind 0xFF belongs to the scan."""
    while (at := photo.find(b"\xff", at)) >= 0:
        if at + 1 < len(photo) and photo[at + 1] != 0 and not 0xD0 <= photo[at + 1] <= 0xD7:
            return at
        at += 1
    raise ValueError("the JPEG is cut short")
