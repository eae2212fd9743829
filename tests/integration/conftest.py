"""What tests of several packages meet."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from tests.support.pcscd import pcscd, require
from tests.support.town import Database


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session of the database's owner, who may do what no service may."""
    connection = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def vpcd_port() -> Iterator[int]:
    """Where cards are put into the virtual reader of the operating system. One a machine: it is given back soon."""
    require()
    with pcscd() as started:
        yield started
