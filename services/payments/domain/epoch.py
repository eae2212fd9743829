"""Epochs of terminals' keys: from when terminals sign with one, and until when what they sign with it counts."""

from collections.abc import Iterable
from typing import NamedTuple


class Epoch(NamedTuple):
    """A period of keys. The keys themselves are made of the root and the number."""

    number: int
    root_version: int
    valid_from_ms: int
    """Terminals sign with it from then on, by their clocks."""
    retired: bool = False


def live(epochs: Iterable[Epoch]) -> list[Epoch]:
    """Those that count, the oldest first; also one whose time has not come yet."""
    return sorted(epoch for epoch in epochs if not epoch.retired)


def current(epochs: Iterable[Epoch], now_ms: int) -> Epoch | None:
    """The newest that counts and whose time has come."""
    return max((epoch for epoch in live(epochs) if epoch.valid_from_ms <= now_ms), default=None)
