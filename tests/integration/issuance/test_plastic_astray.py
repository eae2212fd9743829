"""What becomes of a card whose plastic goes another way: spoiled, lost, barred, cancelled, or handed over elsewhere."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import now_ms
from services.common.once import transact
from services.issuance.adapters.blanks import Signed, find_blanks, move
from services.issuance.adapters.entries import unsound
from services.issuance.adapters.records import PostgresJournal
from services.issuance.domain.actor import Role
from services.issuance.domain.blank import BlankState, Verb
from services.issuance.domain.record import OPEN, WITHOUT_CHIP, RecordState
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.countersign import decide_countersignature
from services.issuance.handlers.dialogue import IssueOutcome
from services.issuance.handlers.find_collected import FindCollected
from services.issuance.handlers.move_blanks import Act, Moved, Order, move_blanks
from tests.support.blanks import CLERK, WINDOW
from tests.support.issuance_postgres import CLERK_HERE, Driver, check, ended, open_room, reason, states, stop_at
from tests.support.issuance_room import Wrong

SUPERVISOR = replace(CLERK_HERE, staff=4, shift=40, roles=frozenset({Role.SUPERVISOR}))


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
