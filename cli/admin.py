"""`onecard admin`: people of the staff, and what keeps the card service going."""

from typing import Annotated

import typer

from cli.counter import CertificatesOption, console
from cli.desk import HALL, WINDOW, CardApiOption, OfficeOption, WindowOption, window_of
from cli.services import card_of_the_city
from onecard.card.v1 import staff_pb2 as messages

app = typer.Typer(no_args_is_help=True, help="People of the staff, and the keys of the card service.")

_ROLES = tuple(name.removeprefix("ROLE_").lower() for name in messages.Role.keys()[1:])


@app.callback()
def admin() -> None:
    """People of the staff, and the keys of the card service."""


@app.command("create-administrator")
def create_administrator(login: Annotated[str, typer.Argument(help="a staff number, nobody's name")]) -> None:
    """Make the first administrator of an installation, and say what to do next; refused when there is anybody."""
    card_of_the_city("create-administrator", login)


@app.command("create-staff")
def create_staff(
    login: Annotated[str, typer.Argument(help="a staff number, nobody's name")],
    roles: Annotated[list[str], typer.Option("--role", help=f"again for another one: {', '.join(_ROLES)}")],
    outlet: Annotated[str, typer.Option(help="the code of the outlet where the person works")],
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Make an account, signed in as a security administrator at a window. What its owner needs is shown once."""
    if unknown := set(roles) - set(_ROLES):
        raise typer.BadParameter(f"{sorted(unknown)[0]!r} is none of {', '.join(_ROLES)}")
    with window_of(office, window, card_api, certificates) as asked:
        made = asked.create_staff(login, outlet, roles)
    console.print(f"login: {login}\npassword: {made.password}\nauthenticator: {made.totp_uri}", highlight=False, soft_wrap=True)
    console.print(f"This is shown once. The first time: onecard window sign-in {login} --first", highlight=False)


@app.command("rewrap-keys")
def rewrap_keys() -> None:
    """Wrap every holder's key with the current version of the vault's."""
    card_of_the_city("rewrap-keys")


@app.command("fill-index")
def fill_index() -> None:
    """Bring everybody into the newest index by which people are found."""
    card_of_the_city("fill-index")
