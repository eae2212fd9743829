"""What processes cost: CPU seconds of a process and all it began, sampled while something else is measured."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import psutil

_EVERY_SECONDS: Final = 0.2
_FAMILY_EVERY: Final = 10  # samples; looking for children costs more than asking them


class Family:
    """A process and its children."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._members: list[psutil.Process] = []

    def look_again(self) -> None:
        """Find children that are new."""
        self._members = list(self._roots)
        for root in self._roots:
            with suppress(psutil.NoSuchProcess):
                self._members += root.children(recursive=True)

    def cpu_seconds(self) -> float:
        """User and system time; that of children that ended is with their parent."""
        seconds = 0.0
        for member in self._members:
            with suppress(psutil.NoSuchProcess):
                seconds += sum(member.cpu_times()[:4])
        return seconds


class CpuMeter:
    """Samples families by name; answers what each used between two instants."""

    def __init__(self, families: Mapping[str, Sequence[int]]) -> None:
        self._families = {name: Family(pids) for name, pids in families.items()}
        self._instants: list[float] = []
        self._seconds: dict[str, list[float]] = {name: [] for name in families}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Sample for the time of the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.sample()

    def sample(self) -> None:
        """Look once."""
        if len(self._instants) % _FAMILY_EVERY == 0:
            for family in self._families.values():
                family.look_again()
        self._instants.append(time.time())
        for name, family in self._families.items():
            self._seconds[name].append(family.cpu_seconds())

    def between(self, start: float, end: float) -> dict[str, float]:
        """CPU seconds between two instants (Unix seconds), by name."""
        return {name: self._at(end, seconds) - self._at(start, seconds) for name, seconds in self._seconds.items()}

    def _at(self, instant: float, seconds: list[float]) -> float:
        """Between two samples the use was even."""
        right = bisect_left(self._instants, instant)
        if right == 0 or right == len(self._instants):
            return seconds[min(right, len(seconds) - 1)]
        left = right - 1
        share = (instant - self._instants[left]) / (self._instants[right] - self._instants[left])
        return seconds[left] + share * (seconds[right] - seconds[left])

    async def _watch(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_EVERY_SECONDS)
