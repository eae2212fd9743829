"""Hears what became of some merchants' transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from queue import Empty, Full, Queue
from typing import Self

from sdk.merchant.access import Access
from sdk.merchant.subscription import Heard, Renew, Subscription

log = logging.getLogger("onecard.merchant")

MOST_WAITING = 64
PATIENCE_SECONDS = 3.0
"""A stream that is away for longer is worth a line in the log."""
HOPE_SECONDS = 2.0
"""A first subscription stands within a moment, or not for quite a while."""
LOOK_AGAIN_SECONDS = 10.0


class OutcomeReader:
    """A subscription for each merchant; their order is not the order of the taps, and repeats are ordinary."""

    def __init__(
        self,
        access: Access,
        merchants: AbstractSet[str],
        cursor_of: Callable[[str], bytes | None],
        renew: Renew | None = None,
    ) -> None:
        """`merchants` may be a live set: who comes later is subscribed then.

        `cursor_of` says behind what a merchant's outcomes are to begin; None: with those that come from now on. `renew` is
        for the keys of its terminals.
        """
        self._access = access
        self._merchants = merchants
        self._cursor_of = cursor_of
        self._renew = renew
        self._heard: Queue[Heard] = Queue(MOST_WAITING)
        self._subscriptions: dict[str, Subscription] = {}
        self._unknown: dict[str, float] = {}
        self._away = False
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout_seconds: float) -> list[Heard]:
        """What has come since the last call; waits at most so long for the first. For one thread."""
        for merchant_id in set(self._merchants) - self._subscriptions.keys():
            self._subscribe(merchant_id)
        for subscription in self._subscriptions.values():
            subscription.look_after()
        self._say()
        heard: list[Heard] = []
        try:
            heard.append(self._heard.get(timeout=timeout_seconds))
            while len(heard) < MOST_WAITING:
                heard.append(self._heard.get_nowait())
        except Empty:
            pass
        return heard

    def may_hear(self, merchant_id: str) -> bool:
        """Whether a merchant's subscription may stand any moment; not when it is away for long, or has no credentials."""
        if merchant_id in self._unknown:
            return False
        subscription = self._subscriptions.get(merchant_id)
        return subscription is None or time.monotonic() - subscription.begun_at < HOPE_SECONDS

    def close(self) -> None:
        """End all subscriptions."""
        self._ending.set()
        for subscription in self._subscriptions.values():
            subscription.ask_to_end()
        for subscription in self._subscriptions.values():
            subscription.join()

    def _subscribe(self, merchant_id: str) -> None:
        now = time.monotonic()
        if self._unknown.get(merchant_id, now) > now:
            return
        if self._access.has(merchant_id):
            self._unknown.pop(merchant_id, None)
            cursor = self._cursor_of(merchant_id)
            self._subscriptions[merchant_id] = Subscription(self._access, merchant_id, cursor, self._take, self._renew)
            return
        if merchant_id not in self._unknown:
            log.warning("nobody gave us a certificate of %r: its outcomes are not heard", merchant_id)
        self._unknown[merchant_id] = now + LOOK_AGAIN_SECONDS

    def _take(self, heard: Heard) -> None:
        while not self._ending.is_set():
            try:
                self._heard.put(heard, timeout=0.2)
            except Full:
                continue
            return

    def _say(self) -> None:
        """Once, when streams are away, and once, when all are back."""
        now = time.monotonic()
        away = [s for s in self._subscriptions.values() if s.down_since is not None and now - s.down_since > PATIENCE_SECONDS]
        if away and not self._away:
            names = ", ".join(sorted(subscription.merchant_id for subscription in away))
            log.warning("awaiting the outcomes of %s from %s (%s)", names, self._access.address, away[0].trouble)
        elif self._away and not away:
            log.warning("outcomes come again from %s", self._access.address)
        self._away = bool(away)
