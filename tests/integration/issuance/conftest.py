"""A fresh issuance database for each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import driver_session, make_engine
from services.common.keyvault.software import Hardness, create_token
from services.common.keyvault.vault import Purpose
from services.issuance.adapters.boxes import ACCOUNT_KEY
from services.issuance.adapters.records import PostgresJournal
from tests.support.blank_desk import BlankDesk, open_desk
from tests.support.issuance_postgres import open_journal
from tests.support.town import Database


@pytest.fixture
async def issuance_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.issuance_url, "tests", sessions=16)
    yield engine
    await engine.dispose()


@pytest.fixture
async def driver(issuance_engine: AsyncEngine) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A session as the service has it; each statement is its own transaction."""
    async with driver_session(issuance_engine) as session:
        yield session


@pytest.fixture
def journal(issuance_engine: AsyncEngine, tmp_path: Path) -> PostgresJournal:
    return open_journal(issuance_engine, tmp_path)


@pytest.fixture
async def desk(issuance_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[BlankDesk]:
    """The services of blanks behind their edge."""
    vault = create_token(
        tmp_path / "issuance.vault", "issuance", "pin of a test", "pin of another", hardness=Hardness(1, 64, 1)
    )
    vault.add_version(ACCOUNT_KEY, Purpose.WRAP)
    async with open_desk(issuance_engine, vault) as opened:
        yield opened
