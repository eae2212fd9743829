"""The face with the photo."""

from __future__ import annotations

from datetime import date
from io import BytesIO

from sdk.window.devices import ornament
from sdk.window.devices.jpeg import only_the_picture
from sdk.window.devices.ornament import DEEP, HAIR, INK, OCHRE, QUIET
from sdk.window.devices.printer import CardFace
from sdk.window.devices.sheet import Sheet, height_of

TITLE = "中华人民共和国社会保障卡"
_LEFT = 6.0
_PHOTO = (56.6, 15.2, 23.0, 28.33)
"""x, y, width, height: 358 dots on 23 mm are 395 to the inch."""
_CHIP = (9.6, 18.6, 13.0, 11.4)
"""Where ISO/IEC 7816-2 puts the contacts; nothing is printed there."""
_BESIDE_CHIP = 26.2
_ROOM = _PHOTO[0] - 2.6
_NAME = [
    *((1, points) for points in (12, 11.5, 11, 10.5, 10, 9.5, 9)),
    *((2, points) for points in (10, 9.5, 9, 8.5, 8)),
    *((3, points) for points in (7.8, 7.4, 7, 6.6, 6.2)),
    *((4, points) for points in (5.8, 5.4, 5)),
]
"""Rather two lines than one of small type; four of the smallest fill the room."""


def draw_front(sheet: Sheet, face: CardFace) -> None:
    """From the title down, so that it reads aloud in order. ValueError: the photo is no JPEG; TooLongError."""
    sheet.add_page()
    ornament.ground(sheet)
    _head(sheet, face)
    _chip(sheet)
    _photo(sheet, face)
    _name(sheet, face.name)
    _number(sheet, face.social_security_number)
    for x, label, value in (
        (_LEFT, "卡号", face.card_number),
        (23.4, "发卡日期", _day(face.issue_date)),
        (40.2, "有效期限", _day(face.expiry_date)),
    ):
        _field(sheet, x, 42.3, label, value)
    _authority(sheet, face.authority)
    ornament.cut_marks(sheet)


def _head(sheet: Sheet, face: CardFace) -> None:
    ornament.mark(sheet, _LEFT, 3.9, 8.2)
    sheet.write_line(16.6, 8.5, TITLE, 12, DEEP, family="serif", spacing=0.55, heavy=0.28)
    sheet.write_line(16.7, 11.5, "SOCIAL SECURITY CARD", 4.4, QUIET, spacing=1.5)
    if face.temporary_card:
        with sheet.local_context():
            sheet.set_fill_color(*OCHRE)
            sheet.rect(70.0, 9.0, 9.6, 4.0, style="F", round_corners=True, corner_radius=0.9)
        sheet.write_line(71.2, 11.85, "临时卡", 6.6, ornament.WHITE, spacing=0.3, heavy=0.12)


def _chip(sheet: Sheet) -> None:
    with sheet.strokes(HAIR, 0.1):
        sheet.set_fill_color(*ornament.WHITE)
        sheet.rect(*_CHIP, style="DF", round_corners=True, corner_radius=1.7)


def _photo(sheet: Sheet, face: CardFace) -> None:
    x, y, width, height = _PHOTO
    sheet.image(BytesIO(only_the_picture(face.photo)), x, y, width, height, keep_aspect_ratio=True)
    with sheet.strokes(HAIR, 0.15):
        sheet.rect(x, y, width, height, style="D")


def _name(sheet: Sheet, name: str) -> None:
    sheet.write_line(_BESIDE_CHIP, 20.6, "姓名", 5.4, QUIET)
    lines, points = sheet.fit(name, _ROOM - _BESIDE_CHIP, _NAME)
    pitch = height_of(points) * 1.25
    baseline = 21.6 + height_of(points) * 0.98
    for line in lines:
        sheet.write_line(_BESIDE_CHIP, baseline, line, points, INK, heavy=points * 0.016)
        baseline += pitch


def _number(sheet: Sheet, number: str) -> None:
    sheet.write_line(_LEFT, 34.0, "社会保障号码", 5.4, QUIET)
    (line,), points = sheet.fit(number, 44, [(1, 11), (1, 9), (1, 7.5)])
    sheet.write_line(_LEFT, 38.3, line, points, INK, spacing=0.7, heavy=0.2)


def _field(sheet: Sheet, x: float, y: float, label: str, value: str) -> None:
    sheet.write_line(x, y, label, 5.4, QUIET)
    (line,), points = sheet.fit(value, 14.5, [(1, 7.6), (1, 6.6), (1, 5.6)])
    sheet.write_line(x, y + 3.4, line, points, INK, spacing=0.2)


def _authority(sheet: Sheet, authority: str) -> None:
    with sheet.strokes(HAIR, 0.1):
        sheet.line(_LEFT, 48.0, _PHOTO[0] + _PHOTO[2], 48.0)
    sheet.write_line(_LEFT, 50.75, "发卡机构", 5.4, QUIET)
    (line,), points = sheet.fit(authority, 56, [(1, 6.2), (1, 5.8), (1, 5.4), (1, 5), (1, 4.6), (1, 4.2)])
    sheet.write_line(15.2, 50.75, line, points, INK, spacing=0.1)
    ornament.contactless(sheet, 76.6, 49.2, 2.2)


def _day(day: date) -> str:
    return f"{day:%Y.%m.%d}"
