"""A terminal's hotlist: which cards it refuses by itself, and what it does when the list is old."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from onecard.card.v1.hotlist_pb2 import HotlistUpdate
from sdk.merchant.hotlist_file import HotlistFile
from sdk.merchant.hotlist_update import Assembly, Step, Version

log = logging.getLogger("onecard.merchant")

WARN_SECONDS = 600.0
"""From one line about an old list to the next."""


class WhenOld(Enum):
    """What becomes of cards that are not on a list that is too old."""

    ACCEPT = "accept"
    """For buses: people ride, and it is said and counted that the list is old."""
    REFUSE = "refuse"


class Look(Enum):
    """What a list says of a card."""

    CLEAR = "clear"
    LISTED = "listed"
    TOO_OLD = "too old"
    """Nobody knows, and the terminal's policy is to refuse then."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The terminal's choice. What asks the platform online never goes by the list: there the ledger decides."""

    oldest_seconds: float = 24 * 3600.0
    when_old: WhenOld = WhenOld.ACCEPT


class Hotlist:
    """Kept in a file; it only goes forward. Its methods may be called from several threads."""

    def __init__(self, path: Path, policy: Policy = Policy(), clock: Callable[[], float] = time.time) -> None:  # frozen
        """Raises HotlistFileError."""
        self.policy = policy
        self.looks_when_old = 0
        """Cards that were let pass by a list that was too old: for the terminal's metrics."""
        self._file = HotlistFile(path)
        self._head = self._file.head()
        self._clock = clock
        self._assembly = Assembly()
        self._lock = threading.Lock()
        self._warned_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The file stays."""
        self._file.close()

    def is_listed(self, card_identifier: str) -> bool:
        """Whether a card stands on the list, however old that is."""
        return self._file.holds(card_identifier)

    def look(self, card_identifier: str) -> Look:
        """What to do with a card, by the terminal's policy. A card on the list is refused however old the list is."""
        if self.is_listed(card_identifier):
            return Look.LISTED
        if self.age_seconds <= self.policy.oldest_seconds:
            return Look.CLEAR
        if self.policy.when_old is WhenOld.REFUSE:
            return Look.TOO_OLD
        self.looks_when_old += 1
        self._warn()
        return Look.CLEAR

    @property
    def version(self) -> Version:
        """Of the list that is there; zeros: none."""
        return self._head.at

    @property
    def age_seconds(self) -> float:
        """How long ago the list was complete; infinite while there is none."""
        complete_ms = self._head.complete_ms
        return max(0.0, self._clock() - complete_ms / 1000) if complete_ms else float("inf")

    @property
    def publish_ms(self) -> int:
        """When that version was published."""
        return self._head.publish_ms

    @property
    def entries(self) -> int:
        """How many cards stand on it."""
        return self._head.entries

    def cards(self) -> frozenset[str]:
        """All that stand on it."""
        return self._file.cards()

    def take(self, chunk: HotlistUpdate) -> Step:
        """A chunk as it comes from Kafka or over gRPC; on the disk with the last one that belongs to it.

        After HOLE the next snapshot heals it: wait for it, or ask for one.
        """
        with self._lock:
            try:
                update = self._assembly.add(chunk)
            except ValueError:
                return Step.HOLE
            if update is None:
                return Step.UNFINISHED
            step = self._file.apply(update)
            self._head = self._file.head()
            return step

    def _warn(self) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            age = self.age_seconds
            said = f"is {age / 3600:.1f} hours old" if self._head.complete_ms else "was never fetched"
            log.warning("the hotlist in %s %s: cards pass that may be lost", self._file.path, said)
