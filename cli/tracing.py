"""`onecard trace`: one payment's way through all processes."""

from pathlib import Path
from typing import Annotated

import typer

from cli import paths
from cli.services import payments_of_the_city


def trace(
    name: Annotated[list[str], typer.Argument(metavar="PAYMENT", help="as below")],
    logs: Annotated[
        list[Path] | None,
        typer.Option(
            "--logs", metavar="PATH", help="files or folders of JSON lines; by default the running city's", exists=True
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show one payment's whole way: the terminal, the road, the ledger, its outcome, its seal, and the log of every process.

    PAYMENT is one of: the id of a payment or a transfer · MERCHANT TERMINAL SEQUENCE of a tap · BATCH/ROW, its place in the
    journal, which its outcome names · a request id, with MERCHANT or MERCHANT TERMINAL before it where several use the same.

    Examples, while a city runs in another terminal:

        onecard trace BUS-1 BUS-1-T7 42

        onecard trace 1284/3 --json
    """
    where = logs or [folder for folder in (paths.CITY / "logs",) if folder.is_dir()]
    given = [word for place in where for word in ("--logs", str(place.resolve()))]
    payments_of_the_city("trace", *name, *given, *(["--json"] if as_json else []))
