"""`python -m services.card …`: what an operator and the owner of the database run for as long as it takes, written down."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner

from services.card.__main__ import app
from services.common import database as databases
from services.common.keyvault.vault import Purpose
from tests.integration.card.test_audit import Book
from tests.support.cardholders import Registry, submission
from tests.support.hall import Owner
from tests.support.town import Database

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def command(registry: Registry, database: Database, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs one, with a limit for everybody else's transactions that no statement over many would observe."""
    monkeypatch.setattr(databases, "_IMPATIENT", {"transaction_timeout": "1ms"})
    environment = {
        "ONECARD_DATABASE_URL": database.card_url,
        "ONECARD_OWNER_DATABASE_URL": database.owner_url,
        "ONECARD_VAULT": str(registry.vault.file),
        "ONECARD_VAULT_PIN": "pin of a test",
    }

    async def run(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return run


async def test_keys_are_changed_without_a_limit_of_time_and_that_is_written_down(
    registry: Registry, owner: Owner, command: Command
) -> None:
    await registry.submit(*(submission(number) for number in range(1, 4)))
    registry.vault.add_version("index", Purpose.MAC)
    registry.vault.add_version("data", Purpose.WRAP)
    registry.vault.activate("data", 2)
    assert "3 keys were wrapped anew" in await command("rewrap-keys")
    assert "3 holders were brought" in await command("fill-index")
    assert "6 rows of version 1 are gone" in await command("retire-index", "1")
    rows = await owner.fetch("select act, detail::text from card.audit where actor = 'service:card' order by id")
    assert [tuple(row) for row in rows] == [
        ("keys.rewrap", '{"keys": 3, "version": 2}'),
        ("index.fill", '{"holders": 3, "version": 2}'),
        ("index.retire", '{"rows": 6, "version": 1}'),
    ]


async def test_the_audit_is_verified_and_its_old_rows_taken_away_without_a_limit_of_time(
    registry: Registry, owner: Owner, command: Command
) -> None:
    book = Book(registry, owner)
    assert "nothing is that old" in await command("retire-audit")
    for hours in (-30_000, 0):
        await book.write()
        await book.seal(book.another_sealer(hours))
    assert "3 rows older than 1095 days are gone, up to seal 1" in await command("retire-audit")
    screen = await command("verify-audit", "--without-topic")
    assert "2 seals over 6 rows" in screen
    assert "3 rows were taken away after their time" in screen
    assert "the audit is whole" in screen
