"""`onecard blanks`, `shift` and `countersign`, as people type them, and what they say."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from typer.testing import CliRunner

from cli.main import app
from services.issuance.domain.actor import Role
from tests.support.blank_desk import BlankDesk
from tests.support.blanks import delivery

Type: TypeAlias = Callable[..., Awaitable[str]]


@pytest.fixture
def type_in(desk: BlankDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Who types, at WINDOW-1, what, and with which exit status it ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    tokens = {
        "keeper": desk.staff.sign_in(5, Role.BLANK_KEEPER),
        "clerk": desk.staff.sign_in(3, Role.CLERK),
        "supervisor": desk.staff.sign_in(4, Role.SUPERVISOR),
    }

    async def run(who: str, *words: str, ends_with: int = 0) -> str:
        (tmp_path / "WINDOW-1@CITY-HALL.session").write_text(tokens[who])
        command = [*words, "--issuance-api", f"127.0.0.1:{desk.port}"]
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert result.exit_code == ends_with, (words, result.output, result.exception)
        return result.output

    return run


async def test_a_keeper_and_a_clerk_do_a_day_with_commands(type_in: Type, tmp_path: Path) -> None:
    (tmp_path / "box.txt").write_bytes(delivery("BX1", range(1, 11)))
    assert "10 received into box BX1" in await type_in("keeper", "blanks", "receive", "box.txt")
    again = await type_in("keeper", "blanks", "receive", "box.txt", ends_with=1)
    assert "第 1 行：该箱号已入库" in again
    assert "5 assigned to WINDOW-1" in await type_in("keeper", "blanks", "assign", "BX1-00001", "BX1-00005", "WINDOW-1")
    assert await type_in("clerk", "blanks", "list", "--state", "assigned")
    stock = await type_in("clerk", "blanks", "stock")
    assert "DEPOT" in stock and "WINDOW-1" in stock  # noqa: PT018 - one table
    assert "岗位" in await type_in("clerk", "blanks", "assign", "BX1-00006", "BX1-00006", "WINDOW-1", ends_with=2)

    spoil = ("blanks", "spoil", "BX1-00001", "--reason", "bent", "--request-id", "S1")
    waits = await type_in("clerk", *spoil, ends_with=1)
    (number,) = set(re.findall(r"countersign sign (\d+)", waits))
    assert "bent" in await type_in("supervisor", "countersign", "list")
    assert "signed" in await type_in("supervisor", "countersign", "sign", number)
    assert "1 spoiled" in await type_in("clerk", *spoil)
    assert "3 + 4" in await type_in("clerk", "blanks", "show", "BX1-00001")

    assert "on their way" in await type_in("clerk", "blanks", "transfer", "BX1-00002", "BX1-00002", "DEPOT")
    assert "1 arrived" in await type_in("keeper", "blanks", "confirm-transfer", "BX1-00002")
    assert "1 back at the depot" in await type_in("keeper", "blanks", "take-back", "BX1-00001")

    short = await type_in("clerk", "shift", "count", "--unused", "2", "--cash", "0")
    assert "-1" in short
    number = re.findall(r"shift close (\d+)", short)[0]
    assert "BLANKS_DIFFER" in await type_in("clerk", "shift", "close", number, ends_with=1)
    right = await type_in("clerk", "shift", "count", "--unused", "3", "--cash", "0.00")
    number = re.findall(r"shift close (\d+)", right)[0]
    assert "a second signature" in right
    assert "COUNT_REASON_NEEDED" in await type_in("clerk", "shift", "close", number, ends_with=1)
    close = ("shift", "close", number, "--reason", "one in the drawer", "--request-id", "C1")
    waits = await type_in("clerk", *close, ends_with=1)
    (number,) = set(re.findall(r"countersign sign (\d+)", waits))
    await type_in("supervisor", "countersign", "sign", number)
    assert "the shift is closed" in await type_in("clerk", *close)


async def test_missing_found_and_destroyed_take_two_people_each(type_in: Type, tmp_path: Path) -> None:
    (tmp_path / "box.txt").write_bytes(delivery("BX1", range(1, 3)))
    await type_in("keeper", "blanks", "receive", "box.txt")
    for words in (
        ("report-missing", "BX1-00001", "--incident", "I-7"),
        ("report-found", "BX1-00001", "--incident", "I-7"),
        ("destroy", "BX1-00001"),
    ):
        command = ("blanks", *words, "--request-id", words[0])
        waits = await type_in("keeper", *command, ends_with=1)
        (number,) = set(re.findall(r"countersign sign (\d+)", waits))
        await type_in("supervisor", "countersign", "sign", number)
        assert "1 " in await type_in("keeper", *command)
    assert "destroyed" in await type_in("keeper", "blanks", "show", "BX1-00001")
