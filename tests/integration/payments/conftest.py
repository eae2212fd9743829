"""An office on a small town; whatever a test does to it, its books balance afterwards."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.handlers.check_books import check_books
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
