"""Lanes: a few batches posted side by side; a lane takes its next batch only when the last one is done.

Order within a partition is kept because a partition always goes to the same lane.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from services.payments.adapters.wire import Received


class OpenFetch:
    """A fetch whose runs are on their way through the lanes; acknowledged when the last one is done."""

    def __init__(self, runs: int, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self._open = runs
        self._acknowledge = acknowledge

    async def run_done(self) -> None:
        """One more run is posted and answered."""
        self._open -= 1
        if not self._open:
            await self._acknowledge()


class Lane:
    """Posts what waits, up to `limit` records at a time."""

    def __init__(self, handle: Callable[[Sequence[Received]], Awaitable[None]], limit: int) -> None:
        self._handle = handle
        self._limit = limit
        self._waiting: deque[tuple[Sequence[Received], OpenFetch]] = deque()
        self._wake = asyncio.Event()

    def pieces(self, run: Sequence[Received]) -> list[Sequence[Received]]:
        """A run cut to what fits into one batch."""
        return [run[at : at + self._limit] for at in range(0, len(run), self._limit)]

    def put(self, piece: Sequence[Received], fetch: OpenFetch) -> None:
        """Queue a piece of at most `limit` records."""
        self._waiting.append((piece, fetch))
        self._wake.set()

    async def run(self) -> None:
        """Work for ever. What the handler raises ends the worker: nothing behind it may be acknowledged."""
        while True:
            await self._wake.wait()
            batch: list[Received] = []
            fetches: list[OpenFetch] = []
            while self._waiting and (not batch or len(batch) + len(self._waiting[0][0]) <= self._limit):
                piece, fetch = self._waiting.popleft()
                batch += piece
                fetches.append(fetch)
            if not self._waiting:
                self._wake.clear()
            await self._handle(batch)
            for fetch in fetches:
                await fetch.run_done()
