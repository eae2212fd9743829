"""`onecard restore`: an installation that lost its database's server."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.backup.commands import OWNER_URL, do, out, services_settings, setting
from cli.backup.folder import find_backup
from cli.city.state import read_state
from cli.restore.finish import NOT_SO, finish, wait_for_end_of_log
from cli.restore.place import place
from cli.services import run_payments
from services.common.clock import instant, read_moment

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The way back from a lost server, or back to a moment before a mistake.

    - end every worker and every API process
    - `onecard restore place BACKUPS DATA` fills an empty folder for PostgreSQL
    - start PostgreSQL on it: it reads the received log to its end
    - `onecard restore finish` brings all else to where the database is, and names what a person must look at
    - start the workers and the API processes
    - after going back to a moment: `onecard restore compare` names the answers that the ledger does not give any more
    """,
)


@app.command("place")
def place_files(
    folder: Annotated[Path, typer.Argument(help="of the backups", exists=True, file_okay=False)],
    data: Annotated[Path, typer.Argument(help="where PostgreSQL will have its files; empty or not there")],
    files: Annotated[Path, typer.Option("--files", help="an empty folder for vaults and settings")],
    name: Annotated[str, typer.Option("--backup", help="its name; otherwise the newest")] = "",
    owner: Annotated[str, typer.Option("--owner", help="the user who runs PostgreSQL, when you are not that")] = "",
    until: Annotated[
        int | None,
        typer.Option(
            "--until", parser=read_moment, metavar="TIME", help="go back to this moment, as 2026-11-28T12:00:00+08:00"
        ),
    ] = None,
) -> None:
    """Lay a backup and the received log in place. Refused over anything that is there, and while the former database answers.

    Example: onecard restore place /backups/2026 /var/lib/postgresql/18/main --files /etc/onecard/restored --owner postgres
    """
    former, moment = setting(OWNER_URL), instant(until) if until is not None else None
    segments = do(lambda: place(folder, find_backup(folder, name, moment), data, files, former, owner, moment))
    out.print(f"{data} is filled, with {segments} segments of the received log; vaults and settings are in {files}")
    out.print("next: the vaults to where the settings name them, start PostgreSQL on it, `onecard restore finish`")


@app.command("finish")
def finish_it(
    of: Annotated[
        list[str] | None,
        typer.Option("--of", metavar="SERVICE=FILE", help="a service and its settings, a file of NAME=value lines; again"),
    ] = None,
    lists: Annotated[
        Path,
        typer.Option("--lists", help="of what a person looks at, when it goes back to a moment", file_okay=False),
    ] = Path(),
) -> None:
    """Prove what came back, raise the epoch, forget tokens, have taps read again. Before anybody is served; it may be repeated.

    Services: payments, card, issuance. The exit status is 1 when a proof failed.
    """
    owner_url = setting(OWNER_URL)
    given: Mapping[str, Mapping[str, str]] = do(lambda: services_settings(of or []))
    state = read_state()
    ours = {**os.environ, **(state.environment() if state else {}), OWNER_URL: owner_url}
    whole = {service: {**ours, **settings} for service, settings in given.items()}
    do(lambda: wait_for_end_of_log(owner_url))
    looks = do(lambda: finish(owner_url, whole, frozenset(whole), out.print, lists))
    out.print("\nA person must look at:")
    for look in looks:
        out.print(f"- {look.cause}\n  {look.what_to_do}")
    if any(look.cause.startswith(NOT_SO) for look in looks):
        raise typer.Exit(1)


@app.command("compare")
def compare(
    since: Annotated[int, typer.Option("--since", parser=read_moment, metavar="TIME", help="the moment that was gone back to")],
    of: Annotated[str, typer.Option("--of", metavar="FILE", help="of a process that may read payments.outcomes")] = "",
    list_to: Annotated[Path | None, typer.Option("--list", help="a line of JSON for each answer that differs")] = None,
) -> None:
    """After going back to a moment: what was answered since, compared with the ledger, while the workers read taps again.

    It changes nothing. The exit status is 1 while something differs.
    """
    settings = do(lambda: services_settings([f"payments={of}"] if of else []))["payments"]
    state = read_state()
    env = {**os.environ, **(state.environment() if state else {}), **settings}
    command = ["compare-outcomes", "--since", instant(since).isoformat()]
    raise typer.Exit(run_payments([*command, *(["--list", str(list_to)] if list_to else [])], env))
