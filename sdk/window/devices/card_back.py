"""The face with the rules of use."""

from __future__ import annotations

from sdk.window.devices import ornament
from sdk.window.devices.ornament import DEEP, INK, QUIET
from sdk.window.devices.printer import CardFace
from sdk.window.devices.sheet import Sheet

SERVICE_TELEPHONE = "12333"
RULES = (
    ("本卡用于办理人力资源和社会保障及其他公共服务事项，", "仅限本人使用，不得出租、出借或转让。"),
    ("请妥善保管本卡及密码；遗失后请立即拨打服务电话，", "或到服务窗口挂失。"),
    ("个人信息变更、卡片损坏或有效期将满，请到服务窗口办理。",),
    ("拾得本卡，请交还发卡机构或就近的服务窗口。",),
)
_LEFT, _RIGHT = 6.0, 79.6
_STRIPE = (4.6, 12.2)
"""y, height: over the tracks of ISO/IEC 7811."""


def draw_back(sheet: Sheet, face: CardFace) -> None:
    """The stripe, the rules, whom to call."""
    sheet.add_page()
    ornament.ground(sheet)
    _stripe(sheet)
    sheet.write_line(_LEFT, 22.1, "使用须知", 7, DEEP, family="serif", spacing=0.5, heavy=0.18)
    y = 26.3
    for number, lines in enumerate(RULES, 1):
        sheet.write_line(_LEFT, y, f"{number}.", 5.3, QUIET)
        for line in lines:
            sheet.write_line(_LEFT + 2.6, y, line, 5.6, INK, spacing=0.1)
            y += 2.78
        y += 0.8
    _service(sheet)
    _foot(sheet, face)
    ornament.cut_marks(sheet)


def _stripe(sheet: Sheet) -> None:
    y, height = _STRIPE
    with sheet.local_context():
        sheet.set_fill_color(38, 44, 48)
        sheet.rect(0, y, ornament.WIDTH_MM, height, style="F")


def _service(sheet: Sheet) -> None:
    sheet.write_line(_RIGHT, 22.1, "服务电话", 5.4, QUIET, right=True)
    sheet.write_line(_RIGHT, 28.2, SERVICE_TELEPHONE, 15, DEEP, spacing=0.6, heavy=0.3, right=True)


def _foot(sheet: Sheet, face: CardFace) -> None:
    with sheet.strokes(ornament.HAIR, 0.1):
        sheet.line(_LEFT, 48.0, _RIGHT, 48.0)
    ornament.mark(sheet, _LEFT, 48.9, 2.9)
    (line,), points = sheet.fit(face.authority, 50, [(1, 5.4), (1, 5), (1, 4.6), (1, 4.2), (1, 3.8)])
    sheet.write_line(_LEFT + 4.2, 50.9, line, points, QUIET, spacing=0.1)
    ornament.contactless(sheet, 76.6, 49.2, 2.2)
