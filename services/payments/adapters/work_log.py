"""What a process has posted, said once in a while: which batches, and of which records.

Nothing is logged of one tap. From a tap's batch number, or from where its record lies, these lines lead to the process that
decided it.
"""

import asyncio
from contextvars import Context
from typing import Any, Final

import structlog

log = structlog.get_logger()

EVERY_SECONDS: Final = 5.0
MOST_SPANS: Final = 100
"""Of batch numbers in one line. Processes draw their numbers in turns; where there would be more spans, the first and the last
number are said, and that others may lie between."""


class WorkLog:
    """Of one process."""

    def __init__(self) -> None:
        self._spans: list[list[int]] = []
        self._batches = 0
        self._records: dict[str, list[int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def posted(self, batch: int) -> None:
        """A batch was committed; 0: there was nothing to commit."""
        if not batch:
            return
        self._batches += 1
        spans = self._spans
        if spans and spans[-1][1] == batch - 1:
            spans[-1][1] = batch
        else:
            spans.append([batch, batch])
        self._say_soon()

    def acknowledged(self, topic: str, partition: int, first: int, last: int) -> None:
        """These offsets are posted and answered."""
        span = self._records.setdefault(f"{topic}/{partition}", [first, last])
        span[0], span[1] = min(span[0], first), max(span[1], last)
        self._say_soon()

    def say(self) -> None:
        """What has come together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._spans and not self._records:
            return
        facts: dict[str, Any] = {"count": self._batches, "batches": together(self._spans)}
        if len(facts["batches"]) > MOST_SPANS:
            facts["batches"] = [[facts["batches"][0][0], facts["batches"][-1][1]]]
            facts["others_between"] = True
        if self._records:
            facts["records"] = self._records
        log.info("batches_posted", **facts)
        self._spans, self._batches, self._records = [], 0, {}

    def _say_soon(self) -> None:
        if self._timer is None:
            # In a context of its own: the line is of no one call.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(loop.time() + EVERY_SECONDS, self.say, context=Context())


def together(spans: list[list[int]]) -> list[list[int]]:
    """Spans of numbers in order, those that touch as one: lanes end in another order than they began."""
    joined: list[list[int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined
