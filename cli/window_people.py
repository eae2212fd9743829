"""`onecard window`: who is signed in, what a holder has, and a second person's word."""

import typer

from cli.counter import console, time_of
from cli.desk import keep_session, print_refusal, table_of, window_of, words
from cli.forms import DOCUMENT_KINDS, ask_document
from cli.holder_view import print_view
from cli.place import Place, at_window
from onecard.card.v1 import approvals_pb2 as approvals
from onecard.card.v1 import window_pb2 as messages

app = typer.Typer()


@app.command("sign-in")
@at_window
def sign_in(
    at: Place,
    login: str = typer.Argument(help="the staff number"),
    first: bool = typer.Option(False, "--first", help="for the first time: another password is wanted"),
) -> None:
    """Sign in at a window, with password and the code of an authenticator, for one shift.

    While a city runs in another terminal its demo clerks are printed by `onecard city clerks`.
    """
    password = typer.prompt("password", hide_input=True)
    new = typer.prompt("another password", hide_input=True, confirmation_prompt=True) if first else ""
    code = typer.prompt("code")
    with window_of(at) as asked:
        session = asked.sign_in(login, password, code, new)
        keep_session(at, session.token)
    roles = ", ".join(words(role, "") for role in session.roles)
    console.print(f"signed in at {at.terminal} of {at.office} ({roles}) until {time_of(session.expire_time_ms)}")


@app.command("sign-out")
@at_window
def sign_out(at: Place) -> None:
    """End the shift at a window."""
    with window_of(at) as asked:
        asked.sign_out()
    keep_session(at, "")
    console.print("signed out")


@app.command()
@at_window
def view(
    at: Place,
    card: str = typer.Option("", "--card", metavar="CARD", help="by the card identifier"),
    holder: int = typer.Option(0, "--holder", help="by the holder's number"),
    token: str = typer.Option("", "--token", help="by what the holder's electronic card shows, good once"),
    kind: str = typer.Option("resident-id", "--document", help=f"the document's kind: {', '.join(DOCUMENT_KINDS)}"),
    purpose: str = typer.Option("", "--purpose", help="names and numbers whole, for this purpose, which is written down"),
) -> None:
    """Everything of a holder: cards, applications, purses, and what may be done. The document's number is asked for.

    Example: onecard window view --card 440700D1560000050000000178ABCDEF
    """
    wanted = messages.GetHolderViewRequest(unmasked=bool(purpose), purpose=purpose)
    given = {"card_identifier": card, "holder_id": holder, "token": token}
    by: dict[str, object] = {name: value for name, value in given.items() if value}
    by = by or {"document": ask_document(kind)}
    with window_of(at) as asked:
        found = asked.view(unmasked=wanted.unmasked, purpose=purpose, **by)
    print_view(found)


@app.command("approvals")
@at_window
def list_approvals(at: Place) -> None:
    """What waits for a second person at this outlet."""
    with window_of(at) as asked:
        found = list(asked.list_approvals())
    table = table_of("approval", "act", "what", "holder", "card id", "asked by", "at", "until")
    for one in found:
        what = ", ".join(f"{key} {value}" for key, value in sorted(one.detail.items()))
        asked_by = f"staff {one.requested_by_staff_id}"
        numbers = (str(one.holder_id or ""), str(one.card_id or ""))
        times = (time_of(one.create_time_ms), time_of(one.expire_time_ms))
        table.add_row(str(one.approval_id), words(one.act, ""), what, *numbers, asked_by, *times)
    console.print(table if found else "nothing waits here")


@app.command()
@at_window
def approve(at: Place, approval: int = typer.Argument(help="its number")) -> None:
    """Agree, as the second person; then the same request can be given again."""
    _decide(at, approval, approve=True)


@app.command()
@at_window
def reject(
    at: Place,
    approval: int = typer.Argument(help="its number"),
    reason: str = typer.Argument(help="why; no names and no numbers"),
) -> None:
    """Disagree, as the second person."""
    _decide(at, approval, approve=False, reason=reason)


def _decide(at: Place, approval: int, *, approve: bool, reason: str = "") -> None:
    with window_of(at) as asked:
        answer = asked.decide_approval(approval, approve=approve, reason=reason)
    if answer.HasField("refusal"):
        print_refusal(answer.refusal)
    console.print(f"approval {approval}: {words(approvals.ApprovalState.Name(answer.approval.state), 'APPROVAL_STATE_')}")
