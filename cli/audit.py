"""`onecard audit`: what the card service has written down of every act."""

import typer

from cli.services import card_of_the_city

app = typer.Typer(no_args_is_help=True, help="The sealed audit of the card service.")


@app.callback()
def audit() -> None:
    """The sealed audit of the card service."""


@app.command()
def verify(
    without_topic: bool = typer.Option(False, "--without-topic", help="the database alone: a cut tail is not seen then"),
) -> None:
    """Verify every row and every seal, and compare the seals with what was published; exits with 1 on any finding.

    Example, while a city runs in another terminal: onecard audit verify
    """
    card_of_the_city("verify-audit", *(["--without-topic"] if without_topic else []))
