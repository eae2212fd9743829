"""`onecard admin`: people of the staff."""

from typing import Annotated

import typer
from rich.table import Table

from cli.counter import RequestIdOption, console
from cli.desk import desk_of, print_refusal, table_of, words
from cli.place import Place, at_window
from cli.services import card_of_the_city
from onecard.card.v1 import staff_pb2 as messages
from sdk.window.administration import Administration
from sdk.window.answers import StaffAnswer

app = typer.Typer()

_ROLES = tuple(name.removeprefix("ROLE_").lower() for name in messages.Role.keys()[1:])
LoginArgument = Annotated[str, typer.Argument(help="the staff number, nobody's name")]
RolesOption = Annotated[list[str], typer.Option("--role", help=f"again for another one: {', '.join(_ROLES)}")]
OutletOption = Annotated[str, typer.Option(help="the code of the outlet where the person works; empty for none")]


@app.command("create-administrator")
def create_administrator(login: LoginArgument) -> None:
    """Make the first administrator of an installation, and say what to do next; refused when there is anybody.

    It asks the database and the vault themselves, so it is for whoever runs the card service.

    Example: onecard admin create-administrator admin-1
    """
    card_of_the_city("create-administrator", login)


@app.command("create-staff")
@at_window
def create_staff(at: Place, login: LoginArgument, roles: RolesOption, outlet: OutletOption) -> None:
    """Make an account, signed in as a security administrator at a window. What its owner needs is shown once.

    Nobody holds two of auditor, security_administrator and database_administrator.

    Example: onecard admin create-staff k001 --role clerk --outlet 440703-01
    """
    _check(roles)
    with desk_of(Administration, at) as asked:
        made = asked.create_staff(login, outlet, roles)
    _print_secrets(login, made.password, made.totp_uri)


@app.command("staff")
@at_window
def list_staff(at: Place) -> None:
    """Who works here: roles, whether they may, and who is signed in where."""
    with desk_of(Administration, at) as asked:
        console.print(_table_of(list(asked.list_staff())))


@app.command("suspend-staff")
@at_window
def suspend_staff(at: Place, login: LoginArgument, request_id: RequestIdOption = "") -> None:
    """Somebody may not work for now. An open shift ends within two seconds, and with it the approvals that it asked for.

    Example: onecard admin suspend-staff k001
    """
    with desk_of(Administration, at) as asked:
        _print_changed(asked.suspend_staff(_number_of(asked, login), request_id=request_id))


@app.command("resume-staff")
@at_window
def resume_staff(at: Place, login: LoginArgument, request_id: RequestIdOption = "") -> None:
    """Somebody who was suspended may work again; they sign in anew."""
    with desk_of(Administration, at) as asked:
        _print_changed(asked.resume_staff(_number_of(asked, login), request_id=request_id))


@app.command("unlock-staff")
@at_window
def unlock_staff(at: Place, login: LoginArgument, request_id: RequestIdOption = "") -> None:
    """Give somebody tries again after too many wrong passwords. Who forgot the password needs `reset-staff`."""
    with desk_of(Administration, at) as asked:
        _print_changed(asked.unlock_staff(_number_of(asked, login), request_id=request_id))


@app.command("record-leaving")
@at_window
def record_leaving(at: Place, login: LoginArgument, request_id: RequestIdOption = "") -> None:
    """Somebody has left, for good: the account is never used again, and the audit keeps its number."""
    with desk_of(Administration, at) as asked:
        _print_changed(asked.record_leaving(_number_of(asked, login), request_id=request_id))


@app.command("change-staff")
@at_window
def change_staff(
    at: Place, login: LoginArgument, roles: RolesOption, outlet: OutletOption, request_id: RequestIdOption = ""
) -> None:
    """Give somebody other roles, or another outlet: all of them are named anew. An open shift ends.

    Example: onecard admin change-staff k001 --role clerk --role supervisor --outlet 440703-01
    """
    _check(roles)
    with desk_of(Administration, at) as asked:
        _print_changed(asked.change_staff(_number_of(asked, login), outlet, roles, request_id=request_id))


@app.command("reset-staff")
@at_window
def reset_staff(at: Place, login: LoginArgument) -> None:
    """Another password and second factor, for somebody who lost one of them. Both are shown once; an open shift ends."""
    with desk_of(Administration, at) as asked:
        made = asked.reset_staff(_number_of(asked, login))
    if made.HasField("refusal"):
        print_refusal(made.refusal)
    _print_secrets(login, made.password, made.totp_uri)


def _check(roles: list[str]) -> None:
    if unknown := set(roles) - set(_ROLES):
        raise typer.BadParameter(f"{sorted(unknown)[0]!r} is none of {', '.join(_ROLES)}")


def _number_of(asked: Administration, login: str) -> int:
    found = next((member.staff_id for member in asked.list_staff() if member.login == login), 0)
    if not found:
        typer.echo(f"there is no account {login}: `onecard admin staff` shows all of them", err=True)
        raise typer.Exit(2)
    return found


def _print_secrets(login: str, password: str, totp_uri: str) -> None:
    console.print(f"login: {login}\npassword: {password}\nauthenticator: {totp_uri}", highlight=False, soft_wrap=True)
    console.print(f"This is shown once. The first time: onecard window sign-in {login} --first", highlight=False)


def _print_changed(answer: StaffAnswer) -> None:
    console.print(_table_of([answer.member]))
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)


def _table_of(found: list[messages.StaffMember]) -> Table:
    table = table_of("staff", "login", "roles", "outlet", "state", "signed in at")
    for member in found:
        roles = ", ".join(words(messages.Role.Name(role), "ROLE_") for role in member.roles)
        state = words(messages.StaffState.Name(member.state), "STAFF_STATE_")
        table.add_row(
            str(member.staff_id),
            member.login,
            roles,
            member.outlet,
            f"{state}, locked" if member.locked else state,
            member.at_terminal,
        )
    return table
