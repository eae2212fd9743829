"""`onecard ledger`: the books."""

from pathlib import Path
from typing import Annotated

import typer

from cli.services import payments_of_the_city

app = typer.Typer(no_args_is_help=True, help="The books of the running city.")


@app.callback()
def ledger() -> None:
    """The books of the running city."""


@app.command()
def check() -> None:
    """Add up every account and print the books; the exit status is 1 when they do not balance.

    Example, while a city runs in another terminal:

        onecard ledger check
    """
    payments_of_the_city("check")


@app.command()
def fares() -> None:
    """Rate every holder's rides again in the order of their times; the exit status is 1 where something else is posted.

    Example, while a city runs in another terminal:

        onecard ledger fares
    """
    payments_of_the_city("check-fares")


@app.command()
def verify(
    checkpoints: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="checkpoints; otherwise those that the city keeps", exists=True),
    ] = None,
    after: Annotated[int, typer.Option(metavar="SEAL", help="begin behind this seal, which the checkpoints vouch for")] = 0,
) -> None:
    """Prove that nothing in the journal was altered, removed or added; the exit status is 1 at the first sign of it.

    Example, while a city runs in another terminal:

        onecard ledger verify
    """
    file = ["--from", str(checkpoints.resolve())] if checkpoints else []
    payments_of_the_city("verify", *file, "--after", str(after))
