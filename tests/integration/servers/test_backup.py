"""Backups of a real server: taken, verified, received, and waited for."""

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from cli.backup.folder import find_backup, list_backups, list_received
from cli.backup.receive import have_commits_wait, let_commits_go, prepare, receiver
from cli.backup.take import take, verify
from cli.backup.tools import BackupError, ask
from cli.servers.postgres import Postgres
from services.payments.handlers.migrate import migrate
from tests.support.waiting import until

STREAMING = "select count(*) from pg_stat_replication where application_name = 'onecard_backup' and state = 'streaming'"
ADDED = "insert into payments.backup (take_time, name, size_bytes) values (now(), 'noted', 1)"
SEEN = "select count(*) from payments.backup"


@pytest.fixture
async def server(postgres: Postgres) -> Postgres:
    postgres.start()
    await migrate(postgres.owner_url)
    prepare(postgres.owner_url)
    return postgres


@pytest.fixture
def vaults(tmp_path: Path) -> dict[str, dict[str, str]]:
    token = tmp_path / "payments.token"
    token.write_bytes(b"sealed under a PIN")
    return {"payments": {"ONECARD_VAULT": str(token), "ONECARD_VAULT_PIN": "a PIN of somebody"}}


@pytest.fixture
def receiving(server: Postgres, tmp_path: Path) -> Iterator["Receiving"]:
    started = Receiving(tmp_path / "backups", server)
    yield started
    started.end()


class Receiving:
    """The receiver as a supervisor runs it."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self._folder, self._server = folder, server
        self.start()

    def start(self) -> None:
        command, env = receiver(self._folder, self._server.url_of("backup"))
        self._process = subprocess.Popen(command, env=env)

    async def connected(self) -> None:
        async def streams() -> bool:
            return self._server.scalar(STREAMING) == "1"

        await until("the receiver streams", streams)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


async def test_a_backup_is_whole_until_a_byte_of_it_changes(
    server: Postgres, receiving: Receiving, vaults: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    await receiving.connected()
    taken = take(folder, server.url_of("backup"), vaults)
    assert [backup.name for backup in list_backups(folder)] == [taken.name]
    assert server.scalar("select name from payments.backup") == taken.name
    assert verify(folder, find_backup(folder)) >= 1
    assert find_backup(folder, before=datetime.now(UTC)) == taken
    with pytest.raises(BackupError, match=r"no backup in .* is older than"):
        find_backup(folder, before=taken.record.taken)
    assert list_received(folder)[-1].name >= taken.record.first_segment
    (copied,) = taken.record.files
    assert (taken.folder / copied.path).read_bytes() == b"sealed under a PIN"
    assert not any(b"a PIN of somebody" in file.read_bytes() for file in taken.folder.glob("*.json")), "no PIN lies in a backup"

    (taken.folder / copied.path).write_bytes(b"another token")
    with pytest.raises(BackupError, match="is not what was copied"):
        verify(folder, taken)
    (taken.folder / copied.path).write_bytes(b"sealed under a PIN")
    page = next(file for file in sorted((taken.base / "base").rglob("*")) if file.is_file() and file.stat().st_size >= 8192)
    page.write_bytes(bytes(8192) + page.read_bytes()[8192:])
    with pytest.raises(BackupError, match="checksum mismatch"):
        verify(folder, taken)


async def test_with_the_receiver_away_a_commit_waits_until_it_is_back_or_let_go(server: Postgres, receiving: Receiving) -> None:
    await receiving.connected()
    have_commits_wait(server.owner_url)
    owner = await asyncpg.connect(server.owner_url.replace("+asyncpg", ""))
    try:
        await owner.execute(ADDED)
        receiving.end()
        waiting = asyncio.ensure_future(owner.execute("delete from payments.backup"))
        await asyncio.sleep(2)
        assert not waiting.done()
        assert server.scalar(SEEN) == "1", "nobody sees it"
        receiving.start()
        await asyncio.wait_for(waiting, 30)
        receiving.end()
        waiting = asyncio.ensure_future(owner.execute(ADDED))
        await asyncio.sleep(1)
        assert not waiting.done()
        with pytest.raises(BackupError, match="no receiver is connected"):
            have_commits_wait(server.owner_url)
        let_commits_go(server.owner_url)
        await asyncio.wait_for(waiting, 30)
    finally:
        await owner.close()


def test_who_takes_backups_reads_no_table(server: Postgres) -> None:
    with pytest.raises(BackupError, match="permission denied"):
        ask(server.url_of("backup"), "select * from payments.account")
    with pytest.raises(BackupError, match="permission denied"):
        ask(server.url_of("backup"), "select * from payments.backup")


def test_a_segment_that_is_missing_is_found(tmp_path: Path, server: Postgres) -> None:
    folder = tmp_path / "backups"
    taken = take(folder, server.url_of("backup"), {})
    first = int(taken.record.first_segment, 16)
    log = folder / "wal"
    log.mkdir()
    for ahead in (0, 1, 3):
        (log / f"{first + ahead:024X}").touch()
    with pytest.raises(BackupError, match=f"{first + 2:024X} is missing"):
        verify(folder, taken)
    (log / f"{first + 2:024X}.partial").touch()
    assert verify(folder, taken) == 4
