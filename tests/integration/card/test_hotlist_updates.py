"""The hotlist on its way to terminals: over Kafka as deltas and snapshots in order, over gRPC by the shorter way."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.merchant.pull import PullError, pull_once
from cli.servers.broker import Broker as KafkaBroker
from onecard.card.v1.hotlist_pb2 import GetHotlistRequest, HotlistUpdate
from onecard.card.v1.hotlist_pb2_grpc import HotlistServiceStub
from sdk.merchant.access import Access, credentials_in, terminal_credentials
from sdk.merchant.hotlist import Hotlist
from sdk.merchant.hotlist_puller import HotlistPuller, pull
from sdk.merchant.hotlist_update import Step, Version
from services.card.adapters.hotlist import read_standing
from services.card.adapters.hotlist_relay import note_complete
from services.card.adapters.hotlist_updates import CHUNK
from services.card.domain.life_cycle import Verb
from services.card.domain.settings import HotlistRules
from services.card.handlers.relay_hotlist import RelayHotlist
from services.common.announce import Announcer
from services.common.database import driver_session, driver_transaction
from services.common.topic_reader import read_topic
from services.common.topics import CARD_HOTLIST
from tests.integration.card.test_hotlist import CROWD
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import Registry
from tests.support.edge import reason_of
from tests.support.hall import ISSUANCE, WINDOW, Hall
from tests.support.relay import Broker as Events
from tests.support.relay import relay_once
from tests.support.town import now_ms

MANY = 100_000
RULES = HotlistRules(snapshot_versions=1_000, snapshot_hours=6, pulls_per_minute=120)


class Road:
    """The topic in memory."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes]] = []

    async def send(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        assert topic == CARD_HOTLIST
        self.records += messages

    @property
    def updates(self) -> list[HotlistUpdate]:
        return [HotlistUpdate.FromString(value) for _, value in self.records]

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(update.from_version, update.version) for update in self.updates]


async def publish(registry: Registry, road: Any, rules: HotlistRules = RULES, relay: RelayHotlist | None = None) -> None:
    relay = relay or RelayHotlist(road, rules)
    async with registry.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        while not await relay(connection):
            pass


async def change(registry: Registry, card: int, *verbs: Verb) -> None:
    """Each verb makes a version."""
    for verb in verbs:
        assert (await registry.change(card, verb)).refusal is None
        await relay_once(registry, Events())


async def standing(registry: Registry) -> frozenset[str]:
    async with driver_transaction(registry.engine) as driver:
        return frozenset([identifier async for identifier in read_standing(driver)])


async def bar_a_crowd(owner: Owner, many: int) -> None:
    """In one version, without a relay's rounds."""
    await owner.execute("set session_replication_role = replica")  # people whose papers nobody looks at
    await owner.execute(CROWD, many)
    await owner.execute("delete from card.event_outbox")
    await owner.execute("insert into card.hotlist (epoch, version, entries) values (1, 1, $1)", many)
    await owner.execute(
        "insert into card.hotlist_entry (card, version, publish_time, came_in) select id, 1, now(), 1 from card.card"
    )


@asynccontextmanager
async def stub_of(hall: Hall, subject: str) -> AsyncIterator[HotlistServiceStub]:
    window = await hall.window(subject=subject, token="")
    yield HotlistServiceStub(window.channel)


async def ask(hall: Hall, epoch: int = 0, version: int = 0, subject: str = WINDOW) -> list[HotlistUpdate]:
    async with stub_of(hall, subject) as stub:
        return [answer.update async for answer in stub.GetHotlist(GetHotlistRequest(epoch=epoch, version=version), timeout=30)]


def access(hall: Hall, folder: Path) -> Access:
    """As a merchant's program finds its certificate."""
    issued = hall.authority.issue("onecard://merchant/BUS")
    for source, name in (
        (issued.certificate, "BUS.crt"),
        (issued.key, "BUS.key"),
        (hall.authority.certificate, "authority.crt"),
    ):
        (folder / name).write_bytes(source.read_bytes())
    assert terminal_credentials(folder, "BUS", "B01") is None
    return Access(f"localhost:{hall.port}", credentials_in(folder))


async def test_each_version_is_published_in_order_as_what_changed_and_names_card_identifiers_alone(registry: Registry) -> None:
    first, second = await registry.first_card(1), await registry.first_card(2)
    road = Road()
    await change(registry, first, Verb.REPORT_TEMPORARY_LOSS)
    await publish(registry, road)
    await change(registry, second, Verb.REPORT_FORMAL_LOSS)
    await change(registry, first, Verb.RELEASE, Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE)
    await publish(registry, road)
    assert road.steps == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert {key for key, _ in road.records} == {b"hotlist"}
    async with driver_session(registry.engine) as driver:
        (lost,) = await driver.fetch("select card_identifier from card.card where id = $1", first)
        (stays,) = await driver.fetch("select card_identifier from card.card where id = $1", second)
    one, other = lost[0], stays[0]
    assert [(list(update.added), list(update.removed)) for update in road.updates] == [
        ([one], []),
        ([other], []),
        ([], [one]),
        ([one], []),
        ([], [one]),
    ]
    assert await standing(registry) == {other}
    assert all(update.publish_time_ms for update in road.updates)


async def test_a_snapshot_follows_after_the_versions_that_the_city_says(registry: Registry) -> None:
    card, road = await registry.first_card(1), Road()
    await publish(registry, road)
    assert road.steps == []
    await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
    await publish(registry, road)
    await change(registry, card, Verb.RELEASE, Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE)
    await publish(registry, road, replace(RULES, snapshot_versions=3))
    assert road.steps == [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]


async def test_a_quiet_list_says_that_it_is_complete_all_the_same(registry: Registry, tmp_path: Path) -> None:
    card, road, clock = await registry.first_card(1), Road(), iter((0.0, 10.0, 40.0))
    relay = RelayHotlist(road, RULES, clock=lambda: next(clock))  # type: ignore[arg-type]  # a topic in memory
    await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
    until = now_ms() + 1_000
    for _ in range(4):
        await publish(registry, road, relay=relay)
        async with driver_session(registry.engine) as driver:
            until += 1_000
            await note_complete(driver, until)
            await note_complete(driver, until - 500)
    assert road.steps == [(0, 1), (1, 1), (1, 1)]
    with Hotlist(tmp_path / "hotlist", clock=lambda: until / 1000) as hotlist:
        steps = [hotlist.take(update) for update in road.updates]
        assert steps == [Step.APPLIED, Step.CURRENT, Step.CURRENT]
        assert hotlist.age_seconds == pytest.approx(1.0)


async def test_two_relays_publish_each_version_in_order_and_a_reader_hears_them_as_one(
    registry: Registry, tmp_path: Path
) -> None:
    card, road = await registry.first_card(1), Road()
    await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
    await publish(registry, road)
    await change(registry, card, *(Verb.RELEASE, Verb.REPORT_TEMPORARY_LOSS) * 5, Verb.RELEASE)
    await asyncio.gather(publish(registry, road), publish(registry, road))
    steps = [step for step in road.steps if step[0]]
    assert set(steps) == {(version - 1, version) for version in range(2, 13)}
    with Hotlist(tmp_path / "hotlist") as hotlist:
        taken = [hotlist.take(update) for update in road.updates]
        assert Step.HOLE not in taken
        assert (hotlist.version, hotlist.entries) == (Version(1, 12), 0)


async def test_what_was_sent_and_not_noted_is_sent_again(registry: Registry) -> None:
    card, road = await registry.first_card(1), Road()
    await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)

    async def die(point: str) -> None:
        assert point == "hotlist sent"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await publish(registry, road, relay=RelayHotlist(road, RULES, die))  # type: ignore[arg-type]
    await publish(registry, road)
    assert road.steps == [(0, 1), (0, 1)]


async def test_no_card_is_missing_however_many_and_no_record_is_too_large(
    registry: Registry, hall: Hall, owner: Owner, tmp_path: Path
) -> None:
    """Known fault 3."""
    await bar_a_crowd(owner, MANY)
    road, listed = Road(), await standing(registry)
    await publish(registry, road)
    assert len(listed) == MANY
    assert len(road.records) == -(-MANY // CHUNK)
    assert len(HotlistUpdate(added=["X" * 32] * CHUNK).SerializeToString()) + 64 <= 256_000
    with Hotlist(tmp_path / "read") as read:
        assert [read.take(update) for update in road.updates][-1] is Step.APPLIED
        assert read.cards() == listed
    line = access(hall, tmp_path).connect("BUS")
    with Hotlist(tmp_path / "pulled") as pulled:
        assert await asyncio.to_thread(pull, pulled, line) is Step.APPLIED
        assert pulled.cards() == listed
        assert await asyncio.to_thread(pull, pulled, line) is Step.CURRENT
    line.channel.close()


async def test_whoever_asks_is_given_the_shorter_way(registry: Registry, hall: Hall) -> None:
    cards = [await registry.first_card(number) for number in range(1, 5)]
    (empty,) = await ask(hall)
    assert (empty.version, empty.from_version, list(empty.added)) == (0, 0, [])
    for card in cards:
        await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
    (delta,) = await ask(hall, 1, 3)
    assert (delta.from_version, delta.version, len(delta.added)) == (3, 4, 1)
    (current,) = await ask(hall, 1, 4)
    assert (current.from_version, current.version, list(current.added), current.chunks) == (4, 4, [], 1)
    assert current.complete_time_ms >= current.publish_time_ms - 1_000 > 0
    for epoch, unknown in ((1, 9), (2, 3), (0, 0), (7, 2**63 - 1)):
        (snapshot,) = await ask(hall, epoch, unknown)
        assert (snapshot.from_version, len(snapshot.added)) == (0, 4)
    for card in cards[1:]:
        await change(registry, card, Verb.RELEASE)
    (shorter,) = await ask(hall, 1, 4)
    assert (shorter.from_version, shorter.version, len(shorter.added)) == (0, 7, 1)  # one card instead of three that left


async def test_a_delta_from_every_older_version_leads_to_the_same_list(registry: Registry, hall: Hall) -> None:
    first, second = await registry.first_card(1), await registry.first_card(2)
    lists = {0: frozenset[str]()}
    for card, verb in [
        (first, Verb.REPORT_TEMPORARY_LOSS),
        (second, Verb.REPORT_TEMPORARY_LOSS),
        (first, Verb.RELEASE),
        (first, Verb.REPORT_TEMPORARY_LOSS),
        (second, Verb.RELEASE),
        (second, Verb.REPORT_FORMAL_LOSS),
    ]:
        await change(registry, card, verb)
        lists[len(lists)] = await standing(registry)
    for older, listed in lists.items():
        (update,) = await ask(hall, 1, older)
        before = listed if update.from_version else frozenset[str]()
        assert (before - frozenset(update.removed)) | frozenset(update.added) == lists[6]


async def test_a_restored_card_service_replaces_the_list_though_nothing_has_changed_since_its_backup(
    registry: Registry, hall: Hall, owner: Owner, tmp_path: Path
) -> None:
    card, road = await registry.first_card(1), Road()
    await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
    lost = HotlistUpdate(epoch=1, version=9, added=["OF-A-VERSION-THAT-WAS-LOST"], chunks=1)
    line = access(hall, tmp_path).connect("BUS")
    with Hotlist(tmp_path / "hotlist") as hotlist:
        hotlist.take(lost)
        assert await asyncio.to_thread(pull, hotlist, line) is Step.STALE
        await publish(registry, road)
        await owner.execute("update card.installation set epoch = 2")
        await owner.execute("insert into card.event_outbox (card, version) select id, version from card.card")
        await relay_once(registry, Events())
        assert await asyncio.to_thread(pull, hotlist, line) is Step.APPLIED
        assert (hotlist.version, hotlist.cards()) == (Version(2, 2), await standing(registry))
    await publish(registry, road)
    assert [(update.epoch, update.from_version) for update in road.updates] == [(1, 0), (2, 0)]
    line.channel.close()


async def test_terminals_and_merchants_may_read_it_and_nobody_else(registry: Registry, hall: Hall) -> None:
    for subject in (WINDOW, "onecard://merchant/BUS", "onecard://merchant/BUS/terminal/B01"):
        assert len(await ask(hall, subject=subject)) == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(hall, subject=ISSUANCE)
    assert reason_of(refused.value) == "TERMINAL_NEEDED"
    authority = grpc.ssl_channel_credentials(hall.authority.certificate.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{hall.port}", authority) as nobody:
        with pytest.raises(grpc.aio.AioRpcError) as turned_away:
            async for _ in HotlistServiceStub(nobody).GetHotlist(GetHotlistRequest(), timeout=10):
                pass
    assert turned_away.value.code() is grpc.StatusCode.UNAVAILABLE  # the handshake fails


async def test_who_asks_too_often_waits_for_the_next_minute_and_the_others_do_not(registry: Registry, hall: Hall) -> None:
    busy = "onecard://merchant/BUS/terminal/FAULTY"

    async def pull_without_end() -> None:
        async with stub_of(hall, busy) as stub:
            for _ in range(2 * registry.settings.hotlist.pulls_per_minute + 1):  # a minute may end in between
                async for _ in stub.GetHotlist(GetHotlistRequest(), timeout=10):
                    pass

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await pull_without_end()
    assert (refused.value.code(), reason_of(refused.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PULLS")
    assert len(await ask(hall)) == 1


async def test_a_puller_keeps_a_list_fresh_and_goes_on_when_the_platform_is_back(
    registry: Registry, hall: Hall, tmp_path: Path
) -> None:
    card, road = await registry.first_card(1), access(hall, tmp_path)
    away = [True]

    def connect() -> Any:
        if away:
            raise FileNotFoundError(away.pop())
        return road.connect("BUS")

    with Hotlist(tmp_path / "hotlist") as hotlist, HotlistPuller(hotlist, connect, every_seconds=0.05) as puller:
        await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
        async with asyncio.timeout(20):
            while hotlist.entries != 1:
                await asyncio.sleep(0.02)
            await change(registry, card, Verb.RELEASE)
            while hotlist.entries:
                await asyncio.sleep(0.02)
        assert puller.down_since is None
        assert hotlist.version == Version(1, 2)


async def test_the_command_pulls_once_and_says_version_age_and_count(registry: Registry, hall: Hall, tmp_path: Path) -> None:
    road = access(hall, tmp_path)
    await change(registry, await registry.first_card(1), Verb.REPORT_TEMPORARY_LOSS)
    for what in ("applied", "current"):
        said = await asyncio.to_thread(pull_once, tmp_path / "merchant.hotlist", road, "BUS")
        assert re.fullmatch(rf"epoch 1, version 1, \d+\.\d s old, 1 cards \({what}\)", said)
    with pytest.raises(PullError, match="no certificate"):
        pull_once(tmp_path / "merchant.hotlist", road, "NOBODY")


async def test_over_the_broker_a_reader_comes_to_the_same_list(registry: Registry, broker: KafkaBroker, tmp_path: Path) -> None:
    cards = [await registry.first_card(number) for number in range(1, 4)]
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    try:
        before = len(await asyncio.to_thread(lambda: list(read_topic(broker.bootstrap, CARD_HOTLIST))))
        for card in cards:
            await change(registry, card, Verb.REPORT_TEMPORARY_LOSS)
            await publish(registry, announcer)
        await change(registry, cards[0], Verb.RELEASE)
        await publish(registry, announcer)
        records = await asyncio.to_thread(lambda: list(read_topic(broker.bootstrap, CARD_HOTLIST)))
    finally:
        await announcer.stop()
    with Hotlist(tmp_path / "hotlist") as hotlist:
        steps = [hotlist.take(HotlistUpdate.FromString(record)) for record in records[before:]]
        assert steps == [Step.APPLIED] * 4
        assert (hotlist.version, hotlist.cards()) == (Version(1, 4), await standing(registry))
