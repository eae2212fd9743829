"""The process of the live windows: counts what is fetched, keeps it in Faust tables, raises alerts.

A group and a process of its own: posting neither waits for it nor knows of it. One process; the tables are of all partitions.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final, NoReturn

import faust
import structlog
from mode.supervisors import CrashingSupervisor

from services.common import topics
from services.common.announce import Announcer
from services.common.clock import now_ms
from services.common.database import DatabaseError, Pause, make_engine, place_of, sqlstate_of
from services.common.environment import ConfigError
from services.common.schema import nothing_more, when_borne
from services.payments import metrics
from services.payments.adapters.alerts import encode_alert
from services.payments.adapters.fetches import FetchSchema, Gathering, deliver_fetches, records_in
from services.payments.adapters.live_file import read_live_rules
from services.payments.adapters.live_tables import KeptTable, TableConsumer
from services.payments.adapters.registry import Registry
from services.payments.adapters.wire import SCENE_OF_TOPIC, Received
from services.payments.config import Config
from services.payments.domain.alert import Alert
from services.payments.domain.calendar import service_day
from services.payments.domain.live import LiveWindows, minute_of
from services.payments.faust_process import DisklessApp, run_app, wait_for_broker
from services.payments.handlers.count_live import CardDigest, CountLive
from services.payments.migrations import SCHEMA

log = structlog.get_logger()

_KEEP_SECONDS: Final = 1.0
"""What was counted meanwhile is kept, and its fetches are acknowledged, together: the more, the fewer rows for each tap."""
_MOST_COUNTED: Final = 8000
"""Kept at once when so many records are counted, as from a backlog: otherwise it would wait for fetches to be acknowledged."""
_FORGET_SECONDS: Final = 5.0


class LiveWorker:
    """Wires the process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._windows = LiveWindows(read_live_rules(config.live, config.clock_tolerance_seconds * 1000))
        self._announcer = Announcer(config.kafka, config.kafka_security)
        self._ready = asyncio.Event()
        self._registry_unread = False
        self._fetches: list[Any] = []
        """Counted, and not yet kept."""
        self._counted = 0
        """How many records they hold."""
        self._full = asyncio.Event()
        self._alerts: list[Alert] = []
        self.app = self._make_app()
        self._tables = [KeptTable(self.app, name, getattr(self._windows, name)) for name in topics.LIVE_TABLES]

    def _make_app(self) -> faust.App:
        config = self._config
        app = DisklessApp.of(topics.LIVE, config, stream_recovery_delay=0)
        deliver_fetches(app, Gathering(500_000, config.fetch_max_wait_ms, passes_over=False), TableConsumer)
        source = app.topic(*SCENE_OF_TOPIC, schema=FetchSchema())
        app.agent(source, name="live", concurrency=1, supervisor_strategy=CrashingSupervisor)(self._take_fetches)
        app.task(self._work)
        return app

    async def _work(self, app: faust.App) -> None:
        """Everything beside the agent; whatever ends here with an error ends the process, and another one goes on."""
        engine = make_engine(self._config.database_url, SCHEMA.session("payments-live"), sessions=1)
        try:
            self._registry = Registry(engine)
            self._count = CountLive(self._windows, self._registry, CardDigest(self._config.batch_key))
            await self._announcer.start()
            await self._read_registry_patiently(Pause(place_of(engine)))
            self._ready.set()
            await self._keep_for_ever(app)
        finally:
            await self._announcer.stop()
            await engine.dispose()

    async def _take_fetches(self, stream: Any) -> None:
        await self._ready.wait()
        async for event in stream.noack().events():
            await self._read_registry()
            for _, run in event.value:
                records = [Received(r.topic, r.partition, r.offset, r.timestamp, r.value or b"") for r in run]
                self._alerts += self._count.count(records, now_ms())
            self._fetches.append(event)
            self._counted += records_in(event.value)
            if self._counted >= _MOST_COUNTED:
                self._full.set()

    async def _read_registry_patiently(self, pause: Pause) -> None:
        """Whoever knows no terminal would skip every tap."""
        while True:
            try:
                return await self._registry.refresh()
            except DatabaseError as error:
                await pause.wait(error)

    async def _read_registry(self) -> None:
        """While the database is away, taps are read with what is known of terminals."""
        try:
            await self._registry.refresh_if_due()
            self._registry_unread = False
        except DatabaseError as error:
            if not self._registry_unread:
                log.warning("registry_unread", sqlstate=sqlstate_of(error))
            self._registry_unread = True

    async def _keep_for_ever(self, app: faust.App) -> None:
        clock = asyncio.get_running_loop().time
        forget_at = clock() + _FORGET_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_SECONDS):
                    await self._full.wait()
            if app.in_recovery or not app.tables.actives_ready:
                await asyncio.sleep(_KEEP_SECONDS)  # a rebalance: what was counted will be read again
                continue
            self._full.clear()
            self._counted = 0
            if clock() >= forget_at:
                self._windows.forget(now_ms())
                forget_at = clock() + _FORGET_SECONDS
            fetches, self._fetches = self._fetches, []
            alerts, self._alerts = self._alerts, []
            await self._announce(alerts)
            self._keep(fetches)
            self._show()

    async def _announce(self, alerts: list[Alert]) -> None:
        await self._announcer.send(topics.ALERTS, (encode_alert(alert, now_ms()) for alert in alerts))
        for alert in alerts:
            metrics.LIVE_ALERTS.labels(alert.kind.name).inc()

    def _keep(self, fetches: list[Any]) -> None:
        """Rows first, then the fetches that they are of: a crash between the two counts some taps twice."""
        for table in self._tables:
            table.keep()
        for event in fetches:
            event.ack()

    def _show(self) -> None:
        now = now_ms()
        metrics.LINE_RIDERS.set(self._windows.riders.of(minute_of(now) - 1))
        metrics.MERCHANT_TAKINGS.set(self._windows.takings.of(service_day(now)))
        metrics.MERCHANT_TAPS.set(self._windows.taps.of(service_day(now)))


async def _wait_for_servers(config: Config) -> None:
    await wait_for_broker(config)
    engine = make_engine(config.database_url, SCHEMA.session("payments-live"), sessions=1)
    try:
        await when_borne(engine, SCHEMA, nothing_more)
    finally:
        await engine.dispose()


def run_live(config: Config) -> NoReturn:
    """Run the process until SIGTERM or SIGINT; exits with 1 when it crashed, so that its supervisor starts another one.

    Raises SchemaError.
    """
    if config.broker == "tansu":
        raise ConfigError("the live windows need Apache Kafka: Tansu compacts no topic, and tables cannot be rebuilt from it")
    run_app(config.metrics_port, _wait_for_servers(config), lambda _: LiveWorker(config).app)
