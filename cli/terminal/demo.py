"""A virtual reader with virtual cards from the city's drawer, a virtual printer, and documents of people who are made up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import quote

from cli import paths
from cli.place import Place
from cli.terminal.session import Devices
from sdk.window.devices.pdf_printer import PdfPrinter
from sdk.window.devices.printer import CardFace, Printed, PrinterState
from simulation.chips.drawer import Drawer, Hand, Plastic
from simulation.chips.reader import Slot
from simulation.identity import SimulatedIdentityReader
from simulation.residents import photo
from simulation.tills import Tills

PLASTIC = paths.CITY / "plastic"
"""Where a city keeps its virtual cards, and what lies in its tills."""
PHONE = "13800001111"
"""Of everybody who is made up."""


class DrawerTray:
    """The cards of one place, and the slot of its reader. What the chip became is laid down when it is pulled out."""

    def __init__(self, drawer: Drawer, place: str, slot: Slot) -> None:
        self._drawer = drawer
        self._place = place
        self._slot = slot
        self._inserted: Plastic | None = None

    def blanks(self) -> Sequence[str]:
        """Printed ones first: somebody waits for them. Then from the end: the city's own clerks take from the front."""
        self.lay_down()
        here = [one for one in self._drawer.all() if one.place == self._place and one.hand is Hand.OFFICE]
        return [one.serial for one in sorted(here, key=lambda one: (one.printed, one.serial), reverse=True)]

    def insert(self, serial: str) -> None:
        """Instead of the one that is in it."""
        self.pull()
        self._inserted = self._drawer.take(serial)
        self._slot.insert(self._inserted.chip)

    def pull(self) -> None:
        """And lay it down as it is now."""
        self.lay_down()
        self._slot.pull()
        self._inserted = None

    def lay_down(self) -> None:
        """As it is now, in the reader still."""
        if self._inserted is not None:
            self._drawer.put(self._inserted)

    def looks_printed(self, serial: str) -> bool:
        """What a person sees."""
        inserted = self._inserted
        plastic = inserted if inserted and inserted.serial == serial else self._drawer.take(serial)
        return plastic.printed > 0

    def spoil(self, serial: str) -> None:
        """Into the box of those that are good for nothing."""
        self._give(serial, Hand.SPOILED)

    def hand_over(self, serial: str) -> None:
        """It is the holder's now."""
        self._give(serial, Hand.HOLDER)

    def _give(self, serial: str, hand: Hand) -> None:
        plastic = self._inserted if self._inserted and self._inserted.serial == serial else self._drawer.take(serial)
        plastic.hand = hand
        self._drawer.put(plastic)
        self.pull()

    def printing(self) -> None:
        """The printer begins with the card that lies in it: from now on it is not white."""
        if self._inserted is not None:
            self._inserted.printed += 1
            self._drawer.put(self._inserted)


class TrayPrinter:
    """Prints onto the virtual card that lies in the reader."""

    def __init__(self, tray: DrawerTray, printer: PdfPrinter) -> None:
        self._tray = tray
        self._printer = printer

    def ready(self) -> PrinterState:
        """Whether it takes a card now."""
        return self._printer.ready()

    def refuses(self, face: CardFace) -> str:
        """Why it cannot print this face."""
        return self._printer.refuses(face)

    def print(self, face: CardFace) -> Printed:
        """Both faces; the PDF stays nowhere."""
        printed = self._printer.print(face)
        if printed is not Printed.FAILED_BEFORE:
            self._tray.printing()
        return printed


def demo_devices(at: Place) -> Devices:
    """What stands at a window of a city that shows itself."""
    slot = Slot()
    subject = f"onecard://merchant/{quote(at.office, safe='')}/terminal/{quote(at.terminal, safe='')}"
    tray, tills = DrawerTray(Drawer(PLASTIC / "cards"), subject, slot), Tills(PLASTIC / "tills.jsonl")
    identity = SimulatedIdentityReader(seed=f"{at.terminal} {time.time_ns()}")
    picture = PLASTIC / "resident.jpg"
    picture.write_bytes(photo())
    printer = TrayPrinter(tray, PdfPrinter())
    return Devices(slot, printer, identity, tray, str(picture), PHONE, lambda fen: tills.put(subject, fen))
