"""A fresh card database for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import make_engine
from tests.support.cardholders import Registry, make_vault
from tests.support.counter import Counter, open_counter
from tests.support.hall import Hall, open_hall
from tests.support.town import Database


@pytest.fixture
async def card_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.card_url, "tests", sessions=16)
    yield engine
    await engine.dispose()


@pytest.fixture
def registry(card_engine: AsyncEngine, tmp_path: Path) -> Registry:
    return Registry(card_engine, make_vault(tmp_path))


@pytest.fixture
async def hall(registry: Registry, owner: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path) -> AsyncIterator[Hall]:
    """A card service behind its edge, with windows."""
    async with open_hall(registry, owner, tmp_path) as opened:
        yield opened


@pytest.fixture
async def counter(
    registry: Registry, database: Database, owner: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> AsyncIterator[Counter]:
    """Where fees and remainders are settled with payments."""
    async with open_counter(registry, database, owner, tmp_path) as opened:
        yield opened
