"""The hotlist: who is barred stands on it, who is released leaves it, and it never goes back."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from onecard.card.v1.card_events_pb2 import CardState
from services.card.__main__ import hotlist
from services.card.adapters.hotlist import newest_hotlist, read_standing
from services.card.domain.application import ApplicationKind
from services.card.domain.life_cycle import Verb
from services.common.database import driver_session, driver_transaction
from tests.integration.card.test_submit import Owner
from tests.support.cardholders import Registry
from tests.support.relay import Broker, relay_once
from tests.support.town import Database

MANY = 2_500
"""More than one round of the relay, and than any limit a query may be given."""
CROWD = """
with people as (
    insert into card.holder (data_key_version, birth_date, category, resident, deletion_time)
    select 1, 'sealed', 'ordinary', true, now() from generate_series(1, $1) returning id),
cards as (
    insert into card.card (id, holder, card_identifier, sealed_number, kind, social, financial, production, application,
                           issue_date, valid_until, version)
    select nextval('card.card_id'), id, 'CROWD' || id, 'sealed', 1, 2, 1, 70, 1, '2026-01-01', '2036-01-01', 1 from people
    returning id),
history as (
    insert into card.transition (card, version, verb, party, social, financial, production, at, actor)
    select id, 1, 0, 1, 2, 1, 70, now(), 'nobody' from cards)
insert into card.event_outbox (card, version) select id, 1 from cards"""


async def standing(registry: Registry) -> list[str]:
    async with driver_transaction(registry.engine) as driver:
        return [identifier async for identifier in read_standing(driver)]


async def version(registry: Registry) -> int:
    async with driver_session(registry.engine) as driver:
        return (await newest_hotlist(driver)).version


async def sent(registry: Registry) -> CardState:
    """The last state of a round."""
    broker = Broker()
    await relay_once(registry, broker)
    return broker.states()[-1]


def published(state: CardState) -> list[int]:
    return [period.hotlist_published_ms for period in state.status_periods]


async def test_a_lost_card_stands_on_the_hotlist_and_its_state_says_since_when(registry: Registry) -> None:
    card = await registry.first_card(1)
    assert published(await sent(registry)) == [0, 0]
    assert (await standing(registry), await version(registry)) == ([], 0)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    state = await sent(registry)
    assert await standing(registry) == [state.card_identifier]
    assert published(state)[-1] >= state.status_periods[-1].valid_from_ms
    async with driver_session(registry.engine) as driver:
        newest = await newest_hotlist(driver)
    assert (newest.epoch, newest.version, newest.entries) == (1, 1, 1)
    assert newest.publish_ms == published(state)[-1]


async def test_who_is_on_the_list_already_is_refused_from_the_first_moment_of_another_report(registry: Registry) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    first = published(await sent(registry))[-1]
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    assert published(await sent(registry))[-2:] == [first, first]
    assert await version(registry) == 1


async def test_a_released_card_leaves_the_list_and_stays_away(registry: Registry) -> None:
    """Known fault 9: a stale hotlist re-locks a released card; that no version goes back is another test below."""
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    lost = await sent(registry)
    await registry.change(card, Verb.RELEASE)
    released = await sent(registry)
    assert (await standing(registry), await version(registry)) == ([], 2)
    assert published(released)[-1] == 0
    assert published(released)[-2] == published(lost)[-1]  # late taps are judged by what was in force


async def test_a_card_that_is_released_and_lost_again_before_a_round_begins_another_stay(registry: Registry) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    first = published(await sent(registry))[-1]
    await registry.change(card, Verb.RELEASE)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    stamps = published(await sent(registry))
    assert stamps[-3:-1] == [first, 0]
    assert stamps[-1] > first
    assert len(await standing(registry)) == 1


async def test_cancelled_and_replaced_cards_stand_on_the_list_and_their_successors_do_not(registry: Registry) -> None:
    old = await registry.first_card(1)
    replacing = await registry.apply_again(1, ApplicationKind.REPLACE)
    assert replacing.application is not None
    await registry.hand_over(replacing.application)
    await sent(registry)
    async with driver_session(registry.engine) as driver:
        identifier = await driver.fetchval("select card_identifier from card.card where id = $1", old)
    assert await standing(registry) == [identifier]


async def test_no_card_is_missing_however_many_are_barred(registry: Registry, owner: Owner) -> None:
    await owner.execute("set session_replication_role = replica")  # people whose papers nobody looks at
    await owner.execute(CROWD, MANY)
    broker = Broker()
    while not await relay_once(registry, broker):
        pass
    assert len(await standing(registry)) == MANY
    assert all(published(state)[-1] for state in broker.states())
    async with driver_session(registry.engine) as driver:
        assert (await newest_hotlist(driver)).entries == MANY


async def test_a_version_never_goes_back_and_a_restored_installation_goes_on_above_all_of_them(
    registry: Registry, owner: Owner
) -> None:
    card = await registry.first_card(1)
    for verb in (Verb.REPORT_TEMPORARY_LOSS, Verb.RELEASE):
        await registry.change(card, verb)
        await sent(registry)
    for epoch, older in ((1, 1), (1, 2), (0, 3)):
        with pytest.raises(asyncpg.PostgresError, match="newer hotlist"):
            await owner.execute("insert into card.hotlist (epoch, version, entries) values ($1, $2, 0)", epoch, older)
    await owner.execute("update card.installation set epoch = 2")
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    assert (await sent(registry)).epoch == 2
    async with driver_session(registry.engine) as driver:
        assert (await newest_hotlist(driver))[:2] == (2, 3)


async def test_two_who_publish_at_once_make_one_stay(registry: Registry) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_TEMPORARY_LOSS)
    first, second = Broker(), Broker()

    async def round_of(broker: Broker) -> None:
        with suppress(asyncpg.SerializationError, asyncpg.UniqueViolationError):  # it begins again
            await relay_once(registry, broker)

    await asyncio.gather(round_of(first), round_of(second))
    for broker in (first, second):
        await relay_once(registry, broker)
    stamps = {published(state)[-1] for broker in (first, second) for state in broker.states()}
    assert len(stamps) == 1
    assert await version(registry) == 1


async def test_the_list_as_a_file_says_what_it_is_and_names_every_card(
    registry: Registry, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = await registry.first_card(1)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    state = await sent(registry)
    monkeypatch.setenv("ONECARD_DATABASE_URL", database.card_url)
    await asyncio.to_thread(hotlist, tmp_path / "hotlist")
    header, *cards = (tmp_path / "hotlist").read_text().splitlines()
    assert header.startswith("1|1|")
    assert header.endswith("|1")
    assert cards == [state.card_identifier]
