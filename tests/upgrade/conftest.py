"""A city that begins with an empty database and no process."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cli.servers.broker import Broker
from cli.servers.postgres import Postgres
from services.common.database import make_engine
from tests.support.api import Front
from tests.support.databases import drop_database, empty_database
from tests.support.outcome_api import OutcomeApi
from tests.support.road import Road
from tests.support.terminals import Terminals
from tests.support.town import build_town
from tests.upgrade.city import City
from tests.upgrade.release import Release


@pytest.fixture
async def city(
    broker: Broker, postgres_server: Postgres, tmp_path: Path, progress: Callable[[str], None], old: Release
) -> AsyncIterator[City]:
    """Settled by the old release, on its schema."""
    database = await empty_database(postgres_server)
    engine = make_engine(database.application_url, "tests", sessions=10)
    with OutcomeApi(tmp_path, broker) as api:
        assert old.migrate(database.owner_url).returncode == 0
        api.wait()
        with Terminals(tmp_path, broker.bootstrap, api.access) as terminals:
            road = Road(broker, database, engine, tmp_path, None, terminals)  # type: ignore[arg-type]  # settled in a moment
            city = City(road, Front(database, tmp_path), progress)
            await city.settle(old)
            road.town = await build_town(engine, cards=0)
            city.begin_to_beat()
            try:
                yield city
            finally:
                await city.close()
                await engine.dispose()
                await drop_database(database)
