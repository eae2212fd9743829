"""The audit of issuance is sealed as that of the card service is: what is done to it afterwards is found."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from onecard.card.v1.audit_seals_pb2 import AuditSeal
from services.common.audit.seal import SealAudit
from services.common.audit.seals import Finding, Kind
from services.common.audit.verify import Verified, verify_audit
from services.common.keyvault.vault import KeyVault
from services.issuance import __main__ as commands
from services.issuance.adapters import audit
from services.issuance.adapters.audit import BOOK
from services.issuance.domain.actor import Actor, Role
from tests.support.blanks import CLERK, WINDOW
from tests.support.issuance import open_vault
from tests.support.town import Database

Driver: TypeAlias = "asyncpg.Connection[Any]"
HERE = Actor(CLERK, frozenset({Role.CLERK}), 30, WINDOW, "HALL", 2**60)


class Broker:
    """Takes what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[int, bytes]] = []

    async def send(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        assert topic == "audit.seals"
        for key, value in messages:
            seal = AuditSeal.FromString(value)
            assert (key, seal.service) == (b"issuance", "issuance")
            self.published.append((seal.seal_number, seal.head))


class Book:
    """An audit with whoever writes, seals and verifies it."""

    def __init__(self, engine: AsyncEngine, driver: Driver, vault: KeyVault) -> None:
        self.engine = engine
        self.driver = driver
        self.vault = vault
        self.broker = Broker()
        self.sealing = SealAudit(BOOK, vault, self.broker)  # type: ignore[arg-type]  # a broker in memory

    async def write(self) -> None:
        for number in range(3):
            await audit.record(self.driver, HERE, "test.act", number=5, application=number or None, detail={"row": number})
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            assert await self.sealing(connection)

    async def verify(self) -> Verified:
        return await verify_audit(self.engine, BOOK, self.vault, self.broker.published, 0, lambda *_: None)


@pytest.fixture
async def book(issuance_engine: AsyncEngine, driver: Driver, tmp_path: Path) -> Book:
    made = Book(issuance_engine, driver, open_vault(tmp_path))
    for _ in range(3):
        await made.write()
    return made


async def test_what_was_not_touched_is_whole(book: Book) -> None:
    verified = await book.verify()
    assert (verified.seals, verified.rows, verified.published, verified.findings) == (3, 9, 3, [])


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'staff:8'",
        "shift = 31",
        "terminal = ''",
        "act = 'test.other'",
        "record = 6",
        "application = 9",
        "detail = '{}'",
        "at = at + interval '1 second'",
    ],
)
async def test_whatever_is_altered_in_a_row_is_found(book: Book, owner: Driver, change: str) -> None:
    await owner.execute("alter table issuance.audit disable trigger never")
    await owner.execute(f"update issuance.audit set {change} where id = 4")
    assert (await book.verify()).findings == [Finding(Kind.ALTERED, 4)]


async def test_a_row_that_was_removed_or_a_tail_that_was_cut_off_is_found(book: Book, owner: Driver) -> None:
    for table in ("audit", "audit_sealed"):
        await owner.execute(f"alter table issuance.{table} disable trigger never")
    await owner.execute("delete from issuance.audit where id = 5")
    assert (await book.verify()).findings == [Finding(Kind.REMOVED, 5)]
    await owner.execute("delete from issuance.audit_sealed where seal = 3")
    await owner.execute("delete from issuance.audit_seal where number = 3")
    assert Finding(Kind.TAIL_CUT, 3) in (await book.verify()).findings


async def test_the_service_itself_can_change_nothing(book: Book, driver: Driver) -> None:
    for statement in (
        "update issuance.audit set act = ''",
        "delete from issuance.audit_seal",
        "update issuance.audit_seal set head = ''",
        "update issuance.audit_sealed set digest = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await driver.execute(statement)


async def test_the_command_says_whether_it_is_whole(
    book: Book, owner: Driver, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECARD_DATABASE_URL", database.issuance_url)
    monkeypatch.setenv("ONECARD_VAULT", str(tmp_path / "issuance.token"))
    monkeypatch.setenv("ONECARD_VAULT_PIN", "pin of a test")

    async def command() -> Any:
        return await asyncio.to_thread(CliRunner().invoke, commands.app, ["verify-audit", "--without-topic"])

    whole = await command()
    assert (whole.exit_code, "the audit is whole" in whole.output) == (0, True), whole.output
    await owner.execute("alter table issuance.audit disable trigger never")
    await owner.execute("update issuance.audit set actor = 'staff:8' where id = 4")
    altered = await command()
    assert (altered.exit_code, "a row was altered: 4" in altered.output) == (1, True), altered.output
