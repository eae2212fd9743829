"""A shift is counted before its books are shown, and closes on blanks and cash."""

import asyncio
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import blanks_pb2 as messages
from services.common.database import driver_transaction
from services.common.errors import DomainError
from services.issuance.adapters.blanks import find_blank, move, resume
from services.issuance.domain.blank import Fence, Verb
from services.issuance.handlers.close_shift import CloseShift
from tests.support.blank_desk import BlankDesk, Person
from tests.support.blanks import BY_CLERK, BY_KEEPER, BY_TWO, FENCE, OTHER, WINDOW, add_blanks
from tests.support.edge import reason_of

Driver: TypeAlias = "asyncpg.Connection[Any]"


async def count(person: Person, unused: int, spoiled: int = 0, lying: int = 0, cash_fen: int = 0) -> Any:
    request = messages.CountShiftRequest(unused=unused, spoiled=spoiled, lying=lying, cash_fen=cash_fen)
    return await person.twice("CountShift", request)


async def close(person: Person, counted: Any, reason: str = "", request_id: str = "") -> Any:
    request = messages.CloseShiftRequest(shift_count_id=counted.shift_count_id, reason=reason, request_id=request_id)
    return await person.twice("CloseShift", request)


async def make_card(driver: Driver, serial: str, *, until: Verb = Verb.HAND_OVER) -> None:
    await move(driver, serial, Verb.RESERVE, BY_CLERK, FENCE, application=1)
    for verb in (Verb.BEGIN, Verb.VERIFY, Verb.PRINT, Verb.HAND_OVER):
        await move(driver, serial, verb, BY_CLERK, FENCE)
        if verb is until:
            return


async def sign(desk: BlankDesk, number: int) -> None:
    decision = messages.DecideCountersignatureRequest(countersignature_id=number, sign=True)
    assert not (await desk.supervisor().ask("DecideCountersignature", decision)).HasField("refusal")


async def test_a_day_adds_up_and_the_next_one_begins_with_what_is_on_hand(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_blanks(driver, 10)
    clerk = desk.clerk()
    issued, lying, begun, spoiled, missing, away, returned = serials[:7]
    await make_card(driver, issued)
    await make_card(driver, lying, until=Verb.PRINT)
    await make_card(driver, begun, until=Verb.VERIFY)
    await move(driver, spoiled, Verb.SPOIL, BY_CLERK, reason="KEY_REFUSED")
    await move(driver, missing, Verb.MISS, BY_TWO, incident="I-1")
    await add_blanks(driver, 1, OTHER)
    await move(driver, away, Verb.TRANSFER, BY_CLERK, to=OTHER)
    await move(driver, returned, Verb.RETURN_UNUSED, BY_KEEPER)

    counted = await count(clerk, unused=4, spoiled=1, lying=1)
    books = counted.balance
    assert (books.opening, books.received, books.issued, books.spoiled, books.transferred) == (0, 10, 1, 1, 1)
    assert (books.returned, books.missing, books.on_hand, books.lying) == (1, 1, 5, 1)
    assert list(books.unfinished) == [begun]
    assert (books.unused_difference, books.spoiled_difference, books.lying_difference) == (0, 0, 0)
    closed = await close(clerk, counted)
    assert closed.closed
    assert closed.balance == books

    await make_card(driver, serials[7])
    tomorrow = await count(desk.clerk(6), unused=3, spoiled=1, lying=1)
    books = tomorrow.balance
    assert (books.opening, books.received, books.issued, books.on_hand, books.unused_difference) == (5, 0, 1, 4, 0)
    assert (await clerk.ask("CloseShift", messages.CloseShiftRequest(request_id="R", shift_count_id=counted.shift_count_id))
            ).refusal.reason == "SHIFT_CLOSED"  # fmt: skip


async def test_what_was_counted_is_stored_before_the_books_are_shown(desk: BlankDesk, driver: Driver) -> None:
    await add_blanks(driver, 3)
    clerk = desk.clerk()
    desk.tills.away = True
    request = messages.CountShiftRequest(request_id="C1", unused=2, cash_fen=500)
    with pytest.raises(grpc.aio.AioRpcError) as away:
        await clerk.ask("CountShift", request)
    assert (away.value.code(), reason_of(away.value)) == (grpc.StatusCode.UNAVAILABLE, "PAYMENTS_AWAY")
    assert await driver.fetchval("select unused from issuance.shift_count") == 2
    assert await driver.fetchval("select count(*) from issuance.shift_books") == 0

    desk.tills.away = False
    counted = await clerk.twice("CountShift", request)
    assert (counted.balance.unused_difference, counted.balance.cash_difference_fen) == (-1, 500)
    assert await driver.fetchval("select count(*) from issuance.shift_count") == 1


async def test_a_shift_does_not_close_while_blanks_differ(desk: BlankDesk, driver: Driver) -> None:
    serials = await add_blanks(driver, 3)
    clerk = desk.clerk()
    short = await count(clerk, unused=2)
    assert (await close(clerk, short)).refusal.reason == "BLANKS_DIFFER"

    await move(driver, serials[0], Verb.MISS, BY_TWO, incident="I-1")
    assert (await close(clerk, short)).refusal.reason == "COUNT_AGAIN"
    again = await count(clerk, unused=2)
    assert (again.balance.missing, again.balance.unused_difference) == (1, 0)
    assert (await close(clerk, again)).closed


async def test_a_number_that_was_learnt_from_the_books_closes_nothing_by_itself(desk: BlankDesk, driver: Driver) -> None:
    await add_blanks(driver, 3)
    clerk, colleague = desk.clerk(), desk.clerk(6)
    desk.tills.fen[WINDOW] = 700
    await count(clerk, unused=2, cash_fen=900)
    tried = await count(colleague, unused=3, cash_fen=700)  # whoever reads over somebody's shoulder
    assert (tried.balance.unused_difference, tried.balance.cash_difference_fen) == (0, 0)
    assert tried.balance.differed_before
    assert (await close(colleague, tried)).refusal.reason == "COUNT_REASON_NEEDED"
    request = messages.CloseShiftRequest(request_id="X1", shift_count_id=tried.shift_count_id, reason="one in the drawer")
    waits = await colleague.ask("CloseShift", request)
    assert (waits.closed, waits.refusal.reason) == (False, "SECOND_PERSON_NEEDED")
    (asked,) = (await desk.supervisor().ask("ListCountersignatures", messages.ListCountersignaturesRequest())).waiting
    assert asked.detail["differed_then"] == "unused -1, spoiled +0, lying +0, cash_fen +200"
    await sign(desk, waits.countersignature_id)
    assert (await colleague.twice("CloseShift", request)).closed
    assert not (await count(clerk, unused=3, cash_fen=700)).balance.differed_before  # a shift of its own


async def test_a_count_that_was_right_before_the_books_were_closes_when_they_are(desk: BlankDesk, driver: Driver) -> None:
    await add_blanks(driver, 3)
    clerk = desk.clerk()
    assert (await count(clerk, unused=3, cash_fen=700)).balance.cash_difference_fen == 700
    desk.tills.fen[WINDOW] = 700  # a fee was on its way
    again = await count(clerk, unused=3, cash_fen=700)
    assert not again.balance.differed_before
    assert (await close(clerk, again)).closed


async def test_only_the_newest_count_of_ones_own_closes(desk: BlankDesk, driver: Driver) -> None:
    await add_blanks(driver, 3)
    clerk, colleague = desk.clerk(), desk.clerk(6)
    first = await count(clerk, unused=3)
    second = await count(clerk, unused=3)
    assert (await close(clerk, first)).refusal.reason == "COUNT_AGAIN"
    with pytest.raises(grpc.aio.AioRpcError) as not_theirs:
        await close(colleague, second)
    assert reason_of(not_theirs.value) == "UNKNOWN_COUNT"
    assert (await close(clerk, second)).closed


@pytest.mark.parametrize(("expected", "difference"), [(1000, -300), (500, 200)])
async def test_a_difference_in_cash_has_a_reason_and_two_signatures_and_is_posted_once(
    desk: BlankDesk, driver: Driver, expected: int, difference: int
) -> None:
    await add_blanks(driver, 3)
    clerk = desk.clerk()
    desk.tills.fen[WINDOW] = expected
    counted = await count(clerk, unused=3, cash_fen=700)
    assert counted.balance.cash_difference_fen == difference
    assert (await close(clerk, counted)).refusal.reason == "CASH_REASON_NEEDED"
    request = messages.CloseShiftRequest(request_id="X1", shift_count_id=counted.shift_count_id, reason="wrong change")
    waits = await clerk.ask("CloseShift", request)
    assert (waits.closed, waits.refusal.reason) == (False, "SECOND_PERSON_NEEDED")
    assert (await clerk.ask("CloseShift", request)).refusal.reason == "COUNTERSIGNATURE_AWAITED"
    await sign(desk, waits.countersignature_id)
    assert (await clerk.twice("CloseShift", request)).closed
    assert list(desk.tills.posted.values()) == [(WINDOW, difference)]
    assert desk.tills.fen[WINDOW] == 700  # the till is not emptied: from now on that should be there
    assert await driver.fetchrow("select second_staff, posted from issuance.shift_close") == (4, True)


async def test_a_difference_whose_posting_got_no_answer_is_posted_once_before_anything_is_counted_anew(
    desk: BlankDesk, driver: Driver, issuance_engine: AsyncEngine
) -> None:
    await add_blanks(driver, 3)
    both = desk.clerk()
    desk.tills.fen[WINDOW] = 1000
    counted = await count(both, unused=3, cash_fen=900)
    request = messages.CloseShiftRequest(request_id="X1", shift_count_id=counted.shift_count_id, reason="wrong change")
    await sign(desk, (await both.ask("CloseShift", request)).countersignature_id)
    desk.tills.deaf = True
    assert (await both.ask("CloseShift", request)).closed
    assert not await driver.fetchval("select posted from issuance.shift_close")
    with pytest.raises(grpc.aio.AioRpcError):
        await count(both, unused=3, cash_fen=900)
    desk.tills.deaf = False
    async with issuance_engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await desk.closing(connection)
    assert list(desk.tills.posted.values()) == [(WINDOW, -100)]
    assert await driver.fetchval("select posted from issuance.shift_close")
    assert (await count(both, unused=3, cash_fen=900)).balance.cash_difference_fen == 0


async def work(desk: BlankDesk, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await desk.closing(connection)


async def test_a_difference_that_payments_declines_stops_neither_its_till_nor_another_one_and_is_tried_again(
    desk: BlankDesk, driver: Driver, owner: Driver, issuance_engine: AsyncEngine
) -> None:
    here, there = desk.clerk(), desk.clerk(6, OTHER)
    desk.tills.fen = {WINDOW: 1000, OTHER: 1000}
    desk.tills.declines = {WINDOW: "ACCOUNT_FROZEN"}
    for clerk in (here, there):
        counted = await count(clerk, unused=0, cash_fen=900)
        request = messages.CloseShiftRequest(request_id="X1", shift_count_id=counted.shift_count_id, reason="wrong change")
        await sign(desk, (await clerk.ask("CloseShift", request)).countersignature_id)
        assert (await clerk.ask("CloseShift", request)).closed
    assert [place for place, _ in desk.tills.posted.values()] == [OTHER]
    await work(desk, issuance_engine)
    waiting, declined = "onecard_issuance_cash_differences_waiting", "onecard_issuance_cash_differences_declined"
    assert [REGISTRY.get_sample_value(name) for name in (waiting, declined)] == [1, 1]
    again = await count(here, unused=0, cash_fen=900)  # what the till should hold is known, whatever its account says
    assert again.balance.cash_difference_fen == 0
    assert (await close(here, again)).closed
    desk.tills.declines = {}
    await work(desk, issuance_engine)
    assert len(desk.tills.posted) == 1  # not at once
    await owner.execute("update issuance.shift_close set next_time = now()")
    await work(desk, issuance_engine)
    assert sorted(desk.tills.posted.values()) == sorted([(OTHER, -100), (WINDOW, -100)])
    assert [REGISTRY.get_sample_value(name) for name in (waiting, declined)] == [0, 0]
    assert (await count(here, unused=0, cash_fen=900)).balance.cash_difference_fen == 0


async def test_a_till_whose_posting_breaks_keeps_no_other_one_waiting(
    desk: BlankDesk, driver: Driver, issuance_engine: AsyncEngine
) -> None:
    desk.tills.fen = {WINDOW: 1000, OTHER: 1000}
    desk.tills.deaf = True
    for clerk in (desk.clerk(), desk.clerk(6, OTHER)):
        counted = await count(clerk, unused=0, cash_fen=900)
        request = messages.CloseShiftRequest(request_id="X1", shift_count_id=counted.shift_count_id, reason="wrong change")
        await sign(desk, (await clerk.ask("CloseShift", request)).countersignature_id)
        assert (await clerk.ask("CloseShift", request)).closed
    desk.tills.deaf, desk.tills.declines = False, {WINDOW: "BROKEN"}
    await work(desk, issuance_engine)
    rows = await driver.fetch("select place, posted from issuance.shift_close order by posted")
    assert [tuple(row) for row in rows] == [(WINDOW, False), (OTHER, True)]


async def test_a_shift_stays_open_while_payments_is_away(desk: BlankDesk, driver: Driver) -> None:
    await add_blanks(driver, 3)
    clerk = desk.clerk()
    counted = await count(clerk, unused=3)
    desk.tills.away = True
    request = messages.CloseShiftRequest(request_id="X1", shift_count_id=counted.shift_count_id)
    with pytest.raises(grpc.aio.AioRpcError) as away:
        await clerk.ask("CloseShift", request)
    assert away.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await driver.fetchval("select count(*) from issuance.shift_close") == 0
    desk.tills.away = False
    assert (await clerk.twice("CloseShift", request)).closed


async def test_a_card_resumed_elsewhere_leaves_one_shift_and_comes_into_the_other(desk: BlankDesk, driver: Driver) -> None:
    (serial,) = await add_blanks(driver, 1)
    await add_blanks(driver, 1, OTHER)
    await make_card(driver, serial, until=Verb.BEGIN)
    blank = await find_blank(driver, serial)
    assert blank is not None
    assert await resume(driver, blank, OTHER, BY_CLERK, Fence(FENCE.record, 2)) is None
    here = (await count(desk.clerk(), unused=0)).balance
    there = (await count(desk.clerk(6, OTHER), unused=2)).balance
    assert (here.received, here.transferred, here.on_hand) == (1, 1, 0)
    assert (there.received, there.on_hand, list(there.unfinished)) == (2, 2, [serial])


async def test_whoever_moves_a_blank_while_its_shift_closes_comes_before_or_after_and_never_between(
    desk: BlankDesk, driver: Driver, issuance_engine: AsyncEngine
) -> None:
    serials = await add_blanks(driver, 20)
    clerk = desk.clerk()

    async def spoil(serial: str) -> None:
        async with driver_transaction(issuance_engine) as other:
            await move(other, serial, Verb.SPOIL, BY_CLERK, reason="bent")

    left = 20
    for begin in range(0, 20, 5):
        counted = await count(clerk, unused=left, spoiled=20 - left)
        request = messages.CloseShiftRequest(request_id=f"X{begin}", shift_count_id=counted.shift_count_id)
        closing, *_ = await asyncio.gather(clerk.ask("CloseShift", request), *map(spoil, serials[begin : begin + 5]))
        assert closing.closed or closing.refusal.reason == "COUNT_AGAIN"
        left -= 5
    books = (await count(clerk, unused=0, spoiled=20)).balance
    assert (books.on_hand, books.unused_difference, books.spoiled_difference) == (0, 0, 0)
    assert books.opening + books.received == books.spoiled
    spoiled = await driver.fetchval("select count(*) from issuance.blank_entry where verb = 10 and period is not null")
    assert spoiled == 20


async def test_without_payments_no_shift_is_closed(issuance_engine: AsyncEngine) -> None:
    closing = CloseShift(issuance_engine, None)
    with pytest.raises(DomainError, match="PAYMENTS_AWAY"):
        await closing.till_fen(WINDOW)
