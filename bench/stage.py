"""The stage: real servers in a temporary folder, a seeded city, and processes on them. Closing it ends and removes all."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import asyncpg

from bench.database import LedgerCopy, driver_url
from bench.errors import BenchError
from bench.plan import CARDS
from bench.programs.load import Sent
from bench.signing import keys_of, make_token
from bench.taps import Place
from cli import paths
from cli.servers.broker import Kind, make_broker
from cli.servers.child import Child
from cli.servers.postgres import DATABASE, Postgres
from onecard.card.v1.card_events_pb2 import CardEvent
from services.common.database import make_engine
from services.payments.adapters.cards import Beat, CardProjection, decode_card_event
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.topics import PARTITIONS, create_topics
from services.payments.handlers.migrate import migrate
from services.payments.handlers.open_accounts import open_accounts, read_openings_file
from services.payments.handlers.register_merchants import read_registry_file, register_merchants
from simulation.files import write_files
from simulation.registry import first_state

_CARDS_AT_ONCE: Final = 4000
LINGER_MS: Final[dict[Kind, int]] = {"kafka": 30, "tansu": 100}
"""How long producers linger: what suits each broker."""


class Stage:
    """Servers and what is in them."""

    def __init__(self, kind: Kind) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="onecard-bench-"))
        self.folder.chmod(0o755)  # the database's user passes through
        self.kind = kind
        self.partitions = PARTITIONS[kind]
        self.postgres = Postgres(self.folder)
        self.broker = make_broker(kind, self.folder)
        self.ends: Counter[Place] = Counter()
        """How many taps each partition holds."""
        self.emitted = 0
        self._batch_key = secrets.token_hex(32)
        pin = secrets.token_hex(16)
        token = make_token(self.folder, pin)
        self.key_of = keys_of(token)
        """What each terminal signs with."""
        self.vault = {"ONECARD_VAULT": str(token.file), "ONECARD_VAULT_PIN": pin}
        """The variables by which a process finds the root of the terminals' keys."""
        self._numbers = count(1)
        self._last_seeded_batch = 0

    def close(self) -> None:
        """End the servers and remove the folder."""
        try:
            self.broker.stop()
        finally:
            self.postgres.remove()
            shutil.rmtree(self.folder, ignore_errors=True)

    def require_disk(self, gb: int) -> None:
        """Raises BenchError when the folder's disk has less room."""
        free = shutil.disk_usage(self.folder).free / 2**30
        if free < gb:
            raise BenchError(f"{self.folder} has {free:.0f} GB of room, {gb} may be needed; TMPDIR chooses another place")

    def start_servers(self) -> None:
        """PostgreSQL and the broker, with the platform's topics."""
        self.postgres.start()
        self.broker.start()
        create_topics(self.broker.bootstrap, self.kind, self.partitions)

    async def seed(self) -> None:
        """Merchants, terminals, accounts and cards: as the city's own commands do it, without Kafka."""
        await migrate(self.postgres.owner_url)
        registry, accounts = write_files(CARDS, self.folder)
        engine = make_engine(self.postgres.application_url, "bench-seed", sessions=2)
        await register_merchants(engine, read_registry_file(registry))
        await open_accounts(engine, BatchKey(bytes.fromhex(self._batch_key), 1), read_openings_file(accounts), lambda _: None)
        projection = CardProjection(engine)
        for at in range(1, CARDS + 1, _CARDS_AT_ONCE):
            states = (first_state(number) for number in range(at, min(at + _CARDS_AT_ONCE, CARDS + 1)))
            events = (decode_card_event(CardEvent(state=state).SerializeToString()) for state in states)
            await projection.store([event for event in events if not isinstance(event, Beat)], {})
        await engine.dispose()
        owner = await asyncpg.connect(driver_url(self.postgres.owner_url))
        await owner.execute("truncate payments.outbox")  # the openings were told: no worker that is measured does it again
        await owner.execute("vacuum analyze")
        self._last_seeded_batch = int(await owner.fetchval("select max(number) from payments.batch"))
        await owner.close()

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[LedgerCopy]:
        """A fresh copy of the seeded ledger; gone when the block ends."""
        async with self.copy_of(DATABASE) as name:
            owner_url = named(driver_url(self.postgres.owner_url), name)
            watching = await asyncpg.connect(owner_url)
            try:
                application_url = named(self.postgres.application_url, name)
                yield LedgerCopy(application_url, owner_url, watching, self._last_seeded_batch)
            finally:
                await watching.close()

    @asynccontextmanager
    async def copy_of(self, template: str) -> AsyncIterator[str]:
        """The name of a fresh copy of a database; gone when the block ends."""
        name = f"bench_{next(self._numbers)}"
        owner = await asyncpg.connect(named(driver_url(self.postgres.owner_url), "postgres"))
        try:
            await owner.execute(f"create database {name} template {template}")
            await owner.execute("checkpoint")
            try:
                yield name
            finally:
                await owner.execute(f"drop database {name} with (force)")
        finally:
            await owner.close()

    @contextmanager
    def process(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> Iterator[Child]:
        """`python -m COMMAND…` for the time of the block."""
        child = Child(name, self.folder, [sys.executable, "-m", *command], env=env, cwd=paths.ROOT)
        child.start()
        try:
            yield child
        finally:
            child.stop()

    async def run(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> None:
        """`python -m COMMAND…` to its end; raises ServerFailedError with its last lines."""
        with self.process(name, *command, env=env) as child:
            while child.alive:
                await asyncio.sleep(0.05)
            child.wait_done(within=1)

    def environment(self, ledger: LedgerCopy, key_version: int = 1) -> dict[str, str]:
        """What a payments process reads; the version of the batch key tells the batches of two workers apart."""
        return {
            **nothing_foreign(),
            **self.vault,
            "ONECARD_DATABASE_URL": ledger.application_url,
            "ONECARD_KAFKA": self.broker.bootstrap,
            "ONECARD_BROKER": self.kind,
            "ONECARD_BATCH_KEY": self._batch_key,
            "ONECARD_BATCH_KEY_VERSION": str(key_version),
            "ONECARD_TARIFFS": str(paths.ROOT / "tariffs" / "jiangmen"),
        }

    def account_for(self, sent: Sent) -> None:
        """Remember what a generator sent."""
        for topic, partition, records in sent.counts:
            self.ends[Place(topic, partition)] += records
            self.emitted += records


def nothing_foreign() -> dict[str, str]:
    """Settings that stand in our own environment are not for those who are measured."""
    return dict.fromkeys((name for name in os.environ if name.startswith("ONECARD_")), "")


def named(url: str, database: str) -> str:
    """The address of another database of the same server."""
    return url.rsplit("/", 1)[0] + f"/{database}"
