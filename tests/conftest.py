"""Real servers: one PostgreSQL for the whole run with a fresh database for each test, a fresh broker for each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.broker import SECURED, Broker, Kind, kind_of, make_broker
from cli.servers.kafka import Kafka
from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from services.card.handlers.migrate import migrate as migrate_card
from services.common.database import make_engine
from services.common.logs import quieten
from services.issuance.handlers.migrate import migrate as migrate_issuance
from services.payments.adapters.topics import create_topics
from services.payments.handlers.migrate import migrate
from tests.support.databases import drop_database, make_database, unlimited_engine
from tests.support.memory import quick_folder
from tests.support.outcome_api import OutcomeApi
from tests.support.road import PARTITIONS, Road
from tests.support.terminals import Terminals
from tests.support.town import Database, build_town

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("onecard", deadline=None)
hypothesis.settings.load_profile("onecard")

# Events of what runs inside of a test are pytest's, not the standard output's: a command under test may have that just then.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
)
quieten()

# A broker that lives for seconds is not worth Java's second, slower compiler.
Kafka.java_options = ("-XX:TieredStopAtLevel=1", *Kafka.java_options)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What meets a broker is worth a run on each kind of it: `-m broker` picks it, and `-m secured` what asks who comes."""
    for item in items:
        if "broker_kind" in getattr(item, "fixturenames", ()):
            item.add_marker("broker")
        if item.get_closest_marker("secured") and os.environ.get("BROKER") != SECURED:
            item.add_marker(pytest.mark.skip(f"meets an Apache Kafka that asks who comes: BROKER={SECURED}"))


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says on the terminal, at once, how far a long test has come and what it did."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def say(text: str) -> None:
        assert reporter
        assert capture
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\n{text}")

    return say


@pytest.fixture(scope="session")
def broker_kind() -> Kind:
    return kind_of(os.environ.get("BROKER", "tansu"))


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where PostgreSQL and Valkey keep their data."""
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[Postgres]:
    server = Postgres(servers_folder)
    server.start()
    asyncio.run(migrate(server.owner_url))
    asyncio.run(migrate_card(server.owner_url))
    asyncio.run(migrate_issuance(server.owner_url))
    yield server
    server.stop()
    server.remove()


@pytest.fixture(scope="session")
def valkey_server(servers_folder: Path) -> Iterator[Valkey]:
    """One Valkey for the whole run; a test takes keys that no other takes, and starts it again when it ended it."""
    server = Valkey(servers_folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def database(postgres_server: Postgres) -> AsyncIterator[Database]:
    """A fresh, migrated database."""
    made = await make_database(postgres_server)
    yield made
    await drop_database(made)


@pytest.fixture
async def unlimited(database: Database) -> AsyncIterator[AsyncEngine]:
    """For transactions that a test holds open for as long as it likes."""
    engine = unlimited_engine(database.application_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.application_url, "tests", sessions=20)
    yield engine
    await engine.dispose()


@pytest.fixture
def broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    """A fresh broker with the platform's topics; few partitions keep a test quick."""
    server = make_broker(broker_kind, tmp_path)
    server.start()
    create_topics(server.bootstrap, broker_kind, PARTITIONS)
    yield server
    server.stop()


@pytest.fixture
async def road(broker: Broker, database: Database, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Road]:
    """A town of 200 cards with 100 yuan each, and terminals that tap; a test starts the workers it needs."""
    with OutcomeApi(tmp_path, broker) as api:
        town = await build_town(engine, cards=200)
        api.wait()
        with Terminals(tmp_path, broker.bootstrap, api.access) as terminals:
            road = Road(broker, database, engine, tmp_path, town, terminals)
            try:
                yield road
            finally:
                road.end()
