"""`onecard card`: one card."""

from typing import Annotated

import typer

from cli.services import card_of_the_city, payments_of_the_city

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


@app.command()
def hotlist(
    out: Annotated[str, typer.Option(help="a file for it; without one it is printed")] = "",
) -> None:
    """Write the newest hotlist: its epoch, version, time and count, then every card that terminals must refuse.

    Example, while a city runs in another terminal: onecard card hotlist
    """
    card_of_the_city("hotlist", *([f"--out={out}"] if out else []))
