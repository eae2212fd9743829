"""`onecard window`: who is signed in, what a holder has, and a second person's word."""

import typer
from rich.table import Table

from cli.counter import CertificatesOption, console, time_of
from cli.desk import (
    HALL,
    WINDOW,
    CardApiOption,
    OfficeOption,
    WindowOption,
    application_table,
    card_table,
    keep_session,
    print_refusal,
    table_of,
    window_of,
    words,
)
from cli.forms import DOCUMENT_KINDS, ask_document
from cli.merchant.show import yuan
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import approvals_pb2 as approvals
from onecard.card.v1 import window_pb2 as messages

app = typer.Typer()


@app.command("sign-in")
def sign_in(
    login: str = typer.Argument(help="the staff number"),
    first: bool = typer.Option(False, "--first", help="for the first time: another password is wanted"),
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Sign in at a window, with password and the code of an authenticator, for one shift.

    While a city runs in another terminal its demo clerks are printed by `onecard city clerks`.
    """
    password = typer.prompt("password", hide_input=True)
    new = typer.prompt("another password", hide_input=True, confirmation_prompt=True) if first else ""
    code = typer.prompt("code")
    with window_of(office, window, card_api, certificates) as asked:
        session = asked.sign_in(login, password, code, new)
        keep_session(office, window, certificates, session)
    roles = ", ".join(words(role, "") for role in session.roles)
    console.print(f"signed in at {window} of {office} ({roles}) until {time_of(session.expire_time_ms)}")


@app.command("sign-out")
def sign_out(
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """End the shift at a window."""
    with window_of(office, window, card_api, certificates) as asked:
        asked.sign_out()
    keep_session(office, window, certificates, None)
    console.print("signed out")


@app.command()
def view(
    card: str = typer.Option("", "--card", metavar="CARD", help="by the card identifier"),
    holder: int = typer.Option(0, "--holder", help="by the holder's number"),
    kind: str = typer.Option("resident-id", "--document", help=f"the document's kind: {', '.join(DOCUMENT_KINDS)}"),
    purpose: str = typer.Option("", "--purpose", help="names and numbers whole, for this purpose, which is written down"),
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Everything of a holder: cards, applications, purses, and what may be done. The document's number is asked for.

    Example: onecard window view --card 440700D1560000050000000178ABCDEF
    """
    wanted = messages.GetHolderViewRequest(unmasked=bool(purpose), purpose=purpose)
    by: dict[str, object] = {"card_identifier": card} if card else {"holder_id": holder} if holder else {}
    by = by or {"document": ask_document(kind)}
    with window_of(office, window, card_api, certificates) as asked:
        found = asked.view(unmasked=wanted.unmasked, purpose=purpose, **by)
    _print_view(found)


@app.command("approvals")
def list_approvals(
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """What waits for a second person at this outlet."""
    with window_of(office, window, card_api, certificates) as asked:
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
def approve(
    approval: int = typer.Argument(help="its number"),
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Agree, as the second person; then the same request can be given again."""
    _decide(approval, office, window, card_api, certificates, approve=True)


@app.command()
def reject(
    approval: int = typer.Argument(help="its number"),
    reason: str = typer.Argument(help="why; no names and no numbers"),
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Disagree, as the second person."""
    _decide(approval, office, window, card_api, certificates, approve=False, reason=reason)


def _decide(
    approval: int,
    office: str,
    window: str,
    card_api: CardApiOption,
    certificates: CertificatesOption,
    *,
    approve: bool,
    reason: str = "",
) -> None:
    with window_of(office, window, card_api, certificates) as asked:
        answer = asked.decide_approval(approval, approve=approve, reason=reason)
    if answer.HasField("refusal"):
        print_refusal(answer.refusal)
    console.print(f"approval {approval}: {words(approvals.ApprovalState.Name(answer.approval.state), 'APPROVAL_STATE_')}")


def _print_view(found: messages.HolderView) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_row("holder", str(found.holder_id))
    facts.add_row("name", found.name)
    facts.add_row("born", found.birth_date)
    facts.add_row("telephone", found.phone)
    for document in found.documents:
        kind = words(applications.DocumentKind.Name(document.kind), "DOCUMENT_KIND_")
        facts.add_row(kind, f"{document.number} {f'until {document.valid_until}' if document.valid_until else ''}")
    facts.add_row("category", f"{found.category}{', resident' if found.resident else ''}")
    if found.HasField("money"):
        facts.add_row("purse, yuan", f"{yuan(found.money.balance_fen)}, free to spend {yuan(found.money.available_fen)}")
    elif found.payments_away:
        facts.add_row("purse", "[yellow]payments does not answer; everything else is here[/]")
    console.print(facts)
    console.print(card_table([held.card for held in found.cards]))
    for held in found.cards:
        if may := [words(action.verb, "") for action in held.actions if action.allowed]:
            console.print(f"  card {held.card.card_id} may be: {', '.join(may)}")
    console.print(application_table([held.application for held in found.applications]))
    if found.money.last_payments:
        last = table_of("when", "what", "where", "change, yuan")
        for payment in found.money.last_payments:
            last.add_row(time_of(payment.time_ms), words(payment.what, ""), payment.merchant_id, yuan(payment.change_fen))
        console.print(last)
