"""The whole road of one test: terminals, a broker, workers, a ledger; and the question whether it was exact."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.city.reconcile import Report, reconcile
from cli.city.supervisor import Supervisor
from cli.servers.broker import Broker
from onecard.card.v1.card_events_pb2 import CardEvent, CardState, Heartbeat
from onecard.payments.v1.dead_letters_pb2 import DeadLetter
from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.payments.adapters.tariffs import read_rules
from services.payments.config import Config
from services.payments.domain.book import Rules
from services.payments.handlers.check_books import check_books
from services.payments.handlers.check_fares import Fares, check_fares
from services.payments.streams import GROUP
from tests.support.terminals import Placed, Terminals
from tests.support.town import Database, Town, bus_ride, card_event, entry, purchase
from tests.support.waiting import until
from tests.support.worker import Stop, Worker, settings

CONSUMED = (topics.TRANSACTIONS_BUS, topics.TRANSACTIONS_CAMPUS, topics.TRANSACTIONS_SCENIC, topics.CARD_EVENTS)
HEARTBEAT = b"heartbeat"
PARTITIONS = 4
"""Of each topic, as the fixture `broker` makes them."""
OF_WORKERS = Config(database_url="", kafka="")
"""Their tariffs are the simulated city's."""
SILENT_POLLS = 5
FIRST_RECORD_SECONDS = 30


def any_tap(cards: int) -> SignedRecord:
    """A ride, a meal or an entry of one of the cards."""
    card, terminal = random.randrange(cards), random.randrange(8)
    match random.randrange(3):
        case 0:
            return bus_ride(card, terminal=terminal)
        case 1:
            return purchase(card, random.randint(100, 900), terminal=terminal)
        case _:
            return entry(card, terminal=terminal)


def taps(number: int, cards: int) -> list[SignedRecord]:
    return [any_tap(cards) for _ in range(number)]


@dataclass(slots=True)
class Road:
    """What a test drives. Workers end with it."""

    broker: Broker
    database: Database
    engine: AsyncEngine
    folder: Path
    town: Town
    terminals: Terminals
    tariffs: Path = OF_WORKERS.tariffs
    """By which the workers rate that are started from now on."""
    workers: list[Worker] = field(default_factory=list)
    _supervisor: Supervisor | None = None

    def worker(self, stop: Stop | None = None, *, kept_alive: bool = False) -> Worker:
        """Start another worker; with `kept_alive` it is started again whenever it has ended."""
        environment = settings(self.database.application_url, self.broker) | {"ONECARD_TARIFFS": str(self.tariffs)}
        worker = Worker(f"worker-{len(self.workers) + 1}", self.folder, environment)
        self.workers.append(worker)
        worker.start(stop)
        if kept_alive:
            self._supervisor = self._supervisor or Supervisor(print)
            self._supervisor.watch(worker.name, lambda: worker.child, worker.start)
        return worker

    async def posted(self, batches: int) -> None:
        """Wait until the workers together have posted so many batches."""
        await until("the workers post", lambda: sum(w.metric("onecard_batches_total") for w in self.workers) >= batches)

    def end(self) -> None:
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor.join()
        for worker in self.workers:
            worker.end()

    def publish(self, *states: CardState) -> None:
        """Card states to card.events, as the card service would."""
        self.terminals.send(Placed(topics.CARD_EVENTS, card_event(state), state.card_identifier.encode()) for state in states)

    def beat(self, committed_up_to_ms: int) -> None:
        """A heartbeat to every partition of card.events."""
        value = CardEvent(heartbeat=Heartbeat(committed_up_to_ms=committed_up_to_ms)).SerializeToString()
        self.terminals.send(Placed(topics.CARD_EVENTS, value, HEARTBEAT, number) for number in range(PARTITIONS))

    async def count(self, what: str) -> int:
        """How many rows a table of the ledger has, perhaps with a condition behind its name."""
        async with self.engine.connect() as connection:
            return int((await connection.execute(text(f"select count(*) from payments.{what}"))).scalar_one())

    async def exactly(self) -> Report:
        """Everything that was emitted is decided or put aside, once; each verdict came back; books and fares are right."""
        report = await asyncio.to_thread(reconcile, self.terminals.spools, self.database.application_url)
        assert report.agrees, report.plain()
        books = await check_books(self.engine)
        assert books.balance, books.problem or books.imbalance_fen
        await self.fares()
        return report

    async def fares(self) -> Fares:
        """Every fare is what its holder's rides make it in the order of their times."""
        found = await check_fares(self.engine, await self.rules())
        assert not found.problem, found.problem
        return found

    async def rules(self) -> Rules:
        """Those of the workers."""
        return await read_rules(self.engine, replace(OF_WORKERS, tariffs=self.tariffs))

    async def acknowledged(self, within: float = 180) -> None:
        """Every record is committed in the group, and every open dead letter has been announced."""
        behind: dict[TopicPartition, int] = {}

        async def reached() -> bool:
            nonlocal behind
            ends = await asyncio.to_thread(_ends, self.broker.bootstrap)
            committed = await asyncio.to_thread(_committed, self.broker.bootstrap, ends)
            behind = {tp: committed[tp] - end for tp, end in ends.items() if committed[tp] != end}
            return not behind

        try:
            await until(f"{GROUP} has committed everything", reached, within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {behind}") from None
        async with self.engine.connect() as connection:
            open_ones = {
                tuple(row)
                for row in await connection.execute(
                    text(
                        'select topic, partition, "offset", append_time_ms from payments.dead_letter where resolved_time is null'
                    )
                )
            }
        if open_ones:
            assert open_ones <= await asyncio.to_thread(_announced_dead_letters, self.broker.bootstrap)


def _ends(bootstrap: str) -> dict[TopicPartition, int]:
    """Where each partition that has records ends. Found by reading: Tansu says it wrong when asked."""
    reached: dict[TopicPartition, int] = {}
    for tp, offset, _ in read_topics(bootstrap, CONSUMED):
        reached[tp] = max(offset + 1, reached.get(tp, 0))
    return reached


def _committed(bootstrap: str, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=GROUP, enable_auto_commit=False)
    try:
        return {tp: consumer.committed(tp) or 0 for tp in ends}
    finally:
        consumer.close(autocommit=False)


def _announced_dead_letters(bootstrap: str) -> set[tuple[str, int, int, int]]:
    letters = [DeadLetter.FromString(value) for _, _, value in read_topics(bootstrap, (topics.DEAD_LETTERS,))]
    return {(letter.topic, letter.partition, letter.offset, letter.append_time_ms) for letter in letters}


def read_topics(bootstrap: str, names: Sequence[str]) -> list[tuple[TopicPartition, int, bytes]]:
    """All that is in these topics; they are not empty."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=50
    )
    try:
        consumer.assign([TopicPartition(name, number) for name in names for number in range(PARTITIONS)])
        found: list[tuple[TopicPartition, int, bytes]] = []
        silent, end = 0, time.monotonic() + FIRST_RECORD_SECONDS
        while silent < SILENT_POLLS and (found or time.monotonic() < end):
            records = consumer.poll(timeout_ms=200)
            silent = 0 if records or not found else silent + 1
            found += ((tp, record.offset, record.value) for tp, run in records.items() for record in run)
        return found
    finally:
        consumer.close()
