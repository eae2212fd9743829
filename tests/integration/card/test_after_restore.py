"""A database that was restored: its numbers and versions stand behind what others have heard meanwhile."""

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.card_events_pb2 import CARD_STATUS_TEMPORARILY_LOST
from services.card.handlers import after_restore as handler
from services.card.handlers.after_restore import NUMBERS, after_restore
from services.common.database import make_engine
from tests.support.cardholders import Registry
from tests.support.hall import Owner
from tests.support.relay import Broker, relay_once
from tests.support.town import Database, build_town, now_ms


async def drawn(owner: Owner) -> dict[str, int]:
    return {name: await owner.fetchval(f"select last_value from card.{name}") for name in NUMBERS}


async def test_no_number_is_drawn_again_and_every_card_counts_again_as_the_backup_has_it(
    registry: Registry, owner: Owner, database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "_AT_ONCE", 2)
    town, broker = await build_town(engine, 0), Broker()
    cards = [await registry.first_card(number) for number in range(1, 4)]
    await relay_once(registry, broker)
    later = broker.states()[0]  # what payments has heard since the backup
    later.version += 3
    later.status_periods.add(status=CARD_STATUS_TEMPORARILY_LOST, valid_from_ms=now_ms())
    await town.project(later)
    before, told = await drawn(owner), list[tuple[int, int]]()
    owned = make_engine(database.owner_url, "tests", sessions=1)
    done = await after_restore(owned, 1000, lambda *so_far: told.append(so_far))
    await owned.dispose()
    assert (done.epoch, done.cards, told) == (2, 3, [(2, 3), (3, 3)])
    noted = await owner.fetchval("select detail from card.audit where act = 'restore'")
    assert json.loads(noted) == {"epoch": 2, "cards": 3, "passed_over": 1000}
    assert all(now > before[name] + 1000 - 1 for name, now in (await drawn(owner)).items())
    broker.sent.clear()
    await relay_once(registry, broker)
    states = broker.states()
    assert {state.epoch for state in states} == {2}
    await town.project(*states)
    known = await owner.fetchval("select cards from payments.account where id = $1", later.account_id)
    (card,) = json.loads(known)
    assert (card["epoch"], card["version"]) == (2, later.version - 3)
    assert CARD_STATUS_TEMPORARILY_LOST not in [period["status"] for period in card["status_periods"]]
    newest = await registry.first_card(4)
    assert newest > max(cards) + 1000
