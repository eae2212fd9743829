"""Workers that are killed, ended, frozen, joined by others under load: after each the sets and the books are exact."""

import asyncio
from functools import partial
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import get_args

import pytest

from services.payments.adapters.ledger import Point
from tests.support.road import PARTITIONS, Road, any_tap, taps
from tests.support.terminals import Placed
from tests.support.town import bus_ride
from tests.support.waiting import until
from tests.support.worker import Stop

pytestmark = pytest.mark.timeout(300)

a_tap = partial(any_tap, 200)


@pytest.mark.parametrize("point", get_args(Point))
async def test_a_worker_killed_at_any_point_leaves_nothing_undone_and_nothing_done_twice(road: Road, point: Point) -> None:
    worker = road.worker(Stop(point, arrival=3))
    with road.terminals.tapping(a_tap, per_second=1000):
        assert await worker.died() == -SIGKILL
        worker.start()
        await worker.posted()
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()


async def test_a_worker_that_is_told_to_end_does_so_in_time_and_another_one_goes_on(road: Road) -> None:
    first = road.worker()
    with road.terminals.tapping(a_tap, per_second=1000):
        await first.posted(batches=10)
        first.child.signal(SIGTERM)
        await first.died()
        await road.worker().posted()
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()


@pytest.mark.parametrize("point", ["locked", "written"])
async def test_a_frozen_worker_holds_up_its_cards_for_seconds_only_and_thaws_without_harm(road: Road, point: Point) -> None:
    cards = 10

    def everywhere(rounds: int) -> None:
        """Taps of the same few cards in every partition, so that both workers have them."""
        records = [bus_ride(n % cards) for n in range(rounds * cards * PARTITIONS)]
        road.terminals.place(records, lambda n: Placed.of(records[n], partition=n // cards % PARTITIONS))

    other = road.worker()
    everywhere(5)
    await other.posted()
    # It can post only after the group has given both their partitions.
    frozen = road.worker(Stop(point, arrival=20, signal=SIGSTOP))
    while frozen.process.status() != "stopped":
        everywhere(1)
        await asyncio.sleep(0.1)
    before = await road.count("verdict")
    everywhere(5)
    # Not only after the group has noticed.
    await until("the other worker posts taps of the same cards", partial(_more_verdicts, road, before), within=5)
    await road.terminals.answered()
    frozen.thaw()
    everywhere(5)
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()
    assert other.child.alive


async def _more_verdicts(road: Road, than: int) -> bool:
    return await road.count("verdict") > than


async def test_workers_come_and_go_under_load(road: Road) -> None:
    first = road.worker()
    with road.terminals.tapping(a_tap, per_second=1000):
        await first.posted(batches=5)
        second = road.worker()
        await second.posted(batches=5)
        second.child.signal(SIGTERM)
        await second.died()
        third = road.worker()
        await third.posted(batches=5)
        first.child.signal(SIGTERM)
        await first.died()
        posted = third.metric("onecard_batches_total")
        await third.posted(batches=int(posted) + 5)
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()


async def test_two_workers_killed_again_and_again_lose_nothing(road: Road) -> None:
    stops: list[Point] = ["locked", "sent"]
    for point in stops:
        road.worker(Stop(point, arrival=5), kept_alive=True)
    road.terminals.tap(taps(5000, cards=200))
    with road.terminals.tapping(a_tap, per_second=500):
        await asyncio.sleep(8)
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()
