"""Sealing: every committed batch is in exactly one seal, whoever seals, and in whatever order batches are committed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onecard.payments.v1.seals_pb2 import Checkpoint as CheckpointMessage
from services.common import topics
from services.payments.adapters.checkpoints import append_checkpoint, checkpoint_message, read_checkpoints, with_published
from services.payments.adapters.ledger import Ledger, Point
from services.payments.adapters.seals import newest_seal, seals_between, store_seal
from services.payments.domain.seal import Seal, is_hole
from services.payments.handlers.post_taps import PostTaps
from services.payments.handlers.publish_checkpoints import PublishCheckpoints
from services.payments.handlers.seal_batches import SealBatches
from tests.support.sealing import autocommit
from tests.support.town import KEY, Database, Town, build_town, bus_ride, received


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with autocommit(engine) as connection:
        yield connection


async def membership(connection: AsyncConnection) -> dict[int, list[int]]:
    """Every number up to the last sealed one, and the seals that it is in."""
    found: dict[int, list[int]] = {}
    for seal in await seals_between(connection, 0, 10_000, 10_000):
        for number in (*range(seal.first, seal.last + 1), *seal.late):
            found.setdefault(number, [])
            if number in seal.late or not is_hole(seal.holes, number):
                found[number].append(seal.number)
    return found


async def committed(connection: AsyncConnection) -> set[int]:
    return {row[0] for row in await connection.exec_driver_sql("select number from payments.batch")}


async def assert_each_is_sealed_once(connection: AsyncConnection) -> None:
    numbers = await committed(connection)
    seals = await membership(connection)
    assert {number for number, members in seals.items() if members} == numbers
    assert all(len(members) <= 1 for members in seals.values())


class Gate:
    """Stops a posting before its commit, until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, point: Point) -> None:
        if point == "written":
            self.reached.set()
            await self.opened.wait()


async def slow_posting(town: Town, engine: AsyncEngine, card: int) -> tuple[Gate, "asyncio.Task[Any]"]:
    """A batch that has its number and is not committed."""
    gate = Gate()
    ledger = Ledger(engine, town.ledger.rules, KEY, gate)
    task = asyncio.create_task(PostTaps(ledger, town.registry, town.verifier)(received([bus_ride(card)])))
    await gate.reached.wait()
    return gate, task


async def test_an_idle_ledger_makes_no_seals(engine: AsyncEngine, session: AsyncConnection) -> None:
    seal = SealBatches(KEY)
    assert (await seal(session)).number == 0
    town = await build_town(engine, 1)
    first = await seal(session)
    assert (first.number, first.first, first.batches) == (1, 1, 1)
    assert await seal(session) == first
    await town.post(received([bus_ride(0)]))
    second = await seal(session)
    assert (second.number, second.first, second.last) == (2, first.last + 1, first.last + 1)
    assert await newest_seal(session) == second
    assert second.head != first.head


async def test_a_number_that_was_rolled_back_is_a_hole(engine: AsyncEngine, session: AsyncConnection) -> None:
    town = await build_town(engine, 1)
    await session.exec_driver_sql("select nextval('payments.batch_number') from generate_series(1, 3)")
    await town.post(received([bus_ride(0)]))
    seal = await SealBatches(KEY)(session)
    assert seal.last == 5
    assert seal.holes == ((2, 4),)
    await assert_each_is_sealed_once(session)


async def test_a_batch_that_is_committed_behind_a_later_one_joins_the_next_seal(
    engine: AsyncEngine, session: AsyncConnection, unlimited: AsyncEngine
) -> None:
    town = await build_town(engine, 3)
    seal = SealBatches(KEY)
    gates = [await slow_posting(town, unlimited, 0), await slow_posting(town, unlimited, 1)]
    await town.post(received([bus_ride(2)]))
    early = await seal(session)
    assert early.holes == ((2, 3),)
    for gate, task in reversed(gates):
        gate.opened.set()
        await task
        await seal(session)
    late = await seals_between(session, early.number, 10, 10)
    assert [made.late for made in late] == [(3,), (2,)]
    assert all(made.first > made.last == early.last for made in late), "they cover no number of their own"
    await assert_each_is_sealed_once(session)


async def test_batches_of_many_lanes_are_each_sealed_once(engine: AsyncEngine, session: AsyncConnection) -> None:
    town = await build_town(engine, 40)
    seal = SealBatches(KEY)
    posting = True

    async def lane(first: int) -> None:
        for turn in range(30):
            await town.post(received([bus_ride(first + turn % 10)]))

    async def sealer() -> None:
        while posting:
            await seal(session)

    sealing = asyncio.create_task(sealer())
    await asyncio.gather(*(lane(n * 10) for n in range(4)))
    posting = False
    await sealing
    newest = await seal(session)
    assert newest.number > 1
    assert len(await committed(session)) == 121
    await assert_each_is_sealed_once(session)


async def test_of_two_sealers_one_goes_on(engine: AsyncEngine, session: AsyncConnection) -> None:
    town = await build_town(engine, 1)
    one = await SealBatches(KEY)(session)
    await town.post(received([bus_ride(0)]))
    two = await SealBatches(KEY)(session)
    with pytest.raises(IntegrityError, match="seal_pkey"):
        await store_seal(session, Seal(two.number, one.last + 1, one.last + 1, (), (), 1, bytes(32), 1, 0))
    for elected in (SealBatches(KEY), SealBatches(KEY)):
        await town.post(received([bus_ride(0)]))
        assert (await elected(session)).batches == 1
    await assert_each_is_sealed_once(session)


async def test_what_is_far_behind_is_sealed_by_several_seals(
    engine: AsyncEngine, session: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.payments.handlers.seal_batches.MOST_BATCHES", 2)
    town = await build_town(engine, 1)
    for _ in range(4):
        await town.post(received([bus_ride(0)]))
    newest = await SealBatches(KEY)(session)
    assert (newest.number, newest.last) == (3, 5)
    await assert_each_is_sealed_once(session)


async def test_an_old_hole_is_looked_at_by_whoever_is_elected_and_a_very_old_one_never(
    engine: AsyncEngine, session: AsyncConnection, database: Database, unlimited: AsyncEngine
) -> None:
    town = await build_town(engine, 2)
    gate, task = await slow_posting(town, unlimited, 0)
    await town.post(received([bus_ride(1)]))
    first = SealBatches(KEY)
    await first(session)
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    try:
        # As if the seals had been made hours ago, and others since.
        await owner.execute("update payments.seal set create_time = create_time - interval '5 hours'")
        await town.post(received([bus_ride(1)]))
        newest = await first(session)
        gate.opened.set()
        await task
        assert await first(session) == newest, "it is too old to be looked at every time"
        await owner.execute("update payments.seal set create_time = create_time - interval '25 hours' where number = 1")
        assert await SealBatches(KEY)(session) == newest, "nothing posts for a day: whatever it is, it is not ours"
        await owner.execute("update payments.seal set create_time = create_time + interval '25 hours' where number = 1")
        assert (await SealBatches(KEY)(session)).late == (2,)
    finally:
        await owner.close()
    await assert_each_is_sealed_once(session)


@pytest.mark.parametrize(
    "statement", ["update payments.seal set batches = 1", "delete from payments.seal", "truncate payments.seal"]
)
async def test_seals_are_append_only_for_the_application(
    engine: AsyncEngine, session: AsyncConnection, database: Database, statement: str
) -> None:
    await build_town(engine, 1)
    await SealBatches(KEY)(session)
    application = await asyncpg.connect(database.application_url.replace("+asyncpg", ""))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(statement)
    finally:
        await application.close()


class Told:
    """Stands for the broker: keeps what it was sent."""

    def __init__(self) -> None:
        self.checkpoints: list[CheckpointMessage] = []

    async def send(self, topic: str, messages: list[tuple[bytes | None, bytes]]) -> None:
        assert topic == topics.SEALS
        self.checkpoints += [CheckpointMessage.FromString(value) for _, value in messages]


async def test_a_checkpoint_goes_to_the_topic_and_to_the_file(
    engine: AsyncEngine, session: AsyncConnection, tmp_path: Path
) -> None:
    town = await build_town(engine, 1)
    told, file = Told(), tmp_path / "checkpoints.jsonl"
    publish = PublishCheckpoints(told, file)  # type: ignore[arg-type]
    await publish(session)
    assert told.checkpoints == []
    seal = SealBatches(KEY)
    first = await seal(session)
    await publish(session)
    await publish(session)
    for _ in range(3):
        await town.post(received([bus_ride(0)]))
        last = await seal(session)
    await publish(session)
    assert [(c.seal_number, c.last_batch, c.head) for c in told.checkpoints] == [
        (seal.number, seal.last, seal.head) for seal in (first, last)
    ]
    assert [json.loads(line)["seal"] for line in file.read_text().splitlines()] == [1, 4]


async def test_a_sealer_that_died_before_its_checkpoint_is_followed_by_one_that_publishes_it(
    engine: AsyncEngine, session: AsyncConnection, tmp_path: Path
) -> None:
    await build_town(engine, 1)
    sealed = await SealBatches(KEY)(session)
    told, file = Told(), tmp_path / "checkpoints.jsonl"
    await PublishCheckpoints(told, file)(session)  # type: ignore[arg-type]
    assert [c.head for c in told.checkpoints] == [sealed.head]
    assert read_checkpoints(file)[0][sealed.number][0].head == sealed.head


def test_half_a_line_in_the_file_spoils_no_other_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.jsonl"
    one, two = (Seal(n, n, n, (), (), 1, bytes([n]) * 32, 1, 1_790_000_000_000 + n) for n in (1, 2))
    append_checkpoint(file, one)
    with file.open("a") as torn:
        torn.write('{"seal": 7, "last_ba')
    append_checkpoint(file, two)
    found, unusable = read_checkpoints(file)
    assert unusable == 1
    assert {number: [c.head for c in some] for number, some in found.items()} == {1: [one.head], 2: [two.head]}
    assert found[2][0].time_ms == two.create_time_ms


def test_a_file_that_came_from_a_backup_is_made_good_by_the_topic(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.jsonl"
    one, two, other = (
        Seal(n, n, n, (), (), 1, bytes([head]) * 32, 1, 1_790_000_000_000 + n) for n, head in ((1, 1), (2, 2), (1, 9))
    )
    append_checkpoint(file, one)
    of_file, _ = read_checkpoints(file)
    found = with_published(of_file, [b"\xff", *map(checkpoint_message, (one, two, other))])
    assert {number: [c.head for c in some] for number, some in found.items()} == {1: [one.head, other.head], 2: [two.head]}
    assert list(of_file) == [1]
