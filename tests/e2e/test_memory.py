"""A worker may run for months."""

from itertools import chain, pairwise

import pytest

from tests.support.road import Road
from tests.support.terminals import Placed
from tests.support.town import bus_ride, entry
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

ROUND = 40_000
MEGABYTE = 2**20


async def test_the_memory_of_a_worker_does_not_grow_with_what_it_has_posted(road: Road) -> None:
    worker = road.worker()
    sizes = []
    for number in range(1, 6):
        rides = chain.from_iterable(
            (bus_ride(n % 200, terminal=n % 8), entry(n % 200, terminal=n % 8)) for n in range(ROUND // 2)
        )
        road.terminals.send(map(Placed.of, rides))
        await until("the round is posted", lambda: worker.metric("onecard_taps_total") >= number * ROUND)  # noqa: B023
        sizes.append(worker.process.memory_info().rss / MEGABYTE)
    assert sizes[-1] < 250, sizes
    # A worker that was held up once takes larger batches and keeps their room: that is one step. A leak is in every round.
    assert min(later - before for before, later in pairwise(sizes[1:])) < 4 / 3, sizes
