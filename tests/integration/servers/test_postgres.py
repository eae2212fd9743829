"""PostgreSQL starts, keeps its data, and leaves nothing behind."""

import os
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy.engine import make_url

from cli.servers.child import ServerFailedError
from cli.servers.ports import listening
from cli.servers.postgres import Postgres
from cli.servers.quarters import UNPRIVILEGED


async def connect(url: str) -> asyncpg.Connection:
    parts = make_url(url)
    return await asyncpg.connect(
        host=parts.host, port=parts.port, user=parts.username, password=parts.password, database=parts.database
    )


async def test_both_roles_connect_and_only_the_owner_rules(postgres: Postgres) -> None:
    postgres.start()
    rules = {}
    for url in (postgres.owner_url, postgres.application_url):
        connection = await connect(url)
        rules[url] = await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
        await connection.close()
    assert rules == {postgres.owner_url: True, postgres.application_url: False}


async def test_nobody_comes_in_without_the_password(postgres: Postgres) -> None:
    postgres.start()
    url = make_url(postgres.owner_url).set(password="guessed").render_as_string(hide_password=False)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(url)


def test_what_is_committed_is_durable(postgres: Postgres) -> None:
    postgres.start()
    assert [postgres.scalar(f"show {setting}") for setting in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3
    postgres.scalar("create table kept (what text)")
    postgres.restart()
    postgres.scalar("insert into kept values ('after a restart')")
    postgres.kill()
    postgres.start()
    assert postgres.scalar("select what from kept") == "after a restart"


def test_a_kill_leaves_no_process(postgres: Postgres) -> None:
    postgres.start()
    family = [psutil.Process(postgres.child.pid), *psutil.Process(postgres.child.pid).children(recursive=True)]
    assert len(family) > 3
    postgres.kill()
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else's rights to give")
def test_started_by_root_it_runs_as_nobody_where_nobody_may_enter(postgres: Postgres, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    postgres.start()
    assert psutil.Process(postgres.child.pid).username() == UNPRIVILEGED
    assert not postgres.data.is_relative_to(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700, "no permission was changed"
    outside = postgres.data.parent
    postgres.remove()
    assert not outside.exists()


def test_a_start_that_fails_says_why(postgres: Postgres, tmp_path: Path) -> None:
    postgres.start()
    second = Postgres(tmp_path / "second", port=postgres.port)
    try:
        with pytest.raises(ServerFailedError, match="is taken by another program") as failure:
            second.start()
    finally:
        second.remove()
    assert str(second.port) in str(failure.value)
    assert listening(postgres.port)
