"""Whose card is where: windows note what they handed out and took back, and the street lets it be tapped.

A file stands for what people know of their own cards. It begins anew with every ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from random import Random
from threading import Lock

from sdk.merchant.transaction import Tap
from simulation.habits import Life
from simulation.riders import rider

LOOK_BACK_MS = 10_000
"""What is older was seen by an earlier process of the street: it lets nobody tap once more."""
TAPS_A_LOOK = 0.2
FINDS_MS = (50, 1_000, 3_000)
"""When its finder taps a lost card: before anybody has heard of the loss, and twice later."""
WALK_MS = 1_000
"""From the window to the first validator."""
LATE_MS = 1_000
"""How long before the switch the old card was tapped by a validator that tells it only now."""


class Where(Enum):
    """What became of a card."""

    IN_HAND = "in hand"
    LOST = "lost"
    REPLACED = "replaced"
    """Its successor has taken its place."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A card, and where it is from an instant on."""

    card: str
    where: Where
    at_ms: int


class Pockets:
    """What the windows write."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()

    def note(self, noted: Noted) -> None:
        """For whoever looks later."""
        line = json.dumps({**asdict(noted), "where": noted.where.value})
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class PocketReader:
    """What the street reads: each note once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0

    def news(self) -> Iterator[Noted]:
        """What was noted since the last look, without a line that is still being written."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            while (line := file.readline()).endswith(b"\n"):
                self._read += len(line)
                found = json.loads(line)
                yield Noted(found["card"], Where(found["where"]), found["at_ms"])


class Residents:
    """People with a card of the card service, and finders of those that were lost; what they do beside the city's riders."""

    def __init__(self, reader: PocketReader, life: Life, chance: Random) -> None:
        self._reader = reader
        self._life = life
        self._chance = chance
        self._in_hand: dict[str, int] = {}
        """From when on it may be tapped."""
        self._finds: list[tuple[int, str]] = []

    def advance(self, now_ms: int) -> list[Tap]:
        """Their taps since the last look."""
        late: list[Tap] = []
        for noted in self._reader.news():
            late += self._hear(noted, now_ms)
        due = [card for at_ms, card in self._finds if at_ms <= now_ms]
        self._finds = [find for find in self._finds if find[0] > now_ms]
        outside = [card for card, from_ms in self._in_hand.items() if from_ms <= now_ms]
        if outside and self._chance.random() < TAPS_A_LOOK:
            due.append(self._chance.choice(outside))
        return late + [self._ride(card, now_ms) for card in due]

    def _hear(self, noted: Noted, now_ms: int) -> list[Tap]:
        if noted.where is Where.IN_HAND:
            self._in_hand[noted.card] = noted.at_ms + WALK_MS
            return []
        self._in_hand.pop(noted.card, None)
        if noted.at_ms < now_ms - LOOK_BACK_MS:
            return []
        self._finds += [(noted.at_ms + after_ms, noted.card) for after_ms in FINDS_MS]
        return [self._ride(noted.card, noted.at_ms - LATE_MS)] if noted.where is Where.REPLACED else []

    def _ride(self, card: str, at_ms: int) -> Tap:
        return self._life.ride(card, rider(1), at_ms)
