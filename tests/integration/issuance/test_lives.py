"""Cards are made whatever is cut, with the journal in PostgreSQL; and two windows at once, walk-aways, spoiled cards."""

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1.issuance_events_pb2 import IssuanceEvent
from services.common.clock import now_ms
from services.common.errors import DomainError
from services.common.once import transact
from services.common.topics import ISSUANCE_EVENTS
from services.issuance.adapters.blanks import Signed, find_blanks, move
from services.issuance.adapters.card_service import Declined
from services.issuance.adapters.entries import unsound
from services.issuance.adapters.records import PostgresJournal
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.journal import NoteClass
from services.issuance.domain.record import OPEN, WITHOUT_CHIP, Record, RecordState
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from services.issuance.handlers.countersign import decide_countersignature
from services.issuance.handlers.dialogue import Finished, IssueOutcome
from services.issuance.handlers.find_collected import FindCollected
from services.issuance.handlers.move_blanks import Act, Moved, Order, move_blanks
from services.issuance.handlers.relay_events import RelayEvents
from services.issuance.handlers.settle import Settle
from tests.support.blanks import CLERK, OTHER, WINDOW, add_blanks
from tests.support.chip import Chip
from tests.support.chip_driver import PRODUCTS
from tests.support.issuance import Books, Room, check_books, open_vault
from tests.support.issuance_room import PRESENTED, Card, Died, Registry, Wrong

Driver: TypeAlias = "asyncpg.Connection[Any]"

LIVES: Final = int(os.environ.get("ONECARD_ISSUE_LIVES_ON_POSTGRES", "200"))
MOST_CUTS: Final = 8
CLERK_HERE = Actor(CLERK, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**42)
SUPERVISOR = replace(CLERK_HERE, staff=4, shift=40, roles=frozenset({Role.SUPERVISOR}))
CLERK_THERE = replace(CLERK_HERE, staff=9, shift=90, terminal=OTHER)


@pytest.fixture
def journal(issuance_engine: AsyncEngine, tmp_path: Path) -> PostgresJournal:
    return PostgresJournal(issuance_engine, open_vault(tmp_path), told_by_the_stream_seconds=0)


async def open_room(journal: PostgresJournal, driver: Driver, size: int, seed: int = 0, code: str = "ssc3") -> Room:
    serials = await add_blanks(driver, size, product=code)
    blanks = await find_blanks(driver, serials)
    cards = [
        Card(Chip(PRODUCTS[code], bytes.fromhex(blank.card_identifier), seed + number), blank.serial)
        for number, blank in enumerate(blanks)
    ]
    return Room(journal, Registry(), cards, CLERK_HERE)


async def books_of(driver: Driver, room: Room) -> Books:
    serials = [card.serial for card in room.cards]
    blanks = {blank.serial: blank for blank in await find_blanks(driver, serials)}
    rows = await driver.fetch(
        "select id, epoch, state, application, serial, stage, card, reason from issuance.record where serial = any($1::text[])",
        serials,
    )
    records = [Record(row[0], row[1], RecordState(row[2]), row[3], row[4], Stage(row[5]), row[6], row[7]) for row in rows]
    mine = [record.id for record in records]
    owed = await driver.fetchval(
        "select count(*) from issuance.owed where done_time is null and record = any($1::bigint[])", mine
    )
    notes = await driver.fetch("select record, epoch, step, class from issuance.journal where record = any($1::bigint[])", mine)
    return Books(records, blanks, owed, [(row[0], row[1], row[2], NoteClass(row[3])) for row in notes])


async def check(driver: Driver, room: Room) -> None:
    check_books(await books_of(driver, room), room.registry, room.cards)


async def states(driver: Driver) -> Sequence[RecordState]:
    return [RecordState(row[0]) for row in await driver.fetch("select state from issuance.record order by id")]


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


def ended(finished: Finished | DomainError | None) -> IssueOutcome:
    assert isinstance(finished, Finished), finished
    return finished.outcome


def reason(finished: Finished | DomainError | None) -> str:
    assert isinstance(finished, Finished | DomainError), finished
    if isinstance(finished, DomainError):
        return finished.reason
    return finished.refusal.reason if isinstance(finished.refusal, Declined) else str(finished.refusal or "")


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

        asked: list[str] = []
        trouble = registry.partition(" ")[0]
        room.registry.fails = lambda: asked.append("") or (trouble if len(asked) > 2 else "")  # type: ignore[func-returns-value]  # noqa: B023
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
    asked: list[str] = []
    room.registry.fails = lambda: asked.append("") or ("" if len(asked) == 1 else "away")  # type: ignore[func-returns-value]
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
    asked: list[str] = []
    room.registry.fails = lambda: asked.append("") or ("" if len(asked) < 3 else trouble)  # type: ignore[func-returns-value]
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
    asked: list[str] = []
    room.registry.fails = lambda: asked.append("") or ("" if len(asked) < 3 else "away")  # type: ignore[func-returns-value]
    await room.stream(room.cards[0], room.registry.apply())
    sealed = await driver.fetchval("select sealed from issuance.owed where what = 3")
    assert sealed
    assert PRESENTED.SerializeToString() not in sealed
    room.registry.fails = lambda: ""
    await room.settle()
    assert await driver.fetchval("select count(*) from issuance.owed where sealed is not null") == 0


async def test_a_blank_that_was_spoiled_by_hand_frees_its_application(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    await room.stream(room.cards[0], application, Wrong(cut_at_ask=6))
    record = await journal.open_of(application)
    assert record is not None
    await move(driver, record.serial, Verb.MISS, Signed(3, 30, WINDOW, 4), incident="I-1")
    await room.settle()
    assert ended(await room.stream(room.cards[1], application)) is IssueOutcome.ISSUED


async def test_a_card_that_was_handed_over_at_another_window_is_heard_of(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 2)
    lying = []
    for number, card in enumerate(room.cards):
        room.registry.first = 1000 * (number + 1)
        application = room.registry.apply()
        assert ended(await room.stream(card, application, Wrong(nobody_takes_it=True))) is IssueOutcome.LYING
        lying.append(application)
    handed = room.registry.of(lying[0])
    assert handed is not None
    handed.state = "ISSUED"
    await FindCollected(journal, room.registry, lying_seconds=0)()
    assert await states(driver) == [RecordState.ISSUED, RecordState.PRINTED]
    blank = await journal.find(handed.identifier)
    assert blank is not None
    assert blank.state is BlankState.HANDED_OVER
    signed = await driver.fetch("select staff, shift from issuance.blank_entry where verb = $1", Verb.HAND_OVER)
    assert [tuple(row) for row in signed] == [(None, None)]  # nobody here has handed it over
    assert set(room.registry.looked_up_by) == {"service:issuance"}


async def test_a_card_that_was_cancelled_at_its_outlet_is_spoiled_plastic(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 1)
    application = room.registry.apply()
    assert ended(await room.stream(room.cards[0], application, Wrong(nobody_takes_it=True))) is IssueOutcome.LYING
    lying = room.registry.of(application)
    assert lying is not None
    lying.state = "RETIRED"
    await FindCollected(journal, room.registry, lying_seconds=0)()
    assert await states(driver) == [RecordState.SPOILED]
    (blank,) = await find_blanks(driver, [room.cards[0].serial])
    assert (blank.state, blank.place) == (BlankState.SPOILED, WINDOW)
    assert await driver.fetchval("select reason from issuance.record") == "CARD_CANCELLED"
    assert await driver.fetchval("select count(*) from issuance.owed where done_time is null") == 0


async def moved_by_two(engine: AsyncEngine, order: Order, between: Callable[[], Awaitable[None]] | None = None) -> None:
    """Asked for, signed by a supervisor, and asked for again."""

    async def ask(driver: Driver) -> Moved:
        return await move_blanks(driver, order, CLERK_HERE, [b"digest"], now_ms())

    asked = await transact(engine, ask)
    assert asked.refusal is Refusal.SECOND_PERSON_NEEDED
    if between:
        await between()

    async def sign(driver: Driver) -> None:
        assert await decide_countersignature(driver, asked.countersignature, SUPERVISOR, now_ms(), sign=True, reason="") is None

    await transact(engine, sign)
    assert (await transact(engine, ask)).count == 1


@pytest.mark.parametrize("state", sorted(WITHOUT_CHIP))
async def test_a_card_whose_chip_is_dead_is_spoiled_by_its_plastic_and_another_one_is_made(
    journal: PostgresJournal, driver: Driver, issuance_engine: AsyncEngine, state: RecordState
) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    await stop_at(room, state, application)
    order = Order(Act.SPOIL, (room.cards[0].serial,), at=frozenset({WINDOW}), reason="chip does not answer")

    async def still_as_it_was() -> None:
        assert await states(driver) == [state]

    await moved_by_two(issuance_engine, order, still_as_it_was)
    await driver.execute("update issuance.record set take_time = clock_timestamp() - interval '15 seconds'")
    await room.settle()
    assert await states(driver) == [RecordState.SPOILED]
    assert reason(await room.stream(room.cards[0], application)) in ("BLANK_SPOILED", "BLANK_OF_ANOTHER")
    assert ended(await room.stream(room.cards[1], application)) is IssueOutcome.ISSUED
    made = [card.state for card in room.registry.cards]
    assert made == ["ISSUED"] if state is RecordState.RESERVED else made == ["RETIRED", "ISSUED"]
    await check(driver, room)


@pytest.mark.parametrize("act", [Act.SPOIL, Act.MISS])
async def test_a_stream_hands_nothing_over_whose_plastic_was_spoiled_or_lost_meanwhile(
    journal: PostgresJournal, driver: Driver, issuance_engine: AsyncEngine, act: Act
) -> None:
    room = await open_room(journal, driver, 1)
    application = room.registry.apply()
    order = Order(act, (room.cards[0].serial,), at=frozenset({WINDOW}), reason="bent", incident="I-1")

    async def at(point: str) -> None:
        if point == "PRINTED written":
            await moved_by_two(issuance_engine, order)

    assert reason(await room.stream(room.cards[0], application, at=at)) == "SUPERSEDED"
    await room.settle()
    assert await states(driver) == [RecordState.SPOILED]
    assert [card.state for card in room.registry.cards] == ["RETIRED"]


async def test_a_card_that_is_being_taken_is_not_spoiled(
    journal: PostgresJournal, driver: Driver, issuance_engine: AsyncEngine
) -> None:
    room = await open_room(journal, driver, 1)
    await stop_at(room, RecordState.COMPLETING, room.registry.apply())
    order = Order(Act.SPOIL, (room.cards[0].serial,), at=frozenset({WINDOW}), reason="bent")
    moved = await transact(issuance_engine, lambda d: move_blanks(d, order, CLERK_HERE, [b"digest"], now_ms()))
    assert (moved.refusal, moved.serials) == (Refusal.CARD_BEING_TAKEN, (room.cards[0].serial,))


async def test_a_blank_that_was_barred_meanwhile_frees_its_application(journal: PostgresJournal, driver: Driver) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    await room.stream(room.cards[0], application, Wrong(cut_at_ask=6))
    record = await journal.open_of(application)
    assert record is not None
    await move(driver, record.serial, Verb.BAR, Signed(), reason="TERMINAL_REVOKED")
    assert reason(await room.stream(room.cards[0], application)) == "BLANK_BARRED"
    await room.settle()
    assert ended(await room.stream(room.cards[1], application)) is IssueOutcome.ISSUED
    assert [card.state for card in room.registry.cards] == ["RETIRED", "ISSUED"]
    await check(driver, room)


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


async def test_a_record_is_not_let_go_while_its_card_may_still_begin(journal: PostgresJournal, driver: Driver) -> None:
    """Otherwise the card service hears first that nothing comes of it, and then that it begins, and nobody knows of it here."""
    room = await open_room(journal, driver, 1)
    await stop_at(room, RecordState.RESERVED, room.registry.apply())
    await move(driver, room.cards[0].serial, Verb.BAR, Signed(), reason="TERMINAL_REVOKED")
    assert await journal.abandoned(900) == []
    await driver.execute("update issuance.record set take_time = clock_timestamp() - interval '14 seconds'")
    assert await journal.abandoned(900) == []
    await driver.execute("update issuance.record set take_time = clock_timestamp() - interval '15 seconds'")
    assert [taken.blank.serial for taken in await journal.abandoned(900)] == [room.cards[0].serial]


@pytest.mark.parametrize("cut_at", [1, 5])
async def test_a_blank_that_went_missing_keeps_no_debt_waiting(journal: PostgresJournal, driver: Driver, cut_at: int) -> None:
    """Neither its own, nor those of the cards behind it."""
    room = await open_room(journal, driver, 3)
    first, second = room.registry.apply(), room.registry.apply()
    await room.stream(room.cards[0], first, Wrong(cut_at_ask=cut_at))
    room.registry.fails = lambda: "away"
    await room.settle()
    record = await journal.open_of(first)
    assert record is not None
    await move(driver, record.serial, Verb.MISS, Signed(CLERK, 1, WINDOW, 2), reason="INCIDENT")
    room.registry.fails = lambda: ""
    await room.stream(room.cards[1], second, Wrong(give_up_at=5))
    await room.settle()
    await room.settle()
    assert [card.state for card in room.registry.cards] == ["RETIRED", "RETIRED"]
    assert await driver.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    assert ended(await room.stream(room.cards[2], first)) is IssueOutcome.ISSUED


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


async def stop_at(room: Room, state: RecordState, application: int) -> None:
    """The process dies where its record has just come to that."""
    wrong = {
        RecordState.VERIFIED: Wrong(print_cut="not begun"),
        RecordState.WITHDRAWING: Wrong(give_up_at=1),
        RecordState.SPOILING: Wrong(give_up_at=8),
    }.get(state, Wrong())
    if state is RecordState.WAITING:
        asked: list[str] = []
        room.registry.fails = lambda: asked.append("") or ("" if len(asked) < 3 else "away")  # type: ignore[func-returns-value]
    last = "record taken" if state is RecordState.RESERVED else f"{state.name} written"

    async def at(point: str) -> None:
        if point == last:
            raise Died(point)

    assert await room.stream(room.cards[0], application, wrong, at=at) is None


@pytest.mark.parametrize("verb", [Verb.MISS, Verb.BAR])
@pytest.mark.parametrize("state", sorted(OPEN))
async def test_a_blank_that_is_missing_or_barred_in_whatever_state_leaves_nothing_open(
    journal: PostgresJournal, driver: Driver, state: RecordState, verb: Verb
) -> None:
    room = await open_room(journal, driver, 2)
    application = room.registry.apply()
    await stop_at(room, state, application)
    assert await states(driver) == [state]
    moved = await move(
        driver, room.cards[0].serial, verb, Signed(CLERK, 1, WINDOW, 2 if verb is Verb.MISS else 0), incident="I-1"
    )
    room.registry.fails = lambda: "away"
    await room.settle()
    room.registry.fails = lambda: ""
    for _ in range(2):
        await room.settle()
    assert await driver.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    assert await unsound(driver) == []
    held = await journal.open_of(application)
    assert held is None or isinstance(moved, Refusal), "nobody waits for a blank that is gone"
    if state not in (RecordState.COMPLETING, RecordState.WAITING):
        assert ended(await room.stream(room.cards[0 if held else 1], application)) is IssueOutcome.ISSUED
    assert [card.state for card in room.registry.cards if card.state != "RETIRED"] == ["ISSUED"]
