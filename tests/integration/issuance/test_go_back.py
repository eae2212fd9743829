"""A stock of blanks that went back to a moment: what was used since, by issuance.events, is not used a second time."""

import asyncio
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from cli.servers.broker import Broker
from onecard.issuance.v1.issuance_events_pb2 import IssuanceEvent
from onecard.issuance.v1.issuance_pb2 import (
    ISSUE_OUTCOME_ISSUED,
    ISSUE_OUTCOME_RELEASED,
    ISSUE_OUTCOME_UNSPECIFIED,
    IssueOutcome,
)
from services.common.announce import Announcer
from services.common.clock import instant, now_ms
from services.common.topics import ISSUANCE_EVENTS
from services.issuance.__main__ import app
from services.issuance.adapters.blanks import find_blanks, move
from services.issuance.domain.blank import BlankState, Fence, Verb
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.reapply_blanks import reapply_blanks
from tests.support.blanks import BY_CLERK, FENCE, add_blanks, add_box
from tests.support.issuance import open_vault
from tests.support.town import Database

Driver: TypeAlias = "asyncpg.Connection[Any]"
MOMENT_MS = now_ms() - 60_000


def event(serial: str, outcome: IssueOutcome = ISSUE_OUTCOME_ISSUED, at_ms: int = MOMENT_MS + 1) -> bytes:
    return IssuanceEvent(blank_serial=serial, outcome=outcome, event_time_ms=at_ms).SerializeToString()


async def test_used_blanks_are_barred_or_spoiled_and_what_is_unclear_is_named(
    issuance_engine: AsyncEngine, driver: Driver
) -> None:
    white, reserved, printed, before, given_back = await add_blanks(driver, 5)
    stored, untouched = await add_box(driver, 2)
    await move(driver, reserved, Verb.RESERVE, BY_CLERK, FENCE, application=1)
    other = Fence(8, 1)
    await move(driver, printed, Verb.RESERVE, BY_CLERK, other, application=2)
    for verb in (Verb.BEGIN, Verb.VERIFY, Verb.PRINT):
        await move(driver, printed, verb, BY_CLERK, other)
    published = [
        b"\xff",
        event(white),
        event(reserved),
        event(stored),
        event(before, at_ms=MOMENT_MS),
        event(given_back, ISSUE_OUTCOME_UNSPECIFIED),
        event(given_back, ISSUE_OUTCOME_RELEASED),
        event(printed),
        event("B99999"),
    ]
    done = await reapply_blanks(issuance_engine, published, MOMENT_MS)
    assert (done.barred, done.spoiled, done.looks) == (2, 1, sorted(["B99999", printed]))
    found = {blank.serial: blank for blank in await find_blanks(driver, [white, reserved, printed, before, given_back])}
    assert {serial: blank.barred for serial, blank in found.items()} == {
        white: True, reserved: True, printed: False, before: False, given_back: False
    }  # fmt: skip
    in_depot = {blank.serial: blank.state for blank in await find_blanks(driver, [stored, untouched])}
    assert in_depot == {stored: BlankState.SPOILED, untouched: BlankState.BOXED}
    assert await move(driver, white, Verb.RESERVE, BY_CLERK, FENCE, application=2) is Refusal.BLANK_BARRED
    again = await reapply_blanks(issuance_engine, published, MOMENT_MS)
    assert (again.barred, again.spoiled) == (0, 0)


async def test_the_command_hears_the_topic(driver: Driver, database: Database, broker: Broker, tmp_path: Path) -> None:
    used, untouched = await add_blanks(driver, 2)
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    await announcer.send(ISSUANCE_EVENTS, [(used.encode(), event(used)), (b"B99999", event("B99999"))])
    await announcer.stop()
    environment = {
        "ONECARD_OWNER_DATABASE_URL": database.owner_url,
        "ONECARD_KAFKA": broker.bootstrap,
        "ONECARD_VAULT": str(open_vault(tmp_path).file),
        "ONECARD_VAULT_PIN": "pin of a test",
    }
    words = ["go-back", "--to", instant(MOMENT_MS).isoformat()]
    result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "1 blanks are barred, 0 at the depot are spoiled" in result.output
    assert "B99999" in result.output
    assert {blank.serial: blank.barred for blank in await find_blanks(driver, [used, untouched])} == {
        used: True, untouched: False
    }  # fmt: skip
