"""An office on a small town, and API processes before another one; the books balance after either."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from services.payments.handlers.check_books import check_books
from tests.support.api import Api, open_api
from tests.support.databases import drop_database, make_database
from tests.support.office import Office, another_process, open_office
from tests.support.town import Database, build_town


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """Four holders with 100 yuan each."""
    yield await open_office(await build_town(engine, 4))
    books = await check_books(engine)
    assert books.balance, books.problem


@pytest.fixture
async def rival(office: Office, database: Database) -> AsyncIterator[Office]:
    """The same callers at another process of the service."""
    async with another_process(office, database) as rival:
        yield rival


@pytest.fixture(scope="package")
async def api(postgres_server: Postgres, valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """Two processes on one port, for all tests of this folder; a test takes cards of its own. Their logs name nobody."""
    database = await make_database(postgres_server)
    folder = tmp_path_factory.mktemp("api")
    async with open_api(database, folder, cards=300, ONECARD_REDIS=valkey_server.address) as opened:
        yield opened
        books = await check_books(opened.engine)
        assert books.balance, books.problem
        opened.logs_name_nobody()
    await drop_database(database)
