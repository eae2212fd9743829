"""Merchants hear what became of their transactions, over a real broker and a real server."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from cli.authority import Authority
from cli.servers.broker import Broker
from onecard.payments.v1.outcome_service_pb2 import BEGIN_NOW, BEGIN_OLDEST, SubscribeRequest, SubscribeResponse
from onecard.payments.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from services.common import topics
from services.common.announce import Announcer
from services.common.grpc.listen import Listen, Tls
from services.payments.adapters.outcome_cursor import Cursor, decode_cursor, encode_cursor, home_of
from services.payments.adapters.topics import create_topics
from services.payments.api import outcomes as api
from tests.support.outcomes import outcome, outcome_server, outcomes
from tests.support.road import PARTITIONS
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(90)

HERE = Listen("127.0.0.1:0", tls=None)
BUS = "BUS-1"


@dataclass
class Subscriber:
    """What came over one stream."""

    call: grpc.aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]
    responses: list[SubscribeResponse] = field(default_factory=list)

    async def listen(self) -> None:
        async for response in self.call:
            self.responses.append(response)

    @property
    def numbers(self) -> Counter[int]:
        return Counter(outcome.identity.terminal_sequence for r in self.responses for outcome in r.outcomes)

    @property
    def cursor(self) -> bytes:
        return self.responses[-1].cursor

    @property
    def lives(self) -> int:
        return sum(response.another_life for response in self.responses)

    async def stands(self) -> None:
        await until("the subscription stands", lambda: bool(self.responses))

    async def heard(self, numbers: Iterable[int], within: float = 30) -> None:
        missing = set(numbers)
        try:
            await until("all outcomes have come", lambda: not missing - set(self.numbers), within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {len(missing - set(self.numbers))} of {len(missing)} are missing") from None


@asynccontextmanager
async def subscribed(
    channel: grpc.aio.Channel, subject: str, cursor: bytes = b"", begin: int = BEGIN_NOW
) -> AsyncIterator[Subscriber]:
    request = SubscribeRequest(cursor=cursor, begin=begin)  # type: ignore[arg-type]
    call = OutcomeServiceStub(channel).Subscribe(request, metadata=(("x-onecard-subject", subject),))
    subscriber = Subscriber(call)
    listening = asyncio.create_task(subscriber.listen())
    try:
        yield subscriber
    finally:
        call.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def merchant(name: str) -> str:
    return f"onecard://merchant/{name}"


@pytest.fixture
async def port(broker: Broker) -> AsyncIterator[int]:
    async with outcome_server(broker.bootstrap, broker.kind, HERE) as server:
        await server.start()
        yield server.port


@pytest.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture
async def announcer(broker: Broker) -> AsyncIterator[Announcer]:
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    yield announcer
    await announcer.stop()


async def test_a_merchant_hears_of_its_own_transactions_and_of_nobody_elses(
    channel: grpc.aio.Channel, announcer: Announcer
) -> None:
    others = [f"OTHER-{number}" for number in range(20)]
    async with (
        subscribed(channel, merchant(BUS)) as bus,
        subscribed(channel, merchant("NEWCOMER")) as newcomer,
        subscribed(channel, f"{merchant(BUS)}/terminal/V-7") as terminal,
    ):
        await asyncio.gather(bus.stands(), newcomer.stands(), terminal.stands())
        for name in others:
            await announcer.send(topics.OUTCOMES, outcomes(name, range(1, 11)))
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(100, 200)))
        await bus.heard(range(100, 200))
        await terminal.heard(range(100, 200))
        assert set(bus.numbers) == set(terminal.numbers) == set(range(100, 200))
        assert {o.identity.merchant_id for r in bus.responses for o in r.outcomes} == {BUS}
        assert not newcomer.numbers


async def test_a_service_has_no_outcomes(channel: grpc.aio.Channel) -> None:
    async with subscribed(channel, merchant(BUS)) as bus, subscribed(channel, "onecard://service/settlement") as service:
        await bus.stands()
        assert await service.call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_another_merchants_cursor_is_refused(channel: grpc.aio.Channel) -> None:
    async with subscribed(channel, merchant("A")) as first:
        await first.stands()
        cursor = first.cursor
    for wrong in (b"nonsense", cursor):
        async with subscribed(channel, merchant("B"), wrong) as subscriber:
            assert await subscriber.call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_peers_certificate_says_which_merchant(broker: Broker, announcer: Announcer, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    ours = authority.issue("onecard://service/payments", hosts=("127.0.0.1",))
    listen = Listen("127.0.0.1:0", Tls(ours.certificate, ours.key, authority.certificate))
    async with outcome_server(broker.bootstrap, broker.kind, listen) as server:
        await server.start()
        heard = {}
        for name in (BUS, "THIEF"):
            issued = authority.issue(merchant(name))
            credentials = grpc.ssl_channel_credentials(
                authority.certificate.read_bytes(), issued.key.read_bytes(), issued.certificate.read_bytes()
            )
            async with (
                grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials) as channel,
                subscribed(channel, merchant(BUS)) as subscriber,  # what it says of itself does not count
            ):
                await subscriber.stands()
                await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 51)))
                await announcer.send(topics.OUTCOMES, outcomes(name, [99]))
                await subscriber.heard([99])
                heard[name] = set(subscriber.numbers)
    assert heard == {BUS: {*range(1, 51), 99}, "THIEF": {99}}


async def test_a_subscriber_that_comes_back_with_its_cursor_misses_nothing(
    channel: grpc.aio.Channel, announcer: Announcer
) -> None:
    async with subscribed(channel, merchant(BUS)) as first:
        await first.stands()
        begin = first.cursor
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 101)))
        await first.heard(range(1, 101))
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(101, 3001)))
    async with subscribed(channel, merchant(BUS), first.cursor) as again:
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(3001, 3101)))
        await again.heard(range(101, 3101))
        assert set(again.numbers) == set(range(101, 3101))
    async with subscribed(channel, merchant(BUS), begin) as from_the_beginning:
        await from_the_beginning.heard(range(1, 3101))
    async with subscribed(channel, merchant(BUS), again.cursor) as behind_everything:
        await announcer.send(topics.OUTCOMES, outcomes(BUS, [9999]))
        await behind_everything.heard([9999])
        assert set(behind_everything.numbers) == {9999}
    assert not any(s.lives for s in (first, again, from_the_beginning, behind_everything))


async def test_no_hole_opens_where_the_past_meets_the_present(channel: grpc.aio.Channel, announcer: Announcer) -> None:
    """Subscribers come and go while outcomes flow; together their streams are one without a gap."""
    rounds, each = 60, 50
    flowing = asyncio.create_task(_flow(announcer, rounds, each))
    cursor, seen, subscriptions = b"", set[int](), 0
    while len(seen) < rounds * each:
        async with subscribed(channel, merchant(BUS), cursor, BEGIN_OLDEST) as subscriber:
            await asyncio.sleep(0.15)
        subscriptions += 1
        seen |= set(subscriber.numbers)
        if subscriber.responses:
            cursor = subscriber.cursor
            assert seen == set(range(1, len(seen) + 1)), "in one partition nothing overtakes"
        assert subscriptions < 200
    await flowing
    assert subscriptions > 5


async def _flow(announcer: Announcer, rounds: int, each: int) -> None:
    for number in range(rounds):
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(number * each + 1, (number + 1) * each + 1)))
        await asyncio.sleep(0.03)


async def test_the_oldest_come_first_when_asked_for(channel: grpc.aio.Channel, announcer: Announcer) -> None:
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 1001)))
    async with subscribed(channel, merchant(BUS), begin=BEGIN_OLDEST) as subscriber:
        await subscriber.heard(range(1, 1001))
        assert not subscriber.lives


async def test_all_subscribers_of_a_merchant_hear_everything(channel: grpc.aio.Channel, announcer: Announcer) -> None:
    async with subscribed(channel, merchant(BUS)) as first, subscribed(channel, merchant(BUS)) as second:
        await asyncio.gather(first.stands(), second.stands())
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 501)))
        await asyncio.gather(first.heard(range(1, 501)), second.heard(range(1, 501)))


async def test_a_subscriber_that_does_not_read_holds_up_nobody_and_loses_nothing(
    channel: grpc.aio.Channel, port: int, announcer: Announcer
) -> None:
    everything = range(1, 40_001)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as its_own, subscribed(channel, merchant(BUS)) as quick:
        request = SubscribeRequest(begin=BEGIN_NOW)
        stub = OutcomeServiceStub(its_own)
        slow = stub.Subscribe(request, metadata=(("x-onecard-subject", merchant(BUS)),))
        first: SubscribeResponse = await slow.read()
        assert first.cursor
        await quick.stands()
        for begin in range(1, 40_001, 2000):
            await announcer.send(topics.OUTCOMES, outcomes(BUS, range(begin, begin + 2000)))
        await quick.heard(everything)
        heard: set[int] = set()
        async with asyncio.timeout(30):
            while len(heard) < len(everything):
                response = await slow.read()
                heard |= {outcome.identity.terminal_sequence for outcome in response.outcomes}
        slow.cancel()
    assert heard == set(everything)


async def test_a_silent_stream_says_that_it_lives_and_how_far_it_is(
    channel: grpc.aio.Channel, announcer: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "SILENCE_SECONDS", 0.2)
    async with subscribed(channel, merchant(BUS)) as subscriber:
        await subscriber.stands()
        for number in range(50):
            await announcer.send(topics.OUTCOMES, outcomes(f"OTHER-{number}", range(1, 11)))
        await until("it has moved without an outcome", lambda: subscriber.cursor != subscriber.responses[0].cursor)
        assert not subscriber.numbers


@pytest.mark.parametrize("away_seconds", [0, 4], ids=["restarted at once", "away for a while"])
async def test_a_stream_outlives_its_broker(
    broker: Broker, channel: grpc.aio.Channel, announcer: Announcer, away_seconds: float
) -> None:
    async with subscribed(channel, merchant(BUS)) as subscriber:
        await subscriber.stands()
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 101)))
        await subscriber.heard(range(1, 101))
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(away_seconds)
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(create_topics, broker.bootstrap, broker.kind, PARTITIONS)
        await announcer.send(topics.OUTCOMES, outcomes(BUS, range(101, 201)))
        await subscriber.heard(range(101, 201))
        # Tansu comes back as another cluster, with nothing; Apache Kafka with all that it had.
        assert subscriber.lives == (1 if broker.kind == "tansu" else 0)
        cursor = subscriber.cursor
    await announcer.send(topics.OUTCOMES, outcomes(BUS, [1000]))
    async with subscribed(channel, merchant(BUS), cursor) as again:
        await again.heard([1000])
        assert not again.lives
        assert set(again.numbers) == {1000}


async def test_a_cursor_of_another_life_begins_with_the_oldest(channel: grpc.aio.Channel, announcer: Announcer) -> None:
    async with subscribed(channel, merchant(BUS)) as first:
        await first.stands()
    cursor = Cursor("another-cluster", PARTITIONS, {home_of(BUS, PARTITIONS): 7})
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 101)))
    async with subscribed(channel, merchant(BUS), encode_cursor(cursor)) as subscriber:
        await subscriber.heard(range(1, 101))
        assert subscriber.responses[0].another_life
        assert subscriber.lives == 1


async def test_a_cursor_from_before_partitions_were_added_begins_with_the_oldest(
    channel: grpc.aio.Channel, announcer: Announcer
) -> None:
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 101)))
    async with subscribed(channel, merchant(BUS)) as first:
        await first.stands()
    fewer = PARTITIONS - 1
    cursor = Cursor(decode_cursor(first.cursor, BUS).cluster_id, fewer, {home_of(BUS, fewer): 50})
    async with subscribed(channel, merchant(BUS), encode_cursor(cursor)) as subscriber:
        await subscriber.heard(range(1, 101))
        assert not subscriber.lives, "nothing was lost: nothing need be emitted again"


async def test_many_that_come_back_at_once_each_get_what_is_theirs(channel: grpc.aio.Channel, announcer: Announcer) -> None:
    names = [f"SHOP-{number}" for number in range(40)]
    cursors = {}
    for name in names:
        async with subscribed(channel, merchant(name)) as before:
            await before.stands()
            cursors[name] = before.cursor
        await announcer.send(topics.OUTCOMES, outcomes(name, range(1, 11)))
    for begin in range(11, 311, 100):
        mixed = [outcome(name, number) for number in range(begin, begin + 100) for name in names]
        await announcer.send(topics.OUTCOMES, mixed)
    async with AsyncExitStack() as stack:
        back = {name: await stack.enter_async_context(subscribed(channel, merchant(name), cursors[name])) for name in names}
        for subscriber in back.values():
            await subscriber.heard(range(1, 311))
            assert set(subscriber.numbers) == set(range(1, 311))


@pytest.mark.skipif(os.environ.get("BROKER", "tansu") == "tansu", reason="Tansu does not say that a place does not exist")
async def test_a_place_that_is_not_kept_any_more_begins_with_the_oldest(
    channel: grpc.aio.Channel, announcer: Announcer
) -> None:
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 101)))
    async with subscribed(channel, merchant(BUS), begin=BEGIN_OLDEST) as first:
        await first.heard(range(1, 101))
    kept = decode_cursor(first.cursor, BUS)
    far = Cursor(kept.cluster_id, kept.partitions, {home_of(BUS, kept.partitions): 10_000})
    async with subscribed(channel, merchant(BUS), encode_cursor(far)) as subscriber:
        await subscriber.heard(range(1, 101))
        assert not subscriber.lives


async def test_a_server_that_ends_lets_its_subscribers_go_elsewhere(broker: Broker, announcer: Announcer) -> None:
    async with outcome_server(broker.bootstrap, broker.kind, HERE) as ending:
        await ending.start()
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{ending.port}") as channel,
            subscribed(channel, merchant(BUS)) as first,
        ):
            await first.stands()
            await asyncio.wait_for(ending.drain(10), 5)
            assert await first.call.code() is grpc.StatusCode.UNAVAILABLE
    await announcer.send(topics.OUTCOMES, outcomes(BUS, range(1, 11)))
    async with outcome_server(broker.bootstrap, broker.kind, HERE) as another:
        await another.start()
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{another.port}") as channel,
            subscribed(channel, merchant(BUS), first.cursor) as second,
        ):
            await second.heard(range(1, 11))
