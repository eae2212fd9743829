"""`onecard ledger`: the books."""

import typer

from cli.payments import payments_of_the_city

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
