"""The process of the live windows at a real broker: taps in, figures and alerts out, and a kill in between."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from signal import SIGSTOP

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.broker import Broker
from onecard.payments.v1.alerts_pb2 import Alert, AlertKind
from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.common.announce import Announcer
from tests.support.road import Road, read_topics
from tests.support.town import BUS, CAMPUS, SCENIC, Database, build_town, bus_ride, card_identifier, entry, now_ms, purchase
from tests.support.waiting import until
from tests.support.worker import Worker, settings

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.environ.get("BROKER", "tansu") == "tansu", reason="Tansu has no tables: it compacts no topic"),
]

CITY = f"""\
city = "a test's"
source = "nobody"
[travel]
fastest_km_h = 300
nearest_km = 5
[burst]
card_taps = 6
terminal_taps = 50
[takings]
largest_price_fen = 20000
[place.{CAMPUS}]
latitude = 22.60
longitude = 113.08
[place.{SCENIC}]
latitude = 21.71
longitude = 112.78
"""
TAKINGS, TAPS, RIDERS = "onecard_live_merchant_takings_fen", "onecard_live_merchant_taps", "onecard_live_line_riders"
MINUTE_MS = 60_000


class Live(Worker):
    """The process as it is started."""

    module = "services.payments"
    arguments = ("live",)


@pytest.fixture
async def announcer(broker: Broker) -> AsyncIterator[Announcer]:
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    yield announcer
    await announcer.stop()


@pytest.fixture
async def live(broker: Broker, database: Database, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Live]:
    await build_town(engine, cards=0)
    city = tmp_path / "live.toml"
    city.write_text(CITY)
    environment = {**settings(database.application_url, broker), "ONECARD_LIVE": str(city)}
    del environment["ONECARD_VAULT"], environment["ONECARD_VAULT_PIN"]  # whoever verifies nothing needs no key
    live = Live("live", tmp_path, environment)
    yield live
    live.end()


async def tell(announcer: Announcer, records: Iterable[SignedRecord]) -> None:
    by_topic: dict[str, list[tuple[bytes | None, bytes]]] = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append((record.key, record.record))
    for topic, messages in by_topic.items():
        await announcer.send(topic, messages)


async def alerts(broker: Broker) -> list[Alert]:
    return [Alert.FromString(value) for _, _, value in await asyncio.to_thread(read_topics, broker.bootstrap, (topics.ALERTS,))]


async def test_taps_become_figures_and_alerts_and_a_killed_process_goes_on_where_it_was(
    live: Live, announcer: Announcer, broker: Broker
) -> None:
    live.start()
    now = now_ms()
    # In the minute that is over and in the one that runs: the test may meet the turn of one.
    await tell(announcer, [bus_ride(card, at_ms=at, terminal=card % 8) for card in range(30) for at in (now, now - MINUTE_MS)])
    await tell(announcer, [purchase(card, 500, terminal=card % 8) for card in range(40)])
    await tell(announcer, [entry(7)])  # a moment after lunch, and 100 km away
    await until("the riders are shown", lambda: live.metric(RIDERS, line="L1") == 30)
    await until("the takings are shown", lambda: live.metric(TAKINGS, merchant=CAMPUS) == 20_000)
    await until("the taps are shown", lambda: live.metric(TAPS, merchant=BUS) == 60)
    await until("the alert is counted", lambda: live.metric("onecard_live_alerts_total", kind="IMPOSSIBLE_TRAVEL") == 1)
    (alert,) = await alerts(broker)
    assert alert.kind == AlertKind.ALERT_KIND_IMPOSSIBLE_TRAVEL
    assert {alert.merchant_id, CAMPUS, SCENIC} == {CAMPUS, SCENIC}
    assert len(alert.card_digest) == 16
    assert card_identifier(7).encode() not in alert.SerializeToString()

    await tell(announcer, [purchase(card, 100, terminal=card % 8) for card in range(100, 2100)])
    live.end()
    live.start()
    await until("it counts on", lambda: live.metric(TAKINGS, merchant=CAMPUS) >= 220_000)
    assert live.metric(TAPS, merchant=BUS) >= 60
    assert live.metric(RIDERS, line="L1") in (0, 30)  # their minutes may be over by now

    await asyncio.sleep(2)  # offsets are committed each half second
    live.end()
    live.start()
    await until("it knows without another tap", lambda: live.metric(TAKINGS, merchant=CAMPUS) >= 220_000)
    assert live.metric("onecard_live_records_total") == 0


async def test_bursts_are_told_and_strangers_are_passed_over(live: Live, announcer: Announcer, broker: Broker) -> None:
    live.start()
    at = (now_ms() // MINUTE_MS) * MINUTE_MS
    await tell(announcer, [bus_ride(1, at_ms=at + n, terminal=n) for n in range(8)])
    await tell(announcer, [bus_ride(card, at_ms=at + card, terminal=7) for card in range(100, 160)])
    await tell(announcer, [bus_ride(1, at_ms=at, terminal=99)])
    await announcer.send(topics.TRANSACTIONS_BUS, [(b"x", b"no message")])
    await until("all were looked at", lambda: live.metric("onecard_live_records_total") == 70)
    assert live.metric("onecard_live_records_total", outcome="skipped") == 2
    await until("alerts are counted", lambda: live.metric("onecard_live_alerts_total") == 2)
    card, terminal = sorted(await alerts(broker), key=lambda alert: alert.kind)
    assert (card.kind, card.event_time_ms) == (AlertKind.ALERT_KIND_CARD_BURST, at + 6)
    assert (terminal.kind, terminal.terminal_id) == (AlertKind.ALERT_KIND_TERMINAL_BURST, f"{BUS}-T7")
    assert card.card_digest
    assert not terminal.card_digest


async def test_posting_knows_nothing_of_it(road: Road, tmp_path: Path) -> None:
    """A frozen process of the live windows holds nobody up, and posts nothing once it goes on."""
    live = Live("live", tmp_path, settings(road.database.application_url, road.broker))
    live.start()
    try:
        road.terminals.tap([bus_ride(1)])
        await until("it counts", lambda: live.metric("onecard_live_records_total") >= 1)
        live.child.signal(SIGSTOP)
        road.worker()
        road.terminals.tap([bus_ride(card) for card in range(100)])
        await road.terminals.answered()
        await road.exactly()
        live.thaw()
        await until("it counts on", lambda: live.metric("onecard_live_records_total") >= 101)
        assert (await road.exactly()).agrees
    finally:
        live.end()


async def test_what_is_over_is_dropped_from_what_a_restart_reads(live: Live, announcer: Announcer, broker: Broker) -> None:
    live.start()
    await tell(announcer, [purchase(1, 500, at_ms=now_ms() - 60 * MINUTE_MS + 5000), bus_ride(1)])
    pages = f"{topics.LIVE}-whereabouts-changelog"
    await until("it was counted", lambda: live.metric("onecard_live_records_total") == 2)
    dropped = 0

    async def is_dropped() -> bool:
        nonlocal dropped
        dropped = sum(value is None for _, _, value in await asyncio.to_thread(read_topics, broker.bootstrap, (pages,)))
        return bool(dropped)

    await until("its page is dropped", is_dropped)
    assert dropped == 1
    live.end()
    live.start()
    await until("it begins again", lambda: live.metric(TAPS, merchant=BUS) == 1)
