"""`onecard card`: one card."""

from typing import Annotated

import typer

from cli.services import payments_of_the_city

app = typer.Typer(no_args_is_help=True, help="One card of the running city.")


@app.callback()
def card() -> None:
    """One card of the running city."""


@app.command()
def statement(card_identifier: Annotated[str, typer.Argument(metavar="CARD", help="the card identifier")]) -> None:
    """Print the account behind a card: its balance, its entries, and what was refused.

    Example: onecard card statement 440700D1000000000000000000000178
    """
    payments_of_the_city("statement", card_identifier)
