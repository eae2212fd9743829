"""`python -m services.issuance check-blanks`: what a ledger that was tampered with looks like."""

import asyncio
from typing import Any, TypeAlias

import asyncpg
import pytest
from typer.testing import CliRunner

from services.issuance.__main__ import app
from services.issuance.adapters.entries import unsound
from tests.support.blanks import add_blanks, add_box
from tests.support.town import Database

Driver: TypeAlias = "asyncpg.Connection[Any]"


async def check(database: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ONECARD_DATABASE_URL", database.issuance_url)
    return await asyncio.to_thread(CliRunner().invoke, app, ["check-blanks"])


async def test_a_sound_ledger_is_said_to_be_sound(
    driver: Driver, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    await add_box(driver, 3)
    await add_blanks(driver, 2)
    said = await check(database, monkeypatch)
    assert (said.exit_code, "exactly one place" in said.output) == (0, True), said.output


async def test_a_blank_that_was_moved_past_the_ledger_or_taken_away_is_named(
    driver: Driver, owner: Driver, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, *_ = await add_blanks(driver, 2)
    await owner.execute("update issuance.blank set state = 9 where serial = $1", moved)
    assert await unsound(driver) == [moved]
    said = await check(database, monkeypatch)
    assert said.exit_code == 1
    assert moved in str(said.exception) + said.output
    await owner.execute("update issuance.blank set state = 3 where serial = $1", moved)
    await owner.execute("update issuance.box set count = count + 1")
    assert await unsound(driver) == [""]
