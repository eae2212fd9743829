"""`onecard backup`: for whoever would have to start again with an empty machine."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from cli.backup.folder import find_backup, list_backups, list_received
from cli.backup.receive import have_commits_wait, let_commits_go, prepare, receiver
from cli.backup.take import BROUGHT, take, verify
from cli.backup.tools import BackupError
from cli.city.state import read_state

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Backups of the database, and of what an empty machine needs beside it.

    - `onecard backup prepare` makes the role of backups, once
    - `onecard backup receive FOLDER` receives what is written, for ever
    - `onecard backup synchronous on` has every commit wait for that
    - `onecard backup take FOLDER` takes a backup, once a day
    - `onecard backup list FOLDER`, `onecard backup verify FOLDER`
    """,
)
URL = "ONECARD_BACKUP_DATABASE_URL"
OWNER_URL = "ONECARD_OWNER_DATABASE_URL"
out = Console(highlight=False)
T = TypeVar("T")

Folder = Annotated[Path, typer.Argument(help="of the backups: another machine's disk", file_okay=False)]


@app.command("prepare")
def prepare_role() -> None:
    """Make the role onecard_backup, as a superuser of the database; give it a password then.

    It may read the files and the log of the database, as a backup must, and note that one was taken. It sees no table.
    """
    do(lambda: prepare(setting(OWNER_URL)))
    out.print("the role onecard_backup is there; next: a password for it, and `onecard backup receive FOLDER`")


@app.command("receive")
def receive_log(folder: Folder) -> None:
    """Receive the write-ahead log into FOLDER/wal until SIGTERM, synced to the disk as it comes. Have it supervised.

    It is pg_receivewal with a slot: while it is away the server keeps what it has not got. Example:

        onecard backup receive /backups/2026
    """
    command, env = do(lambda: receiver(folder, setting(URL)))
    os.execve(command[0], command, env)  # noqa: S606 - a supervisor sees the program that does it


@app.command("synchronous")
def wait_or_not(on: Annotated[str, typer.Argument(help="on or off", metavar="on|off")]) -> None:
    """Have commits wait until the receiver has them on its disk, or not, as a superuser of the database.

    On, nothing that was answered can be lost with the server; while the receiver is away nothing is posted. Off lets those go
    on that wait: what is answered from then on may be lost with the server.
    """
    if on not in ("on", "off"):
        _fail("say on or off")
    do(lambda: (have_commits_wait if on == "on" else let_commits_go)(setting(OWNER_URL)))
    out.print("commits wait for the receiver" if on == "on" else "commits wait for nobody: the server's disk is all there is")


@app.command("take")
def take_one(
    folder: Folder,
    settings: Annotated[
        list[str] | None,
        typer.Option("--of", metavar="SERVICE=FILE", help="a service and its settings, a file of NAME=value lines; again"),
    ] = None,
) -> None:
    """Take a backup of the database and of the services' vaults and settings, and verify it. No PIN and no key is in it.

    Example: onecard backup take /backups/2026 --of card=/etc/onecard/card.env --of payments=/etc/onecard/payments.env
    """
    taken = do(lambda: take(folder, setting(URL), services_settings(settings or [])))
    out.print(f"{taken.folder}: {taken.record.size_bytes / 1e6:,.1f} MB, verified; files beside the database:")
    for file in taken.record.files:
        out.print(f"  {file.path}")
    out.print("What a restore needs and no backup has:")
    for what in BROUGHT:
        out.print(f"  {what}")


@app.command("list")
def list_them(folder: Folder) -> None:
    """List the backups of a folder, and how far the received log goes."""
    table = Table("backup", "MB", "needs the log from", title=f"backups in {folder}")
    for backup in list_backups(folder):
        table.add_row(backup.name, f"{backup.record.size_bytes / 1e6:,.1f}", backup.record.first_segment)
    out.print(table)
    received = list_received(folder)
    said = f"{received[0].name} to {received[-1].name}" if received else "nothing: a restore ends where its backup ends"
    out.print(f"received log: {said}")


@app.command("verify")
def verify_one(
    folder: Folder, name: Annotated[str, typer.Option("--backup", help="its name; otherwise the newest")] = ""
) -> None:
    """Look at every byte of a backup again, and whether the received log follows it without a hole; exits with 1 when not."""

    def look() -> tuple[str, int]:
        backup = find_backup(folder, name)
        return backup.name, verify(folder, backup)

    found, segments = do(look)
    out.print(f"{found} is whole; {segments} segments of the log follow it without a hole")


def services_settings(files: list[str]) -> Mapping[str, Mapping[str, str]]:
    """Each service's settings: from files, or of the city that runs here."""
    named = dict(file.split("=", 1) for file in files if "=" in file)
    if len(named) != len(files):
        raise BackupError("--of takes SERVICE=FILE, each service once")
    if named:
        return {service: _read_settings(Path(file)) for service, file in named.items()}
    state = read_state()
    if state is None:
        raise BackupError("no city runs here: name the services' settings with --of SERVICE=FILE")
    return state.settings_of_services()


def _read_settings(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise BackupError(f"{file} is not there")
    pairs = (line.strip().partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def setting(name: str) -> str:
    """From the environment, or of the city that runs here."""
    state = read_state()
    value = os.environ.get(name) or (state.environment().get(name) if state else "")
    if not value:
        raise BackupError(f"{name} is not set, and no city runs here")
    return value


def do(work: Callable[[], T]) -> T:
    """Do it, or say in a line why not and exit with 1."""
    try:
        return work()
    except BackupError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"onecard backup: {message}", err=True)
    raise typer.Exit(1)
