"""`onecard admin`: people of the staff, terminals, and what keeps the card service going."""

import typer

from cli import admin_staff, admin_terminals
from cli.services import card_of_the_city

app = typer.Typer(no_args_is_help=True, help="People of the staff, terminals, and the keys of the card service.")
for part in (admin_staff, admin_terminals):
    app.registered_commands += part.app.registered_commands


@app.callback()
def admin() -> None:
    """People of the staff, terminals, and the keys of the card service.

    A new installation: `create-administrator`, then `onecard window sign-in LOGIN --first`, then `create-staff` for everybody
    else. A second security administrator comes first: nobody changes their own account.
    A new terminal: `make-request` there, `request-terminal` by one person, `approve-terminal` by another.
    """


@app.command("rewrap-keys")
def rewrap_keys() -> None:
    """Wrap every holder's key with the current version of the vault's."""
    card_of_the_city("rewrap-keys")


@app.command("fill-index")
def fill_index() -> None:
    """Bring everybody into the newest index by which people are found."""
    card_of_the_city("fill-index")
