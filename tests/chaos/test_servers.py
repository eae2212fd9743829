"""Servers that are restarted or killed under load: work resumes by itself, and the sets and the books are exact."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from cli.servers.postgres import Postgres
from services.payments.adapters.topics import create_topics
from tests.support.road import PARTITIONS, Road, any_tap
from tests.support.town import card_state
from tests.support.worker import Worker

pytestmark = pytest.mark.timeout(300)

a_tap = partial(any_tap, 200)


def _killed(server: Postgres) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("restart", [Postgres.restart, _killed], ids=["restarted", "killed"])
async def test_postgres_goes_and_comes_back_under_load(road: Road, restart: Callable[[Postgres], None]) -> None:
    workers = [road.worker(), road.worker()]
    with road.terminals.tapping(a_tap, per_second=1000):
        await road.posted(batches=10)
        await road.engine.dispose()
        for _ in range(2):
            await asyncio.to_thread(restart, road.database.server)
            await asyncio.sleep(1)
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()
    died = [worker.child.last_lines() for worker in workers if not worker.child.alive]
    assert not died, "a worker need not die for that:\n" + "\n".join(died)


async def test_the_broker_is_killed_under_load_and_the_spools_make_good_what_it_forgot(road: Road) -> None:
    for _ in range(2):
        road.worker(kept_alive=True)
    road.publish(*(card_state(number) for number in range(200)))
    with road.terminals.tapping(a_tap, per_second=1000):
        await road.posted(batches=10)
        road.broker.kill()
        await _waits_quietly(road.workers[0])
        await asyncio.to_thread(road.broker.start)
        await asyncio.to_thread(create_topics, road.broker.bootstrap, road.broker.kind, PARTITIONS)
        road.publish(*(card_state(number, version=2) for number in range(200, 220)))
        await asyncio.sleep(3)
    await road.terminals.answered()
    await road.acknowledged()
    await road.exactly()


async def _waits_quietly(worker: Worker) -> None:
    """Neither a busy loop nor a flooded log."""
    await asyncio.sleep(2)  # the batches in hand are finished first
    lines = worker.log.count("\n")
    assert await worker.busy(seconds=3) < 0.5
    assert worker.log.count("\n") - lines < 40
