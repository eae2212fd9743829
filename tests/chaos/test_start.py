"""A worker that is there before its servers says what it awaits and where, keeps still, and works when they come."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.broker import Broker, Kind, make_broker
from cli.servers.ports import HOST
from cli.servers.postgres import DATABASE, Postgres
from services.common.database import make_engine
from services.payments.adapters.topics import create_topics
from services.payments.handlers.check_books import check_books
from services.payments.handlers.migrate import migrate
from tests.support.outcome_api import OutcomeApi
from tests.support.road import PARTITIONS, taps
from tests.support.terminals import Terminals
from tests.support.town import build_town
from tests.support.waiting import until
from tests.support.worker import Worker, settings

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def late_postgres(servers_folder: Path) -> Iterator[Postgres]:
    server = Postgres(servers_folder / "late")
    yield server
    server.remove()


@pytest.fixture
def late_broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    server = make_broker(broker_kind, tmp_path)
    yield server
    server.stop()


async def test_a_worker_waits_for_its_servers(late_broker: Broker, late_postgres: Postgres, tmp_path: Path) -> None:
    worker = Worker("worker", tmp_path, settings(late_postgres.application_url, late_broker))
    worker.start()
    try:
        await until("it says where it awaits the broker", lambda: _says(worker, "waiting_for_broker", late_broker.bootstrap))
        assert await worker.busy(seconds=3) < 0.2
        late_broker.start()
        create_topics(late_broker.bootstrap, late_broker.kind, PARTITIONS)
        place = f"{HOST}:{late_postgres.port}/{DATABASE}"
        await until("it says where it awaits the database", lambda: _says(worker, "waiting_for_database", place))
        assert await worker.busy(seconds=3) < 0.2
        assert worker.log.count("\n") < 20
        late_postgres.start()
        await migrate(late_postgres.owner_url)
        await _works(late_broker, late_postgres, tmp_path)
    finally:
        worker.end()


def _says(worker: Worker, event: str, place: str) -> bool:
    return any(event in line and place in line for line in worker.log.splitlines())


async def _works(broker: Broker, postgres: Postgres, folder: Path) -> None:
    engine = make_engine(postgres.application_url, "tests")
    try:
        await build_town(engine, cards=20)
        with OutcomeApi(folder, broker) as api, Terminals(folder, broker.bootstrap, api.access) as terminals:
            terminals.tap(taps(200, cards=20))
            await terminals.answered()
        assert (await check_books(engine)).balance
    finally:
        await engine.dispose()
