"""Whether one worker's memory stays where it is while millions of taps go through it."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import psutil

from bench.pace import SteadyWorker


class Held(NamedTuple):
    """What a worker holds after so many taps."""

    taps: int
    rss_mb: float


def held_by(worker: SteadyWorker) -> Held:
    """Now."""
    return Held(worker.posted, psutil.Process(worker.child.pid).memory_info().rss / 1e6)


async def watch_memory(worker: SteadyWorker, taps: int, taps_a_round: int) -> AsyncIterator[Held]:
    """Let a worker post so many taps, and look after each round of them."""
    for at in range(0, taps, taps_a_round):
        await worker.take(min(taps_a_round, taps - at))
        yield held_by(worker)
