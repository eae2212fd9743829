"""What `onecard till` and `onecard window` share: the connection, amounts, and how answers look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from cli.city.state import read_state
from cli.merchant.show import yuan
from sdk.merchant.access import Line, credentials_in, open_line, terminal_credentials
from sdk.merchant.files import CITY_TIME
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.till.receipt import Payment, Receipt
from sdk.till.till import Till

_AMOUNT = re.compile(r"(\d{1,13})(?:\.(\d{1,2}))?")

ApiOption = Annotated[
    str | None,
    typer.Option("--api", metavar="HOST:PORT", envvar="ONECARD_API", help="where it asks; by default the running city"),
]
CertificatesOption = Annotated[
    Path | None,
    typer.Option("--certificates", metavar="FOLDER", envvar="ONECARD_CERTIFICATES", help="by default the running city's"),
]
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
def till_of(merchant_id: str, terminal_id: str, api: str | None, certificates: Path | None) -> Iterator[Till]:
    """A till of the running city, or of whatever was named. What goes wrong is said, with what to do next."""
    if api is None and (state := read_state()):
        api, certificates = state.api, certificates or Path(state.certificates)
    if api is None:
        typer.echo(
            "no city runs here: start one with `onecard city run`, or name --api HOST:PORT --certificates FOLDER", err=True
        )
        raise typer.Exit(2)
    try:
        line = line_to(api, certificates, merchant_id, terminal_id)
    except (OSError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    try:
        with Till(line, trouble=lambda trouble: typer.echo(f"{trouble}; asking again …", err=True)) as till:
            yield till
    except NotAcceptedError as error:
        typer.echo(f"{error.message} ({error.reason})", err=True)
        raise typer.Exit(2) from None
    except OutcomeUnknownError as error:
        typer.echo(error, err=True)
        if error.request_id:
            typer.echo(f"ask again with --request-id {error.request_id}: nothing is done twice", err=True)
        raise typer.Exit(3) from None


def line_to(api: str, folder: Path | None, merchant_id: str, terminal_id: str) -> Line:
    """A connection of a merchant, or of one terminal. Raises OSError or ValueError."""
    subject = f"onecard://merchant/{quote(merchant_id, safe='')}"
    if terminal_id:
        subject += f"/terminal/{quote(terminal_id, safe='')}"
    if folder is None:
        return open_line(api, subject, None)
    found = terminal_credentials(folder, merchant_id, terminal_id) if terminal_id else credentials_in(folder)(merchant_id)
    if found is None:
        raise FileNotFoundError(f"{folder} holds no certificate of {merchant_id} {terminal_id}".rstrip())
    return open_line(api, subject, found)


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
