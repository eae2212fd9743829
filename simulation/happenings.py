"""What happens to cards while the city lives: new ones are issued, some are lost and reissued.

The clock alone decides, so the process that publishes the states of cards and the one that taps agree without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulation.riders import RESERVE

LOOK_BACK_MS = 300_000
"""How far into the past a process that starts takes up what has happened."""

NEWCOMER_EVERY_MS = 5_000
LOSS_EVERY_MS = 20_000


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A card that is tapped before its state is published."""

    number: int
    tap_ms: int
    publish_ms: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A rider's first card is lost, the loss is reported, the hotlist names it, another card takes its place."""

    number: int
    generation: int
    """Of the card that takes its place."""
    report_ms: int

    @property
    def hotlist_ms(self) -> int:
        """When the hotlist that names it is published."""
        return self.report_ms + 5_000

    @property
    def reissue_ms(self) -> int:
        """When another card takes its place."""
        return self.report_ms + 10_000

    @property
    def finds_ms(self) -> tuple[int, ...]:
        """When its finder taps: the city pays, the hotlist refuses, a cancelled card is refused."""
        return self.report_ms + 2_500, self.report_ms + 8_000, self.report_ms + 15_000


def newcomers(cards: int, after_ms: int, until_ms: int) -> Iterator[Newcomer]:
    """Cards that are issued in a stretch of time; their numbers begin behind those of the city's cards."""
    for slot in range(after_ms // NEWCOMER_EVERY_MS, until_ms // NEWCOMER_EVERY_MS + 1):
        issue_ms = slot * NEWCOMER_EVERY_MS
        yield Newcomer(cards + 1 + slot % RESERVE, issue_ms + 500, issue_ms + 3_500)


def losses(cards: int, after_ms: int, until_ms: int) -> Iterator[Loss]:
    """Cards whose loss is reported in a stretch of time."""
    for slot in range(after_ms // LOSS_EVERY_MS, until_ms // LOSS_EVERY_MS + 1):
        # A prime step goes round the whole city before a card is lost a second time.
        yield Loss(1 + slot * 7919 % cards, slot & 0xFFFFFFFF, slot * LOSS_EVERY_MS)
