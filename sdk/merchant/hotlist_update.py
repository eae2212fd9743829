"""What brings a hotlist from one version to another, and when it may: the list never goes back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from onecard.card.v1.hotlist_pb2 import HotlistUpdate

MOST_UNFINISHED: Final = 4
"""Two publishers may speak at once; what is begun and never ended is forgotten."""
MOST_CHUNKS: Final = 10_000


class Version(NamedTuple):
    """Of a list; a restored platform raises the epoch."""

    epoch: int
    version: int


NOTHING: Final = Version(0, 0)


class Step(Enum):
    """What an update is to a list."""

    APPLIED = "applied"
    CURRENT = "current"
    """It names the version that is there."""
    STALE = "stale"
    """It would lead back."""
    HOLE = "hole"
    """Something was missed between what is there and where it begins: only a snapshot helps."""
    UNFINISHED = "unfinished"
    """More chunks belong to it."""


@dataclass(frozen=True, slots=True)
class Update:
    """A whole update; a snapshot replaces everything."""

    to: Version
    from_version: int
    """0: a snapshot."""
    publish_ms: int
    complete_ms: int
    """All cards barred by then stand on it; 0: nobody says so."""
    added: frozenset[str]
    removed: frozenset[str]

    def is_for(self, has: Version) -> Step:
        """What it is to a list of a version."""
        if self.to < has:
            return Step.STALE
        if self.to == has:
            return Step.CURRENT
        if self.from_version == 0:
            return Step.APPLIED
        follows = has == Version(self.to.epoch, self.from_version)
        return Step.APPLIED if follows else Step.HOLE

    def applied_to(self, listed: frozenset[str]) -> frozenset[str]:
        """The cards that stand on the list afterwards."""
        return self.added if self.from_version == 0 else (listed - self.removed) | self.added


class Assembly:
    """Puts chunks together, however often each comes and whoever else speaks in between."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[Version, int, int], dict[int, HotlistUpdate]] = {}

    def add(self, chunk: HotlistUpdate) -> Update | None:
        """The update that this chunk makes whole; None while others are missing. Raises ValueError for what cannot be one."""
        if not chunk.chunk < chunk.chunks <= MOST_CHUNKS or chunk.from_version > chunk.version:
            raise ValueError("no chunk of an update of the hotlist")
        name = (Version(chunk.epoch, chunk.version), chunk.from_version, chunk.chunks)
        found = self._unfinished.setdefault(name, {})
        found[chunk.chunk] = chunk
        if len(found) < chunk.chunks:
            while len(self._unfinished) > MOST_UNFINISHED:
                del self._unfinished[next(iter(self._unfinished))]
            return None
        del self._unfinished[name]
        return Update(
            to=name[0],
            from_version=chunk.from_version,
            publish_ms=chunk.publish_time_ms,
            complete_ms=min(one.complete_time_ms for one in found.values()),
            added=frozenset(card for one in found.values() for card in one.added),
            removed=frozenset(card for one in found.values() for card in one.removed),
        )
