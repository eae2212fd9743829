"""What goes wrong on purpose, as a file says it: whoever runs faults writes the file, the city's people look at it.

Without a file each does what its habits are. With one, nothing goes wrong but what stands in it; where it is missing, nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulation.vandal import Fault


@dataclass(frozen=True, slots=True)
class Troubles:
    """Of one moment."""

    bad_records: Mapping[Fault, float] = field(default_factory=dict)
    """How many a second, by what is wrong with them."""
    keeper_away: bool = False
    """Nobody gives blanks to windows, or orders some."""
    bank_miscounts: bool = False
    """Each return of the bank comes first with a count that is not that of its rows."""


class TroubleFile:
    """Written whole, so that nobody reads half of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, troubles: Troubles) -> None:
        """From now on this goes wrong."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(troubles)), encoding="utf-8")
        partial.replace(self._file)

    def read(self) -> Troubles:
        """What goes wrong now."""
        try:
            told = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Troubles()
        bad = {Fault(kind): float(rate) for kind, rate in told.pop("bad_records").items()}
        return Troubles(bad_records=bad, **told)
