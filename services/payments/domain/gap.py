"""Gaps in the numbers of a terminal."""

from typing import NamedTuple


class Gap(NamedTuple):
    """A terminal of whose numbers some have no verdict: never sent, on their way, or among the dead letters."""

    merchant_id: str
    terminal_id: str
    missing: int
    highest: int
    """The highest number that has a verdict."""
