"""Takes what is heard of transactions into their spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from sdk.merchant.access import Access
from sdk.merchant.outcomes import OutcomeReader
from sdk.merchant.spool import Answer, Spool
from sdk.merchant.subscription import Heard, Renew

log = logging.getLogger("onecard.merchant")

LONG_AGO = float("-inf")
KEEP_SECONDS = 60.0
"""A cursor that has moved without an outcome is worth a write to the disk so often."""
# Tansu acknowledges records for topics that it does not have yet, and hides them when the topics are made: what was emitted
# in the first moments of its new life is emitted once more.
SETTLING_SECONDS = 5.0


class Hearing:
    """Outcomes of a spool's merchants, noted in it together with how far they were heard.

    So none is missed, whenever this ends: the next one on the spool hears what came meanwhile.
    """

    def __init__(
        self,
        access: Access,
        spool: Spool,
        on_answers: Callable[[Sequence[Answer]], None] | None = None,
        renew: Renew | None = None,
    ) -> None:
        """`on_answers` is called with newly answered transactions by whoever calls `take_in`; it must be quick.

        `renew` is for the keys of the terminals.
        """
        self._spool = spool
        self._reader = OutcomeReader(access, spool.merchants, spool.cursor, renew)
        self._on_answers = on_answers or (lambda _: None)
        self._kept_at: dict[str, float] = {}
        self._settled_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscriptions. What they had handed over and was not taken in is told again to the next one."""
        self._reader.close()

    def run(self, stopping: threading.Event) -> None:
        """Take in whatever comes until told to stop."""
        while not stopping.is_set():
            self.take_in(0.1)

    def take_in(self, timeout_seconds: float) -> int:
        """Take in what has come, waiting at most so long for the first of it; answers how many outcomes that was."""
        heard = self._reader.poll(timeout_seconds)
        for one in heard:
            if one.another_life:
                log.warning("the road of %s has lost its memory: what is unanswered is emitted again", one.merchant_id)
                self._settled_at[one.merchant_id] = time.monotonic() + SETTLING_SECONDS
            if one.another_life or self._spool.cursor(one.merchant_id) is None:
                # Nobody may have listened when its outcome came.
                self._spool.all_due(one.merchant_id)
        self._emit_what_is_settled()
        outcomes = [outcome for one in heard for outcome in one.outcomes]
        answers = self._spool.answer(outcomes, self._worth_keeping(heard))
        if answers:
            self._on_answers(answers)
        return len(outcomes)

    def may_hear_soon(self, merchants: Iterable[str]) -> bool:
        """Whether one of them was never heard of, but may be any moment: a transaction that is emitted then loses nothing."""
        return any(self._spool.cursor(one) is None and self._reader.may_hear(one) for one in tuple(merchants))

    def _emit_what_is_settled(self) -> None:
        for merchant_id in [name for name, at in self._settled_at.items() if time.monotonic() >= at]:
            del self._settled_at[merchant_id]
            self._spool.all_due(merchant_id)

    def _worth_keeping(self, heard: Sequence[Heard]) -> dict[str, bytes]:
        now = time.monotonic()
        last = {one.merchant_id: one.cursor for one in heard}
        said = {one.merchant_id for one in heard if one.outcomes or one.another_life}
        kept = {
            merchant_id: cursor
            for merchant_id, cursor in last.items()
            if merchant_id in said or now - self._kept_at.get(merchant_id, LONG_AGO) > KEEP_SECONDS
        }
        self._kept_at |= dict.fromkeys(kept, now)
        return kept
