"""The ledger of blanks on the real database: what the table does not allow is not written, whoever tries."""

from typing import Any, TypeAlias

import asyncpg
import pytest

from services.issuance.adapters.blanks import BY_ITSELF, find_blank, find_held, find_identifier, move, resume
from services.issuance.domain.blank import DEPOT, HOLDER, TABLE, TRANSIT, Blank, BlankState, Fence, Verb
from services.issuance.domain.refusal import Refusal
from tests.support.blanks import BY_CLERK, BY_KEEPER, BY_TWO, FENCE, OTHER, WINDOW, add_blanks, add_box

Driver: TypeAlias = "asyncpg.Connection[Any]"


async def reserve(driver: Driver, serial: str, fence: Fence = FENCE) -> None:
    assert isinstance(await move(driver, serial, Verb.RESERVE, BY_CLERK, fence, application=17), Blank)


async def walk(driver: Driver, serial: str, *verbs: Verb, fence: Fence = FENCE) -> None:
    for verb in verbs:
        assert isinstance(await move(driver, serial, verb, BY_CLERK, fence), Blank), verb


async def now(driver: Driver, serial: str) -> Blank:
    found = await find_blank(driver, serial)
    assert found is not None
    return found


async def test_a_blank_goes_from_the_depot_to_its_holder_and_each_step_is_an_entry(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await reserve(driver, serial)
    assert await find_held(driver, FENCE.record) == await now(driver, serial)
    await walk(driver, serial, Verb.BEGIN, Verb.VERIFY, Verb.PRINT, Verb.HAND_OVER)

    blank = await now(driver, serial)
    assert (blank.state, blank.place, blank.application, blank.attempts) == (BlankState.HANDED_OVER, HOLDER, 17, 1)
    assert await find_identifier(driver, blank.card_identifier) == blank
    entries = await driver.fetch("select verb, period from issuance.blank_entry where serial = $1 order by id", serial)
    assert [tuple(row) for row in entries] == [(1, None), (2, None), (3, 1), (4, 1), (6, 1), (7, 1), (8, 1), (9, 1)]


async def test_the_table_of_the_database_is_the_table_of_the_rules(driver: Driver) -> None:
    rows = await driver.fetch("select verb, from_state, to_state, signatures, barred, goes from issuance.blank_rule")
    expected = set()
    for verb, rule in TABLE.items():
        for state in rule.states:
            after = {rule.to or state}
            if verb is Verb.ARRIVE:
                after = {*TABLE[Verb.TRANSFER].states, BlankState.RETURNED_UNUSED}
            expected |= {(verb, state, to, rule.signatures, rule.barred, rule.goes) for to in after}
    assert {tuple(row) for row in rows} == expected


async def test_no_move_that_the_table_lacks_is_written(driver: Driver) -> None:
    """Straight at the database, as a faulty program would."""
    (serial,) = await add_blanks(driver, 1)
    insert = """insert into issuance.blank_entry (serial, verb, from_state, to_state, from_place, to_place, staff)
                select serial, $2, state, $3, place, place, 1 from issuance.blank where serial = $1"""
    refused = 0
    for verb in Verb:
        for to in BlankState:
            if TABLE[verb].to is to and BlankState.ASSIGNED in TABLE[verb].states and not TABLE[verb].goes:
                continue
            if verb is Verb.BAR and to is BlankState.ASSIGNED:
                continue
            with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.SerializationError)):
                await driver.execute(insert, serial, verb, to)
            refused += 1
    assert refused > 200
    assert (await now(driver, serial)).state is BlankState.ASSIGNED


async def test_nobody_changes_an_entry_or_moves_a_blank_past_the_ledger(
    driver: Driver, owner: "asyncpg.Connection[Any]"
) -> None:
    await add_box(driver, 1)
    for statement in ("update issuance.blank set state = 3", "delete from issuance.blank", "delete from issuance.blank_entry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await driver.execute(statement)
    for statement in (
        "update issuance.blank_entry set staff = 1",
        "truncate issuance.blank_entry",
        "delete from issuance.audit",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await owner.execute(statement)


async def test_an_older_epoch_moves_nothing(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await reserve(driver, serial)
    newer = Fence(FENCE.record, 2)
    assert await resume(driver, await now(driver, serial), WINDOW, BY_CLERK, newer) is None

    assert await move(driver, serial, Verb.BEGIN, BY_CLERK, FENCE) is Refusal.SUPERSEDED
    assert await move(driver, serial, Verb.SPOIL, BY_CLERK, FENCE) is Refusal.SUPERSEDED
    with pytest.raises(asyncpg.SerializationError):
        await driver.execute(
            """insert into issuance.blank_entry (serial, verb, from_state, to_state, from_place, to_place, record, epoch)
               values ($1, 6, 4, 5, $2, $2, 7, 1)""",
            serial,
            WINDOW,
        )
    await walk(driver, serial, Verb.BEGIN, fence=newer)
    assert (await now(driver, serial)).attempts == 2


async def test_another_record_takes_no_blank_that_is_held(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await reserve(driver, serial)
    stranger = Fence(8, 5)
    assert await move(driver, serial, Verb.RESERVE, BY_CLERK, stranger, application=18) is Refusal.BLANK_IN_USE
    assert await move(driver, serial, Verb.BEGIN, BY_CLERK, stranger) is Refusal.BLANK_OF_ANOTHER
    assert await move(driver, serial, Verb.BEGIN, BY_CLERK) is Refusal.BLANK_OF_ANOTHER

    await walk(driver, serial, Verb.RELEASE)
    await reserve(driver, serial, stranger)
    assert await move(driver, serial, Verb.BEGIN, BY_CLERK, FENCE) is Refusal.BLANK_OF_ANOTHER


async def test_a_resume_elsewhere_carries_the_blank_there_and_notes_both_ends(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await add_blanks(driver, 1, OTHER)
    await reserve(driver, serial)
    await walk(driver, serial, Verb.BEGIN)
    assert await resume(driver, await now(driver, serial), OTHER, BY_CLERK, Fence(7, 2)) is None

    blank = await now(driver, serial)
    assert (blank.place, blank.state, blank.epoch) == (OTHER, BlankState.PERSONALISING, 2)
    rows = await driver.fetch("select from_place, to_place from issuance.blank_entry where serial = $1 order by id", serial)
    assert [tuple(row) for row in rows][-3:] == [(WINDOW, TRANSIT), (TRANSIT, OTHER), (OTHER, OTHER)]


async def test_what_is_spoiled_comes_back_only_with_a_second_signature(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    assert isinstance(await move(driver, serial, Verb.SPOIL, BY_CLERK, reason="bent"), Blank)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="nobody else has signed"):
        await move(driver, serial, Verb.RETURN, BY_CLERK)
    assert isinstance(await move(driver, serial, Verb.RETURN, BY_KEEPER), Blank)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="second signature"):
        await move(driver, serial, Verb.DESTROY, BY_KEEPER)
    assert (await now(driver, serial)).place == DEPOT
    assert isinstance(await move(driver, serial, Verb.DESTROY, BY_TWO), Blank)


async def test_a_blank_that_was_missing_or_barred_makes_no_card(driver: Driver) -> None:
    missing, barred = await add_blanks(driver, 2)
    assert isinstance(await move(driver, missing, Verb.MISS, BY_TWO, incident="I-1"), Blank)
    assert isinstance(await move(driver, missing, Verb.FIND, BY_TWO, incident="I-1"), Blank)
    found = await now(driver, missing)
    assert (found.state, found.place, found.barred) == (BlankState.RETURNED, DEPOT, True)

    assert isinstance(await move(driver, barred, Verb.BAR, BY_ITSELF), Blank)
    assert await move(driver, barred, Verb.RESERVE, BY_CLERK, FENCE, application=1) is Refusal.BLANK_BARRED
    assert isinstance(await move(driver, barred, Verb.SPOIL, BY_CLERK, reason="kit lost"), Blank)


async def test_a_blank_of_another_window_is_not_reserved(driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1, OTHER)
    assert await move(driver, serial, Verb.RESERVE, BY_CLERK, FENCE, application=1) is Refusal.BLANK_ELSEWHERE
    assert await move(driver, "X1", Verb.RESERVE, BY_CLERK, FENCE, application=1) is Refusal.UNKNOWN_BLANK
