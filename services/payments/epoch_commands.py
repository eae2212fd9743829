"""The commands of the epochs of terminals' keys: `python -m services.payments epochs --help`."""

from typing import Annotated, Final

import typer
from rich.table import Table

from services.common.clock import SHANGHAI, instant, now_ms
from services.payments.adapters.epochs import open_terminal_vault
from services.payments.config import Config
from services.payments.domain.epoch import current
from services.payments.handlers import epochs as periods
from services.payments.keys import TERMINAL_ROOT
from services.payments.operating import as_owner, out, with_engine

app = typer.Typer(
    no_args_is_help=True,
    help="Epochs of terminals' keys. Terminals fetch the keys of every epoch that counts, and sign with the newest whose time "
    "has come. To change keys: `epochs add`, wait until it is current and every terminal was connected since, then "
    "`epochs retire` the old one.",
)
_DAY_MS: Final = 86_400_000


def needed_by_epochs(_: str, version: int) -> str:
    """Asked of the database: without the root nobody could verify what terminals sign in its epochs."""
    found = with_engine(periods.list_epochs)
    needed = [str(epoch.number) for epoch in found if epoch.root_version == version and not epoch.retired]
    return f"epoch {', '.join(needed)} of terminals' keys, which counts" if needed else ""


@app.command("list")
def list_epochs() -> None:
    """Which epochs there are, since when terminals sign with them, and which were retired."""
    found = with_engine(periods.list_epochs)
    now = current(found, now_ms())
    table = Table("epoch", "root version", "valid from", "state", title="epochs of terminals' keys")
    for epoch in found:
        state = "retired" if epoch.retired else "current" if epoch == now else "counts" if now and epoch < now else "next"
        since = f"{instant(epoch.valid_from_ms).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        table.add_row(str(epoch.number), str(epoch.root_version), since, state)
    out.print(table)


@app.command("add")
def add_epoch(
    days: Annotated[int, typer.Option(min=0, help="From now until terminals sign with it; they must connect meanwhile.")] = 30,
) -> None:
    """Add the next epoch, as the owner of the database; its keys are made of the root's current version in the vault.

    Terminals are given its keys at their next connection. One that was not connected when its time comes goes on with the old
    keys, which count until their epoch is retired.
    """
    config = Config.from_environment()
    version = open_terminal_vault(config, on_loopback=config.broker_on_loopback).current(TERMINAL_ROOT)
    added = as_owner(lambda engine: periods.add_epoch(engine, version, now_ms() + days * _DAY_MS))
    since = f"{instant(added.valid_from_ms).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
    out.print(f"epoch {added.number} was added: terminals sign with it from {since} on")


@app.command("retire")
def retire_epoch(epoch: Annotated[int, typer.Argument(min=1)]) -> None:
    """Let what is signed in an epoch count no longer, as the owner of the database; every process hears of it within seconds.

    What terminals have signed with it and send later becomes a dead letter, RETIRED_EPOCH: first see that all sign with a newer
    one. At once only when its keys were stolen.
    """
    new = as_owner(lambda engine: periods.retire_epoch(engine, epoch, now_ms()))
    out.print(f"epoch {epoch} {'is retired' if new else 'was retired already'}")
