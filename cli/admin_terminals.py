"""`onecard admin`: terminals and their certificates."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from cli.city.state import environment, read_state
from cli.counter import RequestIdOption, console, time_of
from cli.desk import desk_of, print_refusal, table_of, words
from cli.place import HALL, OfficeOption, Place, at_window
from cli.services import run_payments
from onecard.card.v1 import terminals_pb2 as messages
from sdk.asking import Asking
from sdk.enrolment import due, keep_secret, make_request, renew
from sdk.merchant.access import open_line, terminal_credentials
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.administration import Administration
from sdk.window.answers import TerminalAnswer

app = typer.Typer()

_KINDS = tuple(name.removeprefix("TERMINAL_KIND_").lower() for name in messages.TerminalKind.keys()[1:])
FolderOption = Annotated[
    Path,
    typer.Option("--certificates", metavar="FOLDER", envvar="ONECARD_CERTIFICATES", help="where the terminal keeps its own"),
]
TerminalArgument = Annotated[int, typer.Argument(metavar="TERMINAL", help="its number, as `onecard admin terminals` shows it")]


@app.command("make-request")
def make_terminal_request(
    terminal: Annotated[str, typer.Argument(help="the new terminal's name, such as WINDOW-3")],
    folder: FolderOption,
    office: OfficeOption = HALL,
) -> None:
    """At a new terminal: make its key, which never leaves it, and the request to be approved. An older key stays untouched.

    Example: onecard admin make-request WINDOW-3 --certificates ./window-3
    """
    name = f"{quote(terminal, safe='')}@{quote(office, safe='')}"
    if (key_file := folder / f"{name}.key").exists():
        raise typer.BadParameter(f"{key_file} is there already")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, request = make_request(f"onecard://merchant/{quote(office, safe='')}/terminal/{quote(terminal, safe='')}")
    keep_secret(key_file, key)
    (folder / f"{name}.csr").write_text(request)
    console.print(f"the key is in {key_file}, the request in {folder / f'{name}.csr'}", soft_wrap=True)
    console.print(f"next: onecard admin request-terminal {name}.csr --kind window; the certificate goes to {name}.crt there")


@app.command("request-terminal")
@at_window
def request_terminal(
    at: Place,
    signing_request: Annotated[Path, typer.Argument(help="of `make-request`", exists=True, dir_okay=False)],
    kind: Annotated[str, typer.Option(help=f"one of {', '.join(_KINDS)}; kits get seven days and renew themselves")],
    outlet: Annotated[str, typer.Option(help="where it stands; empty for nowhere")] = "",
    request_id: RequestIdOption = "",
) -> None:
    """Ask for a terminal's certificate, as an operator or a security administrator; somebody else approves it.

    Example: onecard admin request-terminal KIT-1@CITY-HALL.csr --kind kit
    """
    if kind not in _KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(_KINDS)}")
    with desk_of(Administration, at) as asked:
        answer = asked.request_terminal(kind, outlet, signing_request.read_text(), request_id=request_id)
    _print(answer)
    console.print(f"a second person: onecard admin approve-terminal {answer.terminal.terminal_id} --out FILE")


@app.command("approve-terminal")
@at_window
def approve_terminal(
    at: Place,
    terminal: TerminalArgument,
    out_file: Annotated[Path, typer.Option("--out", help="where the certificate is written, for the terminal's folder")],
    request_id: RequestIdOption = "",
) -> None:
    """Agree, as a security administrator who did not ask for it; the certificate is issued."""
    with desk_of(Administration, at) as asked:
        answer = asked.decide_terminal(terminal, approve=True, request_id=request_id)
    _print(answer)
    out_file.write_text(answer.terminal.certificate)


@app.command("reject-terminal")
@at_window
def reject_terminal(
    at: Place,
    terminal: TerminalArgument,
    reason: Annotated[str, typer.Argument(help="why; no names")],
    request_id: RequestIdOption = "",
) -> None:
    """Disagree, as a security administrator who did not ask for it."""
    with desk_of(Administration, at) as asked:
        _print(asked.decide_terminal(terminal, approve=False, reason=reason, request_id=request_id))


@app.command("terminals")
@at_window
def list_terminals(
    at: Place, state: Annotated[str, typer.Option(help="pending, enrolled, revoked or rejected; by default all")] = ""
) -> None:
    """Terminals with the ends of their certificates."""
    with desk_of(Administration, at) as asked:
        console.print(_table_of(list(asked.list_terminals(state=state))))


@app.command("revoke-terminal")
@at_window
def revoke_terminal(
    at: Place,
    which: Annotated[str, typer.Argument(help="its subject (onecard://…), or a certificate's serial number")],
    reason: Annotated[str, typer.Argument(help="why; no names")],
    request_id: RequestIdOption = "",
) -> None:
    """Refuse a terminal, or one certificate, from now on: shifts end at once, calls and streams within seconds.

    Payments has a list of its own. In a running city it is told, too; elsewhere its operator is, by the command that is shown.

    Example: onecard admin revoke-terminal onecard://merchant/CITY-HALL/terminal/KIT-1 stolen
    """
    by = {"subject": which} if which.startswith("onecard://") else {"serial": which}
    with desk_of(Administration, at) as asked:
        serials = asked.revoke_terminal(reason, request_id=request_id, **by)
    told = at.api is None and read_state() is not None
    for serial in serials:
        console.print(f"the card service refuses {serial} from now on")
        if not told:
            console.print(f"for payments: python -m services.payments revoke {serial}")
        elif status := run_payments(["revoke", serial, "--reason", reason], environment()):
            raise typer.Exit(status)


@app.command("renew-terminal")
def renew_terminal(
    terminal: Annotated[str, typer.Argument(help="this terminal's name")],
    card_api: Annotated[
        str, typer.Option("--card-api", metavar="HOST:PORT", envvar="ONECARD_CARD_API", help="the card service")
    ],
    folder: FolderOption,
    office: OfficeOption = HALL,
    now: Annotated[bool, typer.Option("--now", help="also when less than half of its life is over")] = False,
) -> None:
    """At a terminal, once a day by its timer: another key and certificate, on the word of the one that is still good.

    Nobody need be signed in. A connection keeps the certificate that it was made with.

    Example: onecard admin renew-terminal KIT-1 --card-api card.example:8443 --certificates ./kit-1
    """
    held = terminal_credentials(folder, office, terminal)
    if held is None:
        raise typer.BadParameter(f"{folder} holds no certificate of {terminal} of {office}")
    if not (now or due(held.certificate)):
        console.print("not due yet")
        return
    asking = Asking(open_line(card_api, "", held))
    try:
        renewed = renew(asking, held)
    except (NotAcceptedError, OutcomeUnknownError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    finally:
        asking.close()
    console.print(f"{renewed.subject} is certified until {time_of(renewed.expire_time_ms)}", soft_wrap=True)


def _print(answer: TerminalAnswer) -> None:
    console.print(_table_of([answer.terminal]))
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)


def _table_of(found: list[messages.Terminal]) -> Table:
    table = table_of("terminal", "subject", "kind", "outlet", "state", "until", "serial")
    for one in found:
        kind = words(messages.TerminalKind.Name(one.kind), "TERMINAL_KIND_")
        state = words(messages.TerminalState.Name(one.state), "TERMINAL_STATE_")
        until = time_of(one.expire_time_ms) if one.expire_time_ms else ""
        table.add_row(str(one.terminal_id), one.subject, kind, one.outlet, state, until, one.serial)
    return table
