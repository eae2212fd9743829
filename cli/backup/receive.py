"""Receives the write-ahead log into a second place, and has commits wait until it is there."""

from pathlib import Path

from cli.backup.folder import WAL, list_received
from cli.backup.tools import ROLE, BackupError, ask, connection, program, run

_PREPARE = f"""
select 'create role {ROLE} login' where not exists (select from pg_roles where rolname = '{ROLE}') \\gexec
alter role {ROLE} replication;
grant usage on schema payments to {ROLE};
grant insert on payments.backup to {ROLE};
"""  # noqa: S608  # a constant
_SYNCHRONOUS = f"alter system set synchronous_standby_names = '{ROLE}'"
_ALONE = "alter system set synchronous_standby_names = ''"
_RELOAD = "; select pg_reload_conf()"
_CONNECTED = f"select count(*) from pg_stat_replication where application_name = '{ROLE}' and state = 'streaming'"  # noqa: S608


def prepare(owner_url: str) -> None:
    """Make the role of backups: it reads the database's files and its log, and no row through a query."""
    ask(owner_url, _PREPARE)


def receiver(folder: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """The command that receives for ever, with its environment; makes its slot when there is none. Raises BackupError."""
    log = folder / WAL
    log.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = connection(url)
    timeline = int(run("psql", "-X", "-At", "-w", "-c", "IDENTIFY_SYSTEM", "replication=true", env=env).split("|")[1])
    if any(segment.timeline < timeline for segment in list_received(folder)):
        raise BackupError(
            f"{folder} belongs to the server as it was before a restore (this is timeline {timeline}):"
            " receive into another folder, and take a backup there"
        )
    run("pg_receivewal", "--slot", ROLE, "--create-slot", "--if-not-exists", "--no-password", env=env)
    options = ["--directory", str(log), "--slot", ROLE, "--synchronous", "--no-password"]
    return [program("pg_receivewal"), *options], env


def have_commits_wait(owner_url: str) -> None:
    """From now on a commit is answered when the receiver has it on its disk. Raises BackupError while none is connected."""
    if ask(owner_url, _CONNECTED) == "0":
        raise BackupError("no receiver is connected: every commit would wait. Start `onecard backup receive` first")
    ask(owner_url, _SYNCHRONOUS + _RELOAD)


def let_commits_go(owner_url: str) -> None:
    """From now on, and for those that wait already, the server's own disk is enough."""
    ask(owner_url, _ALONE + _RELOAD)
