"""Cards are made whatever is cut, with the journal in PostgreSQL; and two windows at once, walk-aways, a card service that is away."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1.issuance_events_pb2 import IssuanceEvent
from services.common.errors import DomainError
from services.common.topics import ISSUANCE_EVENTS
from services.issuance.adapters.blanks import find_blanks
from services.issuance.adapters.records import PostgresJournal
from services.issuance.domain.blank import BlankState
from services.issuance.domain.record import RecordState
from services.issuance.handlers.dialogue import Finished, IssueOutcome
from services.issuance.handlers.relay_events import RelayEvents
from services.issuance.handlers.settle import Settle
from tests.support.blanks import OTHER, WINDOW
from tests.support.chip_driver import PRODUCTS
from tests.support.issuance_postgres import (
    CLERK_HERE,
    Driver,
    check,
    ended,
    open_room,
    reason,
    states,
    stop_at,
)
from tests.support.issuance_room import PRESENTED, Wrong

LIVES: Final = int(os.environ.get("ONECARD_ISSUE_LIVES_ON_POSTGRES", "60"))
MOST_CUTS: Final = 8
CLERK_THERE = replace(CLERK_HERE, staff=9, shift=90, terminal=OTHER)


async def test_lives_with_many_cuts_end_in_one_card_each(
    journal: PostgresJournal, driver: Driver, progress: Callable[[str], None]
) -> None:
    for life in range(LIVES):
        chance = random.Random(life)
        room = await open_room(journal, driver, 12, life, chance.choice(sorted(PRODUCTS)))
        room.registry.first = 10_000 * (life + 1)
        try:
            await room.live(chance, chance.randint(1, MOST_CUTS))
            await check(driver, room)
        except AssertionError as error:
            raise AssertionError(f"life {life}") from error
        if (life + 1) % 500 == 0:
            progress(f"{life + 1:,} of {LIVES:,} lives on PostgreSQL")


async def test_of_two_windows_at_once_one_wins(journal: PostgresJournal, driver: Driver) -> None:
    """Both hold the same card in their readers, as a relay would have it; each sees the chip as it is then."""
    superseded = 0
    for first_stops_at in range(1, 30):
        room = await open_room(journal, driver, 1, first_stops_at)
        room.registry.first = 1000 * first_stops_at
        card, application = room.cards[0], room.registry.apply()
        second: list[Finished | DomainError | None] = []
        points = count(1)

        async def at(point: str) -> None:
            if next(points) == first_stops_at:  # noqa: B023 - of this round
                second.append(await room.stream(card, application, actor=CLERK_THERE))  # noqa: B023

        first = await room.stream(card, application, at=at)
        if not second:
            continue
        assert ended(second[0]) in (IssueOutcome.ISSUED, IssueOutcome.REFUSED)
        if ended(second[0]) is IssueOutcome.ISSUED:
            assert reason(first) == "SUPERSEDED"
            superseded += 1
        await room.settle()
        last = await room.stream(card, application)
        card.printed = min(card.printed, 1)  # the plastic lies in one of the two windows: the other one's printer has none
        assert [one.state for one in room.registry.cards] == ["ISSUED"], (first, second, last)
        await check(driver, room)
    assert superseded > 5


@pytest.mark.parametrize("registry", ["", "away at the end", "deaf at the end"])
async def test_a_duty_and_a_stream_at_once_under_one_epoch_make_one_card(
    journal: PostgresJournal, driver: Driver, registry: str
) -> None:
    """The duty takes no record: what it reads is the stream's own epoch, and either may write first."""
    reached = set()
    for settles_at in range(1, 40):
        room = await open_room(journal, driver, 2, settles_at)
        room.registry.first = 1000 * settles_at
        card, application = room.cards[0], room.registry.apply()
        points = count(1)

        async def at(point: str) -> None:
            if next(points) == settles_at:  # noqa: B023 - of this round
                reached.add(point)
                room.registry.fails = lambda: ""  # noqa: B023
                await Settle(journal, room.registry)()  # noqa: B023 - a blank is let go much later than a begin is given up

        room.registry.fail_from(3, registry.partition(" ")[0])
        first = await room.stream(card, application, at=at)
        room.registry.fails = lambda: ""
        await room.settle()
        if room.registry.of(application) is None or await journal.open_of(application):
            again = await room.stream(card, application)
            if reason(again) == "BLANK_SPOILED":
                again = await room.stream(room.cards[1], application)
            assert ended(again) is IssueOutcome.ISSUED, (settles_at, first, again)
        await room.settle()
        assert [one.state for one in room.registry.cards if one.state != "RETIRED"] == ["ISSUED"], (settles_at, first)
        await check(driver, room)
    assert {"production begun", "PRINTED written", "COMPLETING written"} <= reached


@pytest.mark.parametrize("trouble", ["before", "during", "behind", "unknown"])
async def test_a_cut_around_printing_asks_what_the_card_looks_like(
    journal: PostgresJournal, driver: Driver, trouble: str
) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    first = await room.stream(room.cards[0], application, Wrong(print_cut=trouble))
    again = first if trouble == "unknown" else await room.stream(room.cards[0], application)
    assert room.seen["Look"] == 1
    assert ended(again) is (IssueOutcome.SPOILED if trouble == "during" else IssueOutcome.ISSUED)
    assert room.cards[0].printed == 1
    if trouble == "during":
        assert [card.state for card in room.registry.cards] == ["RETIRED"]
        assert ended(await room.stream(room.cards[1], application)) is IssueOutcome.ISSUED
    await check(driver, room)


async def test_a_printer_that_did_not_begin_prints_without_a_question(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 1)
    application = room.registry.apply()
    assert ended(await room.stream(room.cards[0], application, Wrong(print_cut="not begun"))) is IssueOutcome.TRY_AGAIN
    assert ended(await room.stream(room.cards[0], application)) is IssueOutcome.ISSUED
    assert room.seen["Look"] == 0
    await check(driver, room)


async def test_an_applicant_who_walks_away_leaves_nothing_open(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 22)
    seen = set()
    for number, card in enumerate(room.cards):
        room.registry.first = 1000 * (number + 1)
        application = room.registry.apply()
        left = await room.stream(card, application, Wrong(give_up_at=number))
        outcome = ended(left)
        seen.add(outcome)
        if outcome in (IssueOutcome.SPOILED, IssueOutcome.RELEASED, IssueOutcome.REFUSED):
            assert await journal.open_of(application) is None
            assert application in room.registry.waiting
        elif outcome is IssueOutcome.LYING:
            assert ended(await room.stream(card, 0)) is IssueOutcome.ISSUED
    assert seen == {IssueOutcome.REFUSED, IssueOutcome.SPOILED, IssueOutcome.LYING, IssueOutcome.ISSUED}
    await room.settle()
    await check(driver, room)


async def test_a_stream_that_never_comes_back_is_let_go_where_nothing_was_written(
    journal: PostgresJournal, driver: Driver
) -> None:
    room = await open_room(journal, driver, 20)
    for number, card in enumerate(room.cards):
        room.registry.first = 1000 * (number + 1)
        application = room.registry.apply()
        await room.stream(card, application, Wrong(cut_at_ask=number, answer_lost=bool(number % 2)))
        await room.settle()
        record = await journal.open_of(application)
        touched = bool(card.chip.writes) or (record is not None and record.state >= RecordState.TOUCHED)
        assert record is None or touched, "only what was touched is held for whoever comes back"
    await check(driver, room)


async def test_no_blank_is_reserved_before_the_number_of_a_spoiled_one_is_retired(
    journal: PostgresJournal, driver: Driver
) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    room.cards[0].chip.tries = dict.fromkeys(room.cards[0].chip.tries, 0)
    room.registry.fail_from(2, "away")
    assert ended(await room.stream(room.cards[0], application)) is IssueOutcome.SPOILED
    refused = await room.stream(room.cards[1], application)
    assert (ended(refused), reason(refused)) == (IssueOutcome.REFUSED, "NUMBER_NOT_RETIRED")
    room.registry.fails = lambda: ""
    await room.settle()
    assert ended(await room.stream(room.cards[1], application)) is IssueOutcome.ISSUED
    assert [card.state for card in room.registry.cards] == ["RETIRED", "ISSUED"]
    await check(driver, room)


@pytest.mark.parametrize("trouble", ["away", "deaf"])
async def test_a_card_service_that_is_away_at_the_end_is_told_by_itself(
    journal: PostgresJournal, driver: Driver, trouble: str
) -> None:
    room = await open_room(journal, driver, 1)
    application = room.registry.apply()
    room.registry.fail_from(3, trouble)
    assert ended(await room.stream(room.cards[0], application)) is IssueOutcome.WAITING_TO_BE_ENABLED
    await room.settle()
    assert await states(driver) == [RecordState.WAITING]
    room.registry.fails = lambda: ""
    await room.settle()
    assert await states(driver) == [RecordState.ISSUED]
    await check(driver, room)


async def test_what_is_kept_until_the_card_service_is_told_is_sealed_and_then_forgotten(
    journal: PostgresJournal, driver: Driver
) -> None:
    room = await open_room(journal, driver, 1)
    room.registry.fail_from(3, "away")
    await room.stream(room.cards[0], room.registry.apply())
    sealed = await driver.fetchval("select sealed from issuance.owed where what = 3")
    assert sealed
    assert PRESENTED.SerializeToString() not in sealed
    room.registry.fails = lambda: ""
    await room.settle()
    assert await driver.fetchval("select count(*) from issuance.owed where sealed is not null") == 0


async def test_what_became_of_cards_is_published_once_and_in_order(
    journal: PostgresJournal, driver: Driver, issuance_engine: AsyncEngine
) -> None:
    room = await open_room(journal, driver, 1)
    await room.stream(room.cards[0], room.registry.apply())
    sent: list[tuple[str, bytes | None, bytes]] = []

    class Broker:
        async def start(self) -> None:
            pass

        async def send(self, topic: str, messages: Any) -> None:
            sent.extend((topic, key, value) for key, value in messages)

    relay = RelayEvents(Broker())  # type: ignore[arg-type]  # all that it does with a broker
    async with issuance_engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await relay(connection)
        assert await relay(connection)
    events = [IssuanceEvent.FromString(value) for _, _, value in sent]
    assert {topic for topic, _, _ in sent} == {ISSUANCE_EVENTS}
    assert [int(event.outcome) for event in events] == [IssueOutcome.LYING, IssueOutcome.ISSUED]
    assert {key for _, key, _ in sent} == {room.cards[0].chip.identifier.hex().upper().encode()}
    assert {(event.card_id, event.blank_serial, event.place) for event in events} == {(1, room.cards[0].serial, WINDOW)}


async def test_a_card_that_was_handed_over_leaves_its_window_while_the_card_service_is_away(
    journal: PostgresJournal, driver: Driver
) -> None:
    """Also where nobody is left in the stream that would write it."""
    room = await open_room(journal, driver, 1)
    await stop_at(room, RecordState.COMPLETING, room.registry.apply())
    room.registry.fails = lambda: "away"
    for _ in range(2):
        await room.settle()
        assert await states(driver) == [RecordState.WAITING]
        assert [blank.state for blank in await find_blanks(driver, [room.cards[0].serial])] == [BlankState.HANDED_OVER]
    room.registry.fails = lambda: ""
    await room.settle()
    assert await states(driver) == [RecordState.ISSUED]
    await check(driver, room)
