"""`onecard kit …`: what a clerk types at a bedside without a network, and with one again."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.integration.card.test_terminals import KIT, SECURITY, revoke
from tests.support.cardholders import citizen_number
from tests.support.hall import WINDOW, Hall

NOWHERE = "localhost:1"


class Bedside:
    """A kit's command line; `away`: there is no network."""

    def __init__(self, hall: Hall, folder: Path) -> None:
        self.hall = hall
        self.folder = folder
        shutil.copy(hall.authority.certificate, folder / "authority.crt")
        for subject, name in ((KIT, "KIT-1"), (WINDOW, "WINDOW-1")):
            issued = hall.authority.issue(subject)
            shutil.copy(issued.certificate, folder / f"{name}@CITY-HALL.crt")
            shutil.copy(issued.key, folder / f"{name}@CITY-HALL.key")

    async def sign_in(self) -> None:
        for subject, name in ((KIT, "KIT-1"), (WINDOW, "WINDOW-1")):
            (self.folder / f"{name}@CITY-HALL.session").write_text(await self.hall.sign_in(subject=subject))

    async def __call__(self, *words: str, typed: str = "", away: bool = False, at: str = "kit") -> tuple[int, str]:
        api = NOWHERE if away else f"localhost:{self.hall.port}"
        options = ["--card-api", api, "--certificates", str(self.folder)]
        result = await asyncio.to_thread(CliRunner().invoke, app, [at, *words, *options], input=typed)
        return result.exit_code, result.output

    async def queue(self, number: int, name: str = "欧阳标记") -> tuple[int, str]:
        return await self("queue", typed=f"{citizen_number(number)}\n{name}\n01\n13987654321\n", away=True)


@pytest.fixture
async def bedside(hall: Hall, tmp_path: Path) -> Bedside:
    folder = tmp_path / "kit"
    folder.mkdir()
    made = Bedside(hall, folder)
    await made.sign_in()
    return made


async def test_without_a_network_it_is_queued_and_with_one_it_is_handed_in(bedside: Bedside) -> None:
    status, said = await bedside.queue(77)
    assert (status, "get-key" in said) == (2, True)
    assert "under version 1" in (await bedside("get-key"))[1]
    for number, waiting in ((77, 1), (77, 2)):
        status, said = await bedside.queue(number)
        assert (status, f"{waiting} wait" in said) == (0, True), said
    stored = b"".join(file.read_bytes() for file in bedside.folder.iterdir())
    for text in ("欧阳标记", citizen_number(77), "13987654321"):
        assert text.encode() not in stored
    assert (await bedside("list", away=True))[1].count("waits") == 2
    status, said = await bedside("upload")
    assert (status, "1 accepted, 1 not" in said, "***记 13987654321" in said) == (1, True, True), said
    listed = (await bedside("list", away=True))[1]
    assert ("waits" in listed, "APPLICATION_OPEN" in listed, re.search(r"application \d+", listed) is not None) == (
        False,
        True,
        True,
    )
    assert (await bedside("upload"))[0] == 0
    stored = b"".join(file.read_bytes() for file in bedside.folder.iterdir())
    assert b"13987654321" not in stored


async def test_what_finds_no_network_again_stays_in_the_queue(bedside: Bedside) -> None:
    await bedside("get-key")
    await bedside.queue(77)
    (bedside.folder / "KIT-1@CITY-HALL.session").unlink()
    status, said = await bedside("upload")
    assert (status, "SIGN_IN_NEEDED" in said) == (2, True), said
    assert (await bedside("list", away=True))[1].count("waits") == 1


async def test_a_lost_queue_is_shown_at_a_window_and_cleared(bedside: Bedside, hall: Hall) -> None:
    await bedside("get-key")
    await bedside.queue(77)
    await hall.owner.execute(
        """insert into card.kit_queue (terminal, outlet, staff, count, ids, report_time)
           values ($1, '440703-01', 1, 3, '{}', now())""",
        KIT,
    )
    assert "no queue is lost" in (await bedside("lost-queues", at="window"))[1]
    await revoke(await hall.window(SECURITY), subject=KIT)
    assert "KIT-1" in (await bedside("lost-queues", at="window"))[1]
    assert "kit queue" in (await bedside("work-list", "--kind", "kit-queue", at="window"))[1]
    number = str(await hall.owner.fetchval("select id from card.kit_queue"))
    assert "3 cleared" in (await bedside("clear-lost-queue", number, at="window"))[1]
    assert "nothing waits here" in (await bedside("work-list", "--kind", "kit-queue", at="window"))[1]
