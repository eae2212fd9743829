"""What the commands of a service window share: the connection, who is signed in, and how answers look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from cli.city.state import read_state
from cli.counter import console, line_to, time_of
from cli.merchant.show import yuan
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.window import ApplicationAnswer, CardAnswer, Session, Window

HALL, WINDOW = "CITY-HALL", "WINDOW-1"
WindowOption = Annotated[
    str,
    typer.Option("--window", metavar="WINDOW", envvar="ONECARD_WINDOW", help="which one, with a certificate of its own"),
]
OfficeOption = Annotated[str, typer.Option("--office", metavar="OFFICE", envvar="ONECARD_OFFICE", help="whose window it is")]
CardApiOption = Annotated[
    str | None,
    typer.Option(
        "--card-api", metavar="HOST:PORT", envvar="ONECARD_CARD_API", help="the card service; by default the running city's"
    ),
]
CardIdArgument = Annotated[int, typer.Argument(metavar="CARD-ID", help="the card's number, as `onecard window view` shows it")]
ApplicationArgument = Annotated[int, typer.Argument(metavar="APPLICATION", help="the application's number")]

_SIGN_IN_ANEW = {"SIGN_IN_NEEDED", "SHIFT_ENDED", "WRONG_TERMINAL"}


@contextmanager
def window_of(office: str, window: str, api: str | None, certificates: Path | None) -> Iterator[Window]:
    """A window of the running city, or of whatever was named, with who is signed in there. What goes wrong is said."""
    folder = certificates
    if api is None and (state := read_state()):
        api, folder = state.card_api, folder or Path(state.certificates)
    if not api:
        typer.echo(
            "no city runs here: start one with `onecard city run`, or name --card-api HOST:PORT --certificates FOLDER", err=True
        )
        raise typer.Exit(2)
    try:
        line = line_to(api, folder, office, window)
    except (OSError, ValueError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    token = _read_token(_session_file(folder, office, window))
    try:
        with Window(line, token=token, trouble=lambda trouble: typer.echo(f"{trouble}; asking again …", err=True)) as asked:
            yield asked
    except NotAcceptedError as error:
        typer.echo(f"{error.message} ({error.reason})", err=True)
        if error.reason in _SIGN_IN_ANEW:
            typer.echo(f"sign in first: onecard window sign-in LOGIN --window {window}", err=True)
        raise typer.Exit(2) from None
    except OutcomeUnknownError as error:
        typer.echo(error, err=True)
        if error.request_id:
            typer.echo(f"ask again with --request-id {error.request_id}: nothing is done twice", err=True)
        raise typer.Exit(3) from None


def keep_session(office: str, window: str, certificates: Path | None, session: Session | None) -> None:
    """Remember who is signed in at a window, beside the window's key and as secret; None: nobody."""
    state = read_state()
    file = _session_file(certificates or (Path(state.certificates) if state else None), office, window)
    file.unlink(missing_ok=True)
    if session:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            kept.write(session.token)


def _session_file(folder: Path | None, office: str, window: str) -> Path:
    return (folder or Path()) / f"{quote(window, safe='')}@{quote(office, safe='')}.session"


def _read_token(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def print_refusal(refusal: applications.Refusal, request_id: str = "") -> None:
    """Why it was not done, in the words that can be said; exits with 1."""
    console.print(f"[yellow]{refusal.message}[/] ({refusal.reason}{f', {refusal.field}' if refusal.field else ''})")
    for fault in refusal.photo_faults:
        passable = "  一项可由工作人员注明原因放行" if fault.overridable else ""
        console.print(f"  {fault.message}：实测 {fault.measured}，要求 {fault.demanded}{passable}")
    for other in refusal.possible_holders:
        console.print(f"  可能为同一人：{other.masked_name} {other.masked_document_number}（编号 {other.holder_id}）")
    if refusal.approval_id:
        console.print(f"a second person is asked under {refusal.approval_id}: onecard window approve {refusal.approval_id}")
        console.print(f"then give the same command again with --request-id {request_id}")
    raise typer.Exit(1)


def print_card(answer: CardAnswer) -> None:
    """A card after a verb; the exit status is 1 when nothing was done."""
    console.print(card_table([answer.card]))
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)


def print_application(answer: ApplicationAnswer) -> None:
    """An application after a step; the exit status is 1 when nothing was done."""
    if answer.application:
        console.print(application_table([answer.application]))
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)


def card_table(found: list[cards.CardSummary]) -> Table:
    """Cards, a line each."""
    table = table_of("card id", "card identifier", "social", "financial", "until", "note")
    for card in found:
        note = f"lost until {time_of(card.loss_until_ms)}" if card.loss_until_ms else ""
        note = f"succeeded by {card.successor_card_id}" if card.successor_card_id else note
        table.add_row(
            str(card.card_id),
            card.card_identifier,
            words(cards.SocialStatus.Name(card.social), "SOCIAL_STATUS_"),
            words(cards.FinancialStatus.Name(card.financial), "FINANCIAL_STATUS_"),
            card.valid_until,
            "temporary card" if card.temporary_card else note,
        )
    return table


def application_table(found: list[applications.ApplicationSummary]) -> Table:
    """Applications, a line each."""
    table = table_of("application", "kind", "mode", "state", "outlet", "handed in", "due", "fee, yuan", "card id")
    for one in found:
        table.add_row(
            str(one.application_id),
            words(applications.ApplicationKind.Name(one.kind), "APPLICATION_KIND_"),
            words(applications.Mode.Name(one.mode), "MODE_"),
            words(applications.ApplicationState.Name(one.state), "APPLICATION_STATE_"),
            one.outlet,
            time_of(one.create_time_ms),
            f"[red]{time_of(one.due_time_ms)}[/]" if one.overdue else time_of(one.due_time_ms),
            yuan(one.fee_fen),
            str(one.card_id or ""),
        )
    return table


def table_of(*columns: str) -> Table:
    """Nothing in it is cut off, however narrow the screen."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def words(name: str, prefix: str) -> str:
    """FORMALLY_LOST → formally lost."""
    return name.removeprefix(prefix).lower().replace("_", " ")
