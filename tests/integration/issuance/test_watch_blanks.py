"""What the elected process does about blanks: lost terminals, measures, warnings."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.clock import now_ms
from services.issuance.adapters.blanks import Signed, find_blank, move
from services.issuance.domain.blank import BlankState, Fence, Verb
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.settings import IssuanceRules
from services.issuance.handlers.forget_requests import ForgetRequests
from services.issuance.handlers.watch_blanks import BarLostBlanks, MeasureBlanks
from tests.support.blanks import BY_CLERK, FENCE, KIT, PRODUCT, WINDOW, add_blanks, add_box
from tests.support.waiting import until

Driver: TypeAlias = "asyncpg.Connection[Any]"
Round: TypeAlias = Callable[[Any], Awaitable[object]]


async def once(engine: AsyncEngine, duty: Round) -> object:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        return await duty(connection)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_blanks_of_a_lost_kit_are_barred_and_measured(issuance_engine: AsyncEngine, driver: Driver) -> None:
    held, white, printed = await add_blanks(driver, 3, KIT)
    (elsewhere,) = await add_blanks(driver, 1, WINDOW)
    by_kit = Signed(BY_CLERK.staff, BY_CLERK.shift, KIT)
    await move(driver, held, Verb.RESERVE, by_kit, FENCE, application=1)
    other = Fence(8, 1)
    await move(driver, printed, Verb.RESERVE, by_kit, other, application=2)
    for verb in (Verb.BEGIN, Verb.VERIFY, Verb.PRINT):
        await move(driver, printed, verb, by_kit, other)
    measured = value("onecard_issuance_barred_after_seconds_count")

    async def lost() -> dict[str, int]:
        return {KIT: now_ms() - 1500}

    duty = BarLostBlanks(issuance_engine, lost)
    assert await once(issuance_engine, duty)
    assert await once(issuance_engine, duty)
    barred = {serial: (await find_blank(driver, serial)).barred for serial in (held, white, printed, elsewhere)}  # type: ignore[union-attr]
    assert barred == {held: True, white: True, printed: False, elsewhere: False}
    assert value("onecard_issuance_barred_after_seconds_count") == measured + 2
    assert await move(driver, held, Verb.BEGIN, by_kit, FENCE) is Refusal.BLANK_BARRED
    assert await driver.fetchval("select count(*) from issuance.blank_entry where verb = $1", Verb.BAR) == 2


async def test_a_blank_that_cannot_be_barred_now_keeps_no_other_one_waiting(
    issuance_engine: AsyncEngine, driver: Driver, owner: Driver
) -> None:
    held, *others = [*await add_blanks(driver, 3, KIT), *await add_blanks(driver, 2, WINDOW)]

    async def lost() -> dict[str, int]:
        return {KIT: now_ms(), WINDOW: now_ms()}

    async def barred() -> list[str]:
        return [row[0] for row in await driver.fetch("select serial from issuance.blank where barred order by serial")]

    duty = BarLostBlanks(issuance_engine, lost)
    async with owner.transaction():
        await owner.execute("select from issuance.blank where serial = $1 for update", held)
        await once(issuance_engine, duty)
        assert await barred() == sorted(others)
    await once(issuance_engine, duty)
    assert await barred() == sorted([held, *others])


async def test_moves_are_measured_once_and_those_of_before_are_not(issuance_engine: AsyncEngine, driver: Driver) -> None:
    duty = MeasureBlanks(IssuanceRules(0, 0, 30), late_seconds=0)
    await once(issuance_engine, duty)
    (serial,) = await add_blanks(driver, 1)
    await move(driver, serial, Verb.SPOIL, BY_CLERK, reason="bent in the drawer")
    labels = {"from_state": BlankState.ASSIGNED.name, "to_state": BlankState.SPOILED.name}
    before, spoiled = (
        value("issuance_transitions_total", **labels),
        value("onecard_issuance_spoiled_total", product=PRODUCT, reason="BY_HAND"),
    )

    async def measured() -> bool:
        await once(issuance_engine, duty)
        return value("issuance_transitions_total", **labels) > before

    await until("the move is measured", measured)
    await once(issuance_engine, duty)
    assert value("issuance_transitions_total", **labels) == before + 1
    assert value("onecard_issuance_spoiled_total", product=PRODUCT, reason="BY_HAND") == spoiled + 1


async def test_stock_is_measured_and_a_place_with_too_few_is_said_once(
    issuance_engine: AsyncEngine, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    await add_box(driver, 5)
    await add_blanks(driver, 3, WINDOW)
    duty = MeasureBlanks(IssuanceRules(lowest_stock=4, lowest_depot=5, request_days=30))
    duty.EVERY_SECONDS = 0.0  # type: ignore[misc]
    await once(issuance_engine, duty)
    await once(issuance_engine, duty)
    assert value("blank_card_stock", depot="DEPOT", product=PRODUCT) == 5
    assert value("blank_card_stock", depot="HALL", product=PRODUCT) == 3
    assert (value("blank_low_stock", depot="HALL"), value("blank_low_stock", depot="DEPOT")) == (1, 0)
    assert caplog.text.count("few_blanks") == 1
    assert WINDOW in caplog.text


async def test_answers_are_forgotten_after_the_citys_days(
    issuance_engine: AsyncEngine, driver: Driver, owner: Driver
) -> None:  # fmt: skip
    for days in (29, 31):
        await owner.execute(
            """insert into issuance.request (caller, request_id, digest, response, create_time)
               values ('w', $1::text, '', '', now() - make_interval(days => $2))""",
            f"R{days}",
            days,
        )
    assert await once(issuance_engine, ForgetRequests(IssuanceRules(0, 0, 30)))
    assert [row[0] for row in await driver.fetch("select request_id from issuance.request")] == ["R29"]
