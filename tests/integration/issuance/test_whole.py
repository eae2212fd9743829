"""Cards made by the whole platform: real processes of issuance and of the vault, a real card service, chips and a window."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import issuance_pb2 as messages
from services.common.database import make_engine
from services.issuance.domain.blank import BlankState
from services.issuance.domain.record import RecordState
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import open_hall
from tests.support.issuance_city import IssuanceCity, open_city
from tests.support.issuance_lives import ISSUED, POINTS
from tests.support.town import Database
from tests.support.waiting import until


@pytest.fixture
async def city(database: Database, owner: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path) -> AsyncIterator[IssuanceCity]:
    engine: AsyncEngine = make_engine(database.card_url, "tests", sessions=16)
    registry = Registry(engine, make_vault(tmp_path))
    async with open_hall(registry, owner, tmp_path) as hall, open_city(database, hall, tmp_path) as opened:
        yield opened
    await engine.dispose()


async def agree(city: IssuanceCity) -> None:
    """One number on one card, the ledger of blanks balanced, registry and chip agree."""
    issued = {serial for serial, state in (await city.states()).items() if state == ISSUED}
    rows = await city.hall.owner.fetch(
        """select b.serial, b.card_identifier, r.card, c.id, c.social from issuance.record r
           join issuance.blank b on b.serial = r.serial join card.card c on c.card_identifier = b.card_identifier
           where r.state = 10"""
    )
    assert {row[0] for row in rows} == issued
    assert all(row[2] == row[3] and row[4] == 1 for row in rows), "the card that was made is the one that is enabled"
    assert await city.hall.owner.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    assert (
        await city.hall.owner.fetchval(
            "select count(*) from issuance.record where state = 10 group by application having count(*) > 1"
        )
        is None
    )


@pytest.mark.parametrize("code", ["ssc3", "ssc2"])
async def test_a_blank_becomes_an_enabled_card(city: IssuanceCity, code: str) -> None:
    await city.start().serves()
    (booth,) = await city.booths(1, code)
    issued = await city.issue(booth, await city.apply(1))
    assert (issued.outcome, issued.refusal) == (messages.ISSUE_OUTCOME_ISSUED, None)
    assert await city.states() == {booth.blank.serial: ISSUED}
    assert len(booth.printed) == 1
    assert booth.printed[0].card_number.encode() in b"".join(booth.chip.records.values())
    account = await city.hall.owner.fetchval("select count(*) from card.card where bank_account is not null")
    assert account == 1, "the account that came with the blank is the card's"
    assert await city.hall.owner.fetchval("select count(*) from issuance.blank_account") == 0
    await agree(city)


async def test_a_process_that_is_killed_at_any_point_is_followed_by_another_one(city: IssuanceCity) -> None:
    booths = await city.booths(len(POINTS))
    process, made = city.start(*POINTS), 0
    for number, booth in enumerate(booths, 1):
        issued = await city.issue_whatever_happens(booth, await city.apply(number))
        done = issued.outcome == messages.ISSUE_OUTCOME_ISSUED
        assert done or (issued.refusal and issued.refusal.reason == "BLANK_HANDED_OVER"), issued
        assert len(booth.printed) == 1
        made = number
        if process.log.count("a life ended") == len(POINTS):
            break
    assert process.log.count("a life ended") == len(POINTS)
    await until("all are issued", lambda: all_issued(city, made))
    await agree(city)


async def all_issued(city: IssuanceCity, size: int) -> bool:
    found = await city.states()
    return len(found) == size and set(found.values()) == {ISSUED}


async def test_an_applicant_who_leaves_is_handed_the_card_another_day(city: IssuanceCity) -> None:
    await city.start().serves()
    (booth,) = await city.booths(1)
    application = await city.apply(1)
    booth.leaves = True
    assert (await city.issue(booth, application)).outcome == messages.ISSUE_OUTCOME_LYING
    assert await city.states() == {booth.blank.serial: (RecordState.PRINTED, BlankState.PRINTED)}
    booth.leaves = False
    assert (await city.issue(booth, 0)).outcome == messages.ISSUE_OUTCOME_ISSUED
    assert len(booth.printed) == 1
    await agree(city)
