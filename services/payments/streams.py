"""The stream worker: takes fetches from Kafka, posts their runs over a few lanes, acknowledges what is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

import faust
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from services.common import topics
from services.common.announce import Announcer
from services.common.database import make_engine
from services.common.housekeeping import Housekeeping
from services.common.keyvault.process import harden
from services.common.keyvault.vault import EpochRoots
from services.common.schema import when_borne
from services.common.tracing import span
from services.payments.adapters.cards import CardProjection
from services.payments.adapters.epochs import EpochKeys, open_terminal_vault
from services.payments.adapters.fetches import FetchSchema, Gathering, Run, deliver_fetches
from services.payments.adapters.ledger import AtPoint, BatchKey, Ledger, pass_by
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.tariffs import read_rules
from services.payments.adapters.wire import SCENE_OF_TOPIC, Received
from services.payments.adapters.work_log import WorkLog
from services.payments.config import Config
from services.payments.domain.book import Rules
from services.payments.faust_process import DisklessApp, run_app, wait_for_broker
from services.payments.handlers.end_rides import EndRides
from services.payments.handlers.operate import Operate
from services.payments.handlers.post_taps import Owed, PostTaps
from services.payments.handlers.project_cards import ProjectCards
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from services.payments.handlers.sweep import Sweep
from services.payments.housekeeping import ELECTION, SESSIONS, duties, make_partitions
from services.payments.lanes import Lane, OpenFetch
from services.payments.metrics import CONSUMER_LAG
from services.payments.migrations import SCHEMA

GROUP: Final = "payments-streams"
"""The consumer group: its committed offsets are how far taps have been posted and answered."""

Handle = Callable[[Sequence[Received]], Awaitable[Owed]]


class StreamWorker:
    """Wires one worker; `at` is called at the named points of each posting, for tests that stop it there."""

    def __init__(self, config: Config, rules: Rules, vault: EpochRoots, at: AtPoint = pass_by) -> None:
        self._config = config
        self._rules = rules
        self._vault = vault
        self._at = at
        self._announcer = Announcer(config.kafka, config.kafka_security)
        self._lanes: list[Lane] = []
        self._ready = asyncio.Event()
        self._done = WorkLog()
        self.app = self._make_app()

    def _make_app(self) -> faust.App:
        config = self._config
        app = DisklessApp.of(GROUP, config)
        deliver_fetches(app, Gathering(500_000, config.fetch_max_wait_ms, passes_over=config.broker == "tansu"))
        source = app.topic(*SCENE_OF_TOPIC, topics.CARD_EVENTS, schema=FetchSchema())
        app.agent(source, name="fetches", concurrency=1, supervisor_strategy=CrashingSupervisor)(self._take_fetches)
        app.task(self._work)
        return app

    async def _work(self, app: faust.App) -> None:
        """Everything beside the agent; whatever ends here with an error ends the worker, and another one takes over."""
        engine = make_engine(
            self._config.database_url, SCHEMA.session("payments-streams"), sessions=self._config.lanes + 3 + SESSIONS
        )
        try:
            registry = Registry(engine)
            keys = EpochKeys(engine, self._vault)
            await when_borne(engine, SCHEMA, keys.begin)
            verifier = Verifier(keys)
            key = BatchKey(self._config.batch_key, self._config.batch_key_version)
            ledger = Ledger(engine, self._rules, key, self._at, work=self._done)
            post = PostTaps(ledger, registry, verifier)
            replay = ReplayDeadLetters(engine, post, registry, verifier)
            project = ProjectCards(CardProjection(engine), post, replay)
            await self._announcer.start()
            self._lanes = [self._lane(post) for _ in range(self._config.lanes)]
            self._card_lane = self._lane(project)
            self._ready.set()
            async with asyncio.TaskGroup() as group:
                for lane in (*self._lanes, self._card_lane):
                    group.create_task(lane.run())
                sweep = Sweep(engine, Operate(ledger))
                rides = EndRides(ledger, self._rules)
                groups = duties(self._announcer, replay, sweep, rides, key, self._config.checkpoints)
                group.create_task(Housekeeping(engine, ELECTION, groups).run())
        finally:
            self._done.say()
            await self._announcer.stop()
            await engine.dispose()

    def _lane(self, handle: Handle) -> Lane:
        return Lane(partial(self._post_and_announce, handle), self._config.batch_limit)

    async def _post_and_announce(self, handle: Handle, records: Sequence[Received]) -> None:
        with span("batch", records=len(records)):
            owed = await handle(records)
            with span("announce", outcomes=len(owed.outcomes)):
                await self._announcer.send(
                    topics.OUTCOMES, ((merchant.encode(), outcome) for merchant, outcome in owed.outcomes)
                )  # fmt: skip
                await self._announcer.send(topics.DEAD_LETTERS, ((None, letter) for letter in owed.dead_letters))
        await self._at("sent")

    async def _take_fetches(self, stream: Any) -> None:
        await self._ready.wait()
        async for event in stream.noack().events():
            runs: list[Run] = event.value
            pieces = [(lane, piece) for tp, run in runs for lane, piece in self._cut(tp, run)]
            CONSUMER_LAG.opened((tp.topic, tp.partition, run[0].timestamp) for tp, run in runs)
            fetch = OpenFetch(len(pieces), partial(self._acknowledge, event, runs))
            for lane, piece in pieces:
                lane.put(piece, fetch)

    def _cut(self, tp: TP, run: list[Any]) -> Iterable[tuple[Lane, Sequence[Received]]]:
        records = [Received(r.topic, r.partition, r.offset, r.timestamp, r.value or b"") for r in run]
        lane = self._card_lane if tp.topic == topics.CARD_EVENTS else self._lanes[tp.partition % len(self._lanes)]
        return ((lane, piece) for piece in lane.pieces(records))

    async def _acknowledge(self, event: Any, runs: list[Run]) -> None:
        event.ack()
        CONSUMER_LAG.closed((tp.topic, tp.partition) for tp, _ in runs)
        for tp, run in runs:
            if tp.topic in SCENE_OF_TOPIC:
                self._done.acknowledged(tp.topic, tp.partition, run[0].offset, run[-1].offset)
        await self._at("acknowledged")


async def wait_for_servers(config: Config) -> Rules:
    """Wait until the broker and the migrated database answer, saying what is awaited and where; read the rules.

    Raises SchemaError.
    """
    await wait_for_broker(config)
    engine = make_engine(config.database_url, SCHEMA.session("payments-streams"), sessions=1)

    async def read() -> Rules:
        async with engine.begin() as connection:
            await make_partitions(connection)
        return await read_rules(engine, config)

    try:
        return await when_borne(engine, SCHEMA, read)
    finally:
        await engine.dispose()


def run_worker(config: Config, at: AtPoint = pass_by) -> NoReturn:
    """Run a worker until SIGTERM or SIGINT; exits with 1 when it crashed, so that its supervisor starts another one.

    Raises SchemaError and VaultError.
    """
    harden()
    vault = open_terminal_vault(config, on_loopback=config.broker_on_loopback)
    run_app(config.metrics_port, wait_for_servers(config), lambda rules: StreamWorker(config, rules, vault, at).app)
