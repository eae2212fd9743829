"""What validators refuse by themselves: a card on their hotlist leaves no tap."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from sdk.merchant.access import Access
from sdk.merchant.hotlist import Hotlist, Look
from sdk.merchant.hotlist_puller import HotlistPuller
from sdk.merchant.transaction import Tap
from simulation import metrics
from simulation.city import BUS_COMPANIES

PULL_SECONDS = 2.0
"""A city in fast motion."""
LATE_MS = 500
FETCHER = BUS_COMPANIES[0].merchant_id
"""The list is the same for everybody: one merchant fetches it for all of this process's validators."""


class Validators:
    """They share a list. What was reported lost and is not listed yet still rides: `hotlist_losses` pays for it."""

    def __init__(self, path: Path, access: Access | None) -> None:
        """Without access to the card service they accept every card, as ever."""
        self._hotlist: Hotlist | None = None
        self._end = ExitStack()
        self._path, self._access = path, access

    def __enter__(self) -> Self:
        if access := self._access:
            self._hotlist = self._end.enter_context(Hotlist(self._path))
            self._end.enter_context(HotlistPuller(self._hotlist, lambda: access.connect(FETCHER), PULL_SECONDS))
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def accept(self, tap: Tap, now_ms: int) -> bool:
        """Whether the validator lets the card pass. What is told late was accepted when it was tapped."""
        told_late = tap.event_time_ms < now_ms - LATE_MS
        if self._hotlist is None or told_late or self._hotlist.look(tap.card_identifier) is Look.CLEAR:
            return True
        metrics.HOTLISTED.labels(tap.scene.value).inc()
        return False
