"""Put one of the virtual cards into the virtual reader."""

from __future__ import annotations

from collections.abc import Callable

from cli.terminal.dialog import Choice
from cli.terminal.page import Page
from cli.terminal.tray import Tray

_SHOWN = 8


def insert_virtual(page: Page, tray: Tray | None, then: Callable[[str], None]) -> None:
    """Which one is chosen from those that lie here."""
    if tray is None:
        return
    texts = page.texts
    serials = list(tray.blanks())[:_SHOWN]
    if not serials:
        page.say(texts("tray.empty"), "warn")
        return

    def chosen(serial: str | None) -> None:
        if serial and serial != "none":
            tray.insert(serial)
            then(serial)

    printed = {serial: texts("tray.printed") if tray.looks_printed(serial) else texts("tray.white") for serial in serials}
    options = {serial: f"{serial}  {printed[serial]}" for serial in serials}
    page.app.push_screen(Choice(texts("tray.which"), {**options, "none": texts("key.back")}), chosen)
