"""Sessions with PostgreSQL are seen while they are used."""

from sqlalchemy import text

from services.common.database import make_engine
from services.common.sessions import SESSIONS
from tests.support.town import Database


def shown() -> tuple[float, float]:
    (family,) = SESSIONS.collect()
    used, allowed = (sample.value for sample in family.samples)
    return used, allowed


async def test_sessions_are_seen_while_they_are_used_and_with_how_many_there_may_be(database: Database) -> None:
    used, allowed = shown()
    engine = make_engine(database.application_url, "tests", sessions=3)
    async with engine.connect() as one, engine.connect():
        await one.execute(text("select 1"))
        assert shown() == (used + 2, allowed + 3)
    assert shown() == (used, allowed + 3)
    await engine.dispose()
