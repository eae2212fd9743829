"""A card service behind its edge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.database import make_engine
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import Hall, Owner, open_hall
from tests.support.town import Database


@pytest.fixture
async def hall(database: Database, owner: Owner, tmp_path: Path) -> AsyncIterator[Hall]:
    engine = make_engine(database.card_url, "tests", sessions=8)
    async with open_hall(Registry(engine, make_vault(tmp_path)), owner, tmp_path) as opened:
        yield opened
    await engine.dispose()
