"""Where cards lie when nobody holds them: a file each. What a cut of the power leaves of them is what was written last."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from simulation.chips.card import Chip
from simulation.chips.kind import Kind, read_kinds


class Drawer:
    """A folder of cards, by what is printed on the plastic."""

    def __init__(self, folder: Path, kinds: dict[str, Kind] | None = None) -> None:
        self.folder = folder
        self._kinds = kinds or read_kinds()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, serial: str, chip: Chip) -> None:
        """Lay a card down; whole, or as it lay there before."""
        partial = self.folder / f"{serial}.partial"
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(chip.state(), file)
        partial.rename(self._file(serial))

    def take(self, serial: str) -> Chip:
        """The card; it lies there still, as it is now. Raises FileNotFoundError."""
        return Chip.of_state(self._kinds, json.loads(self._file(serial).read_text()))

    def serials(self) -> Iterator[str]:
        """All that lie there, in the order of their numbers."""
        return (file.stem for file in sorted(self.folder.glob("*.chip")))

    def _file(self, serial: str) -> Path:
        return self.folder / f"{serial}.chip"
