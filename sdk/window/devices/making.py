"""A card's PDF, for printers: the library that draws it is loaded when the first card is."""

from __future__ import annotations

from sdk.window.devices.printer import CannotPrintError, CardFace
from sdk.window.devices.type import find_type


def made(face: CardFace) -> bytes:
    """Both faces. CannotPrintError: never a box, a question mark, or half a name."""
    from sdk.window.devices.card_pdf import card_pdf  # noqa: PLC0415

    return card_pdf(face, find_type())


def why_not(face: CardFace) -> str:
    """What a clerk can say where it cannot be made; empty: it can."""
    try:
        made(face)
    except CannotPrintError as error:
        return str(error)
    return ""
