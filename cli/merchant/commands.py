"""The commands of `onecard merchant`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import paths
from cli.city.state import SIMULATED_MERCHANTS, read_state
from cli.merchant.catching_up import catch_up
from cli.merchant.emission import Emission, Platform
from cli.merchant.pull import PullError, pull_once
from cli.merchant.show import REASONS, listing, summary
from sdk.merchant.access import Access, credentials_in
from sdk.merchant.files import TransactionsFile, UnreadableFileError
from sdk.merchant.kafka_security import KafkaSecurity
from sdk.merchant.key_file import KeyFileError
from sdk.merchant.keys import NoKeyError
from sdk.merchant.spool import Spool, SpoolInUseError
from sdk.merchant.told import SpoolReader

app = typer.Typer(no_args_is_help=True, help="A merchant's transactions: send them from a file, see what became of them.")

SpoolOption = Annotated[
    Path | None,
    typer.Option("--spool", metavar="PATH", help="the spool that keeps them; by default one in the city's folder"),
]
KafkaOption = Annotated[
    str | None,
    typer.Option("--kafka", metavar="HOST:PORT", envvar="ONECARD_KAFKA", help="the broker; by default the running city's"),
]
ApiOption = Annotated[
    str | None,
    typer.Option(
        "--api", metavar="HOST:PORT", envvar="ONECARD_API", help="where outcomes come from; by default the running city"
    ),
]
CertificatesOption = Annotated[
    Path | None,
    typer.Option(
        "--certificates",
        metavar="FOLDER",
        envvar="ONECARD_CERTIFICATES",
        help="MERCHANT.crt and MERCHANT.key of each merchant, and authority.crt; by default the running city's",
    ),
]
MerchantOption = Annotated[str | None, typer.Option("--merchant", metavar="MERCHANT", help="of this merchant alone")]


@app.callback()
def merchant() -> None:
    """A merchant's transactions: send them from a file, see what became of them."""


@app.command()
def emit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, or JSON Lines (.jsonl)")],
    spool: SpoolOption = None,
    merchant: MerchantOption = None,
    kafka: KafkaOption = None,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
    as_of_now: Annotated[
        bool, typer.Option("--as-of-now", help="move all times by the same amount, so that the last one is now")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="wait for the outcomes")] = True,
    patience: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="stop waiting when nothing comes for so long")] = 30,
) -> None:
    """Send the transactions of a file and wait for their outcomes.

    A line that cannot be taken is named with its number and reason, and kept in FILE.rejects. The same file may be given
    again: it goes on where it stopped, and nothing is paid twice.

    Example, while a city runs in another terminal:

        onecard merchant emit docs/examples/taps.csv --as-of-now

    The exit status is 1 when lines were rejected or outcomes did not come.
    """
    console = _console()
    platform = _platform(kafka, _access(api, certificates))
    try:
        with TransactionsFile(file, merchant_id=merchant) as opened, Spool(_spool_path(spool)) as kept:
            complete = Emission(console, opened, kept, platform, patience).run(as_of_now=as_of_now, wait=wait)
    except (UnreadableFileError, SpoolInUseError, KeyFileError, NoKeyError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if complete else 1)


@app.command()
def outcomes(
    spool: SpoolOption = None,
    merchant: MerchantOption = None,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
    reason: Annotated[str | None, typer.Option(metavar="REASON", help=f"refused for it: {', '.join(REASONS)}")] = None,
    limit: Annotated[int, typer.Option(min=0, help="how many of the latest transactions to list")] = 20,
) -> None:
    """Show what became of the transactions that a spool has sent, also of those whose outcome came while nobody listened.

    Example: onecard merchant outcomes --reason insufficient-funds
    """
    if reason is not None and reason not in REASONS:
        raise typer.BadParameter(f"{reason!r} is none of {', '.join(REASONS)}", param_hint="--reason")
    console = _console()
    path = _spool_path(spool)
    try:
        if access := _access(api, certificates):
            catch_up(path, access)
        reader = SpoolReader(path, merchant_id=merchant, reason=REASONS.get(reason or ""))
    except FileNotFoundError as missing:
        typer.echo(f"there is no spool {missing}: nothing was sent from it yet", err=True)
        raise typer.Exit(2) from None
    tallies = reader.tallies()
    if not tallies:
        console.print("no such transactions", highlight=False)
        return
    console.print(summary(tallies))
    if limit:
        console.print(listing(reader.latest(limit)))


@app.command()
def hotlist(
    file: Annotated[Path | None, typer.Option(metavar="PATH", help="the list's file; by default one beside the spool")] = None,
    merchant: Annotated[str, typer.Option(metavar="MERCHANT", help="whose certificate fetches it")] = "BUS-HARBOUR",
    card_api: Annotated[
        str | None,
        typer.Option(
            "--card-api", metavar="HOST:PORT", envvar="ONECARD_CARD_API", help="the card service; by default the running city's"
        ),
    ] = None,
    certificates: CertificatesOption = None,
) -> None:
    """Bring a terminal's hotlist up to date once, and say which version it is, how old, and how many cards it names.

    Example, while a city runs in another terminal: onecard merchant hotlist
    """
    _console()
    if card_api is None and (state := read_state()):
        card_api, certificates = state.card_api, certificates or Path(state.certificates)
    access = _access(card_api, certificates) if card_api else None
    if access is None:
        asked = "the card service with --card-api HOST:PORT --certificates FOLDER"
        typer.echo(f"no city runs here: start one with `onecard city run`, or name {asked}", err=True)
        raise typer.Exit(2)
    path = file or _spool_path(None).with_name("merchant.hotlist")
    try:
        typer.echo(pull_once(path, access, merchant))
    except PullError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None


def _platform(kafka: str | None, access: Access | None) -> Platform:
    state = read_state()
    bootstrap = kafka or (state.kafka if state else None)
    if bootstrap is None or access is None:
        asked = "a broker with --kafka HOST:PORT and the API with --api HOST:PORT --certificates FOLDER"
        typer.echo(f"no city runs here: start one with `onecard city run`, or name {asked}", err=True)
        raise typer.Exit(2)
    kind = os.environ.get("ONECARD_BROKER") or (state.broker if state else "kafka")
    return Platform(bootstrap, 100 if kind == "tansu" else 30, access, _security(bootstrap))


def _security(bootstrap: str) -> KafkaSecurity:
    """Of the environment, else of the running city."""
    state = read_state()
    env = state.kafka_users[SIMULATED_MERCHANTS] if state and state.kafka == bootstrap and state.kafka_users else os.environ
    try:
        security = KafkaSecurity.from_environment(env)
        security.arguments(bootstrap)
    except ValueError as error:
        raise typer.BadParameter(f"ONECARD_KAFKA_…: {error}") from None
    return security


def _access(api: str | None, certificates: Path | None) -> Access | None:
    """What was named, else the running city's."""
    if api is None and (state := read_state()):
        api, certificates = state.api, certificates or Path(state.certificates)
    try:
        return Access(api, credentials_in(certificates) if certificates else None) if api else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--certificates") from None


def _spool_path(spool: Path | None) -> Path:
    if spool is not None:
        return spool
    state = read_state()
    return (Path(state.spools) if state else paths.CITY / "spools") / "merchant.spool"


def _console() -> Console:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # The client library repeats itself each second while a broker is away; our own line says it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return Console()
