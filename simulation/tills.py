"""What lies in the tills: notes that clerks took and gave, a line each, so that a till outlives a program that ends."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock


class Tills:
    """One file for all of them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()

    def put(self, place: str, fen: int) -> None:
        """Into the till of a place, or out of it."""
        if fen:
            with self._lock, self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([place, fen]) + "\n")

    def count(self, place: str) -> int:
        """Every note, in fen."""
        if not self._file.exists():
            return 0
        with self._lock:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        return sum(fen for where, fen in map(json.loads, lines) if where == place)
