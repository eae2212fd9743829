"""What the commands of a service window share: the connection, who is signed in, and how answers look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

import typer
from rich.table import Table

from cli.counter import console, in_the_city, line_of, said, tell, time_of
from cli.merchant.show import yuan
from cli.place import Place
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from sdk.window.answers import ApplicationAnswer, CardAnswer
from sdk.window.blanks import Blanks
from sdk.window.kiosk import Kiosk
from sdk.window.terminal import Terminal
from sdk.window.window import Window

W = TypeVar("W", bound=Terminal)

CardIdArgument = Annotated[int, typer.Argument(metavar="CARD-ID", help="the card's number, as `onecard window view` shows it")]
ApplicationArgument = Annotated[int, typer.Argument(metavar="APPLICATION", help="the application's number")]

_SIGN_IN_ANEW = {"SIGN_IN_NEEDED", "SHIFT_ENDED", "SESSION_ENDED", "WRONG_TERMINAL"}
_WHO_FIRST = (
    "sign in first: onecard window sign-in LOGIN --window {window}",
    "show a card first: onecard kiosk show-card CARD --kiosk {window}",
)


def window_of(at: Place) -> AbstractContextManager[Window]:
    """A window of the running city, or of whatever was named, with who is signed in there. What goes wrong is said."""
    return desk_of(Window, at)


@contextmanager
def desk_of(kind: type[W], at: Place) -> Iterator[W]:
    """The same, for whoever asks more than every window does, or at a kiosk."""
    at = in_the_city(at, lambda city: city.issuance_api) if issubclass(kind, Blanks) else _in_the_city(at)
    option = "--issuance-api" if issubclass(kind, Blanks) else "--card-api"
    line, token = line_of(at, option), _read_token(_session_file(at))

    def who_first(reason: str) -> str:
        return _WHO_FIRST[kind is Kiosk].format(window=at.terminal) if reason in _SIGN_IN_ANEW else ""

    with said(who_first), kind(line, token=token, trouble=tell) as asked:
        yield asked


def keep_session(at: Place, token: str) -> None:
    """Remember who is signed in at a window, or stands at a kiosk, beside its key and as secret; empty: nobody."""
    file = _session_file(_in_the_city(at))
    file.unlink(missing_ok=True)
    if token:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            kept.write(token)


def _in_the_city(at: Place) -> Place:
    return in_the_city(at, lambda city: city.card_api)


def _session_file(at: Place) -> Path:
    return (at.certificates or Path()) / f"{quote(at.terminal, safe='')}@{quote(at.office, safe='')}.session"


def _read_token(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def ask_pin() -> str:
    """Keyed in by whoever stands there, and not shown."""
    pin: str = typer.prompt("PIN", hide_input=True)
    return pin


def ask_new_pin() -> str:
    """Twice, and not shown."""
    pin: str = typer.prompt("new PIN, six digits", hide_input=True, confirmation_prompt=True)
    return pin


def print_refusal(refusal: applications.Refusal, request_id: str = "") -> None:
    """Why it was not done, in the words that can be said; exits with 1."""
    console.print(f"[yellow]{refusal.message}[/] ({refusal.reason}{f', {refusal.field}' if refusal.field else ''})")
    for fault in refusal.photo_faults:
        passable = f"（可注明原因放行：--let-pass {fault.point}=原因）" if fault.overridable else ""
        console.print(f"  {fault.message}：实测 {fault.measured}，要求 {fault.demanded}{passable}")
    for other in refusal.possible_holders:
        different = f"不是同一人：--other-person {other.holder_id}"
        console.print(f"  可能为同一人：{other.masked_name} {other.masked_document_number}（{different}）")
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
    for sentence in answer.not_carried + answer.hints:
        console.print(f"[yellow]{sentence}[/]")
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
