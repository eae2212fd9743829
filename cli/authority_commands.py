"""`onecard authority`: certificates for this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli import paths
from cli.authority import Authority, read

app = typer.Typer(no_args_is_help=True, help="The development authority: who may call, on this machine.")

HERE = paths.CITY / "authority"


@app.callback()
def authority() -> None:
    """The development authority: who may call, on this machine."""


@app.command()
def issue(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="the URI of a merchant, a terminal or a service")],
    host: Annotated[
        list[str] | None, typer.Option(help="a name or address under which it serves itself; as often as needed")
    ] = None,
    folder: Annotated[Path, typer.Option(help="the authority's folder")] = HERE,
) -> None:
    """Issue a certificate, or find the one that was issued before and is good for some time yet.

    Example: onecard authority issue onecard://merchant/bus-company/terminal/7
    """
    authority = Authority(folder)
    try:
        issued = authority.issue(subject, hosts=host or ())
    except ValueError:
        forms = "onecard://merchant/M, onecard://merchant/M/terminal/T or onecard://service/S"
        raise typer.BadParameter(f"{subject} is no subject; it must be {forms}, identifiers percent-encoded") from None
    _print(
        {
            "certificate": issued.certificate,
            "key": issued.key,
            "authority": authority.certificate,
            "serial": read(issued.certificate).serial,
        }
    )


@app.command()
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="a certificate, PEM", exists=True, dir_okay=False)]) -> None:
    """Print whose certificate it is, its serial number (by which it is revoked) and when it ends."""
    try:
        shown = read(file)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _print(
        {
            "subject": shown.subject,
            "serial": shown.serial,
            "hosts": ", ".join(shown.hosts) or "none",
            "begins": shown.begins.isoformat(),
            "ends": shown.ends.isoformat(),
        }
    )


def _print(lines: dict[str, object]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, str(value))
    Console(markup=False, highlight=False, soft_wrap=True).print(table)
