"""`onecard window`: consent, phone and address, search by name, export, deletion, correction."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cli.counter import RequestIdOption, console, time_of
from cli.desk import print_refusal, table_of, window_of, words
from cli.forms import DOCUMENT_KINDS, ask_document, ask_representative
from cli.place import Place, at_window
from onecard.card.v1 import applications_pb2 as applications

app = typer.Typer()

_PURPOSES = ("finance", "location", "minor")
HolderArgument = Annotated[int, typer.Argument(metavar="HOLDER", help="the holder's number, as `onecard window view` shows it")]


@app.command()
@at_window
def consent(
    at: Place,
    holder: HolderArgument,
    purpose: Annotated[str, typer.Argument(help=f"{', '.join(_PURPOSES)}: each by itself")],
    withdraw: Annotated[bool, typer.Option("--withdraw", help="the holder consents no more")] = False,
    guardian: Annotated[bool, typer.Option("--guardian", help="the guardian of a minor says it")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """同意: write down what a holder consents to, or does no more.

    Without `finance` the bank's side of the card is not activated, without `location` a window sees no places of payments, and
    without a guardian's `minor` nobody applies for a child.
    """
    if purpose not in _PURPOSES:
        raise typer.BadParameter(f"{purpose!r} is none of {', '.join(_PURPOSES)}")
    acting = ask_representative("guardian") if guardian else None
    with window_of(at) as asked:
        say = asked.withdraw_consent if withdraw else asked.give_consent
        answer = say(holder, purpose, acting, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    print_consents(answer.consents)


@app.command("change-contact")
@at_window
def change_contact(
    at: Place,
    holder: HolderArgument,
    guardian: Annotated[bool, typer.Option("--guardian", help="the guardian of a minor says it")] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Another phone or address of a holder who stands here with a document; what is left empty stays."""
    phone = typer.prompt("mobile number, if it is another", default="", show_default=False)
    address = typer.prompt("address, if it is another", default="", show_default=False)
    acting = ask_representative("guardian") if guardian else None
    with window_of(at) as asked:
        answer = asked.change_contact(holder, phone=phone, address=address, guardian=acting, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    console.print("changed")


@app.command()
@at_window
def search(at: Place) -> None:
    """Whom a name and a birth date lead to, masked; both are asked for. There are only so many searches an hour."""
    name, birth_date = typer.prompt("name"), typer.prompt("birth date, as 1950-12-31")
    with window_of(at) as asked:
        found = list(asked.search(name, birth_date))
    table = table_of("holder", "name", "documents", "live card")
    for one in found:
        documents = [
            f"{words(applications.DocumentKind.Name(d.kind), 'DOCUMENT_KIND_')} {d.masked_number}" for d in one.documents
        ]
        table.add_row(str(one.holder_id), one.masked_name, ", ".join(documents), "yes" if one.has_live_card else "no")
    console.print(table if found else "nobody")


@app.command("export")
@at_window
def export_holder(
    at: Place,
    holder: HolderArgument,
    purpose: Annotated[str, typer.Option("--purpose", help="what for; it is written down")],
    out: Annotated[Path, typer.Option("--out", help="the file, which must be new; only you may read it")],
) -> None:
    """Everything about a holder in one file, for the holder; by a supervisor."""
    with window_of(at) as asked:
        document = asked.export_holder(holder, purpose)
    with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(document)
    console.print(f"{len(document):,} bytes in {out}")


@app.command("delete-holder")
@at_window
def delete_holder(at: Place, holder: HolderArgument, request_id: RequestIdOption = "") -> None:
    """Forget a holder, for good: without a live card, an open application or money. Two supervisors are needed."""
    with window_of(at) as asked:
        answer = asked.delete_holder(holder, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    console.print(f"holder {holder} is a number without a person now")


@app.command("correct-identity")
@at_window
def correct_identity(
    at: Place,
    holder: HolderArgument,
    document: Annotated[str, typer.Option("--document", help=f"its number is wrong: {', '.join(DOCUMENT_KINDS)}")] = "",
    request_id: RequestIdOption = "",
) -> None:
    """Put right who somebody is; what is left empty stays. It waits for a second person."""
    name = typer.prompt("name, if it is wrong", default="", show_default=False)
    birth_date = typer.prompt("birth date, if it is wrong, as 1950-12-31", default="", show_default=False)
    shown = ask_document(document) if document else None
    with window_of(at) as asked:
        answer = asked.correct_identity(holder, name=name, birth_date=birth_date, document=shown, request_id=request_id)
    if answer.refusal:
        print_refusal(answer.refusal, answer.request_id)
    console.print("corrected")


def print_consents(consents: Iterable[applications.Consent]) -> None:
    """The newest word on each purpose."""
    for one in consents:
        said = "consents to" if one.given else "consents no more to"
        by = " by the guardian" if one.by_guardian else ""
        kind = words(applications.ConsentKind.Name(one.kind), "CONSENT_KIND_")
        console.print(f"  {said} {kind}{by}, {time_of(one.time_ms)}, {one.actor}")
