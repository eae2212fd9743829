"""What `onecard till` and `onecard window` share: the connection, amounts, and how answers look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from cli.city.state import State, read_state
from cli.merchant.show import yuan
from cli.place import Place
from sdk.merchant.access import Line, credentials_in, open_line, terminal_credentials
from sdk.merchant.files import CITY_TIME
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.till.receipt import Payment, Receipt
from sdk.till.till import Till

_AMOUNT = re.compile(r"(\d{1,13})(?:\.(\d{1,2}))?")

RequestIdOption = Annotated[
    str, typer.Option("--request-id", metavar="ID", help="ask again what was asked under this id; by default a new one")
]
CardArgument = Annotated[str, typer.Argument(metavar="CARD", help="the card identifier")]
PaymentArgument = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="the payment's id, or the request id that asked for it")
]

console = Console(highlight=False)


def parse_fen(text: str) -> int:
    """`7`, `7.5` and `7.50` are yuan."""
    match = _AMOUNT.fullmatch(text)
    fen = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0")) if match else 0
    if not fen:
        raise typer.BadParameter(f"{text!r} is no amount: yuan with at most two decimals are wanted, such as 7.50")
    return fen


AmountArgument = Annotated[int, typer.Argument(metavar="AMOUNT", help="yuan: 7 or 7.50", parser=parse_fen)]
PartArgument = Annotated[
    int | None, typer.Argument(metavar="[AMOUNT]", help="yuan; by default all of it", parser=parse_fen, show_default=False)
]


@contextmanager
def till_of(at: Place) -> Iterator[Till]:
    """A till of the running city, or of whatever was named. What goes wrong is said, with what to do next."""
    line = line_of(in_the_city(at, lambda city: city.api), "--api")
    with said(), Till(line, trouble=tell) as till:
        yield till


def in_the_city(at: Place, api_of: Callable[[State], str]) -> Place:
    """A place that names no service is one of the running city."""
    if at.api is None and (city := read_state()):
        return at._replace(api=api_of(city), certificates=at.certificates or Path(city.certificates))
    return at


def line_of(at: Place, option: str) -> Line:
    """A connection of a merchant, or of one terminal; `option` names the service. Exits with 2 when there can be none."""
    if not at.api:
        typer.echo(
            f"no city runs here: start one with `onecard city run`, or name {option} HOST:PORT --certificates FOLDER", err=True
        )
        raise typer.Exit(2)
    try:
        return _line_to(at.api, at)
    except (OSError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None


def _line_to(api: str, at: Place) -> Line:
    subject = f"onecard://merchant/{quote(at.office, safe='')}"
    if at.terminal:
        subject += f"/terminal/{quote(at.terminal, safe='')}"
    if at.certificates is None:
        return open_line(api, subject, None)
    if at.terminal:
        found = terminal_credentials(at.certificates, at.office, at.terminal)
    else:
        found = credentials_in(at.certificates)(at.office)
    if found is None:
        raise FileNotFoundError(f"{at.certificates} holds no certificate of {at.office} {at.terminal}".rstrip())
    return open_line(api, subject, found)


@contextmanager
def said(also: Callable[[str], str] = lambda _: "") -> Iterator[None]:
    """Says why a question was not accepted (exit 2; `also` adds to a reason what to do next), or that no answer came (3)."""
    try:
        yield
    except NotAcceptedError as error:
        typer.echo(f"{error.message} ({error.reason})", err=True)
        if more := also(error.reason):
            typer.echo(more, err=True)
        raise typer.Exit(2) from None
    except OutcomeUnknownError as error:
        typer.echo(error, err=True)
        if error.request_id:
            typer.echo(f"ask again with --request-id {error.request_id}: nothing is done twice", err=True)
        raise typer.Exit(3) from None


def tell(trouble: str) -> None:
    """An attempt failed."""
    typer.echo(f"{trouble}; asking again …", err=True)


def print_receipt(receipt: Receipt) -> None:
    """The verdict for people; the exit status is 1 for a decline."""
    table = _grid()
    if receipt.approved:
        table.add_row("approved", f"[green]{yuan(receipt.amount_fen)}[/]")
    else:
        table.add_row("declined", f"[yellow]{receipt.message}[/] ({receipt.reason})")
    if receipt.payment_id:
        table.add_row("payment", receipt.payment_id)
    table.add_row("request id", receipt.request_id)
    table.add_row("decided", f"{time_of(receipt.decide_time_ms)}, journal {receipt.place[0]}.{receipt.place[1]}")
    console.print(table)
    raise typer.Exit(0 if receipt.approved else 1)


def print_payment(payment: Payment) -> None:
    """A payment as it is now."""
    table = _grid()
    table.add_row("status", payment.status.lower() + (f": {payment.message}" if payment.message else ""))
    for name, fen in (
        ("asked for", payment.amount_fen),
        ("held", payment.held_fen),
        ("captured", payment.captured_fen),
        ("refunded", payment.refunded_fen),
    ):
        table.add_row(name, yuan(fen))
    if payment.payment_id:
        table.add_row("payment", payment.payment_id)
    table.add_row("request id", payment.request_id)
    table.add_row("decided", time_of(payment.decide_time_ms))
    if payment.expire_time_ms:
        table.add_row("hold until", time_of(payment.expire_time_ms))
    console.print(table)


def time_of(milliseconds: int) -> str:
    """In the city's time."""
    return datetime.fromtimestamp(milliseconds / 1000, CITY_TIME).strftime("%Y-%m-%d %H:%M:%S")


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    return table
