"""Both faces of a card as a PDF of two pages, or why it cannot be printed."""

from __future__ import annotations

from sdk.window.devices.card_back import draw_back
from sdk.window.devices.card_front import draw_front
from sdk.window.devices.ornament import HEIGHT_MM, WIDTH_MM
from sdk.window.devices.printer import CannotPrintError, CardFace
from sdk.window.devices.sheet import Sheet, TooLongError
from sdk.window.devices.type import Type, named


def card_pdf(face: CardFace, type_: Type) -> bytes:
    """The same bytes for the same card. CannotPrintError: never a box, a question mark, or half a name."""
    written = face.name + face.social_security_number + face.card_number + face.authority
    if lacking := type_.lacks(written):
        raise CannotPrintError(f"{named(lacking)}不在打印机字库中，无法打印，请转后台处理。")
    with Sheet(WIDTH_MM, HEIGHT_MM, type_) as sheet:
        try:
            draw_front(sheet, face)
            draw_back(sheet, face)
        except TooLongError:
            raise CannotPrintError("姓名或发卡机构过长，卡面无法完整打印，请转后台处理。") from None
        except (ValueError, OSError):
            raise CannotPrintError("照片不是完整的JPEG图像，无法打印，请重新采集照片。") from None
        return bytes(sheet.output())
