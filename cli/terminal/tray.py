"""Virtual cards beside a virtual reader, and who puts them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Tray(Protocol):
    """What lies on the desk."""

    def blanks(self) -> Sequence[str]:
        """Serials of the cards that lie here."""

    def insert(self, serial: str) -> None:
        """Put one into the reader. KeyError: it does not lie here."""

    def pull(self) -> None:
        """Take it out again."""

    def looks_printed(self, serial: str) -> bool:
        """What a person sees."""

    def lay_down(self) -> None:
        """The card in the reader stays there, and is as it is now, whatever happens to this program."""

    def spoil(self, serial: str) -> None:
        """Into the box of those that are good for nothing."""

    def hand_over(self, serial: str) -> None:
        """It is the holder's now."""
