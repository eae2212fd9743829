"""Where cards lie when nobody holds them: a file each. What a cut of the power leaves of them is what was written last."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from simulation.chips.card import Chip
from simulation.chips.kind import Kind, read_kinds

_SERIAL = re.compile(r"[0-9A-Z-]{1,32}")


class Hand(Enum):
    """Who has a card."""

    OFFICE = "office"
    """Blank, begun or printed: it lies at its place."""
    HOLDER = "holder"
    SPOILED = "spoiled"
    """In the box of those that are good for nothing."""


@dataclass(slots=True)
class Plastic:
    """A card as a person sees it."""

    serial: str
    """Printed on it by the factory."""
    chip: Chip
    place: str
    """Where it lies, or was handed over: the subject of a terminal's certificate, or DEPOT."""
    printed: int = 0
    """How often a printer has begun with it."""
    hand: Hand = Hand.OFFICE


class Drawer:
    """A folder of cards, by their serials."""

    def __init__(self, folder: Path, kinds: dict[str, Kind] | None = None) -> None:
        self.folder = folder
        self._kinds = kinds or read_kinds()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, plastic: Plastic) -> None:
        """Lay a card down; whole, or as it lay there before."""
        seen = {"place": plastic.place, "printed": plastic.printed, "hand": plastic.hand.value, "chip": plastic.chip.state()}
        file_of_card = self._file(plastic.serial)
        partial = file_of_card.with_suffix(".partial")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(seen, file)
        partial.replace(file_of_card)

    def take(self, serial: str) -> Plastic:
        """The card; what its chip keeps from now on lies there, too, before it is answered. Raises FileNotFoundError."""
        seen = json.loads(self._file(serial).read_text())
        chip = Chip.of_state(self._kinds, seen["chip"])
        plastic = Plastic(serial, chip, seen["place"], seen["printed"], Hand(seen["hand"]))
        chip.keep = lambda _: self.put(plastic)
        return plastic

    def serials(self) -> Iterator[str]:
        """All that lie there, in the order of their numbers."""
        return (file.stem for file in sorted(self.folder.glob("*.chip")))

    def all(self) -> Iterator[Plastic]:
        """Every card."""
        return map(self.take, self.serials())

    def _file(self, serial: str) -> Path:
        if not _SERIAL.fullmatch(serial):
            raise ValueError("no serial of a blank")
        return self.folder / f"{serial}.chip"
