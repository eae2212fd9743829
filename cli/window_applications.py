"""`onecard window`: applications, one or an employer's batch."""

from pathlib import Path
from typing import Annotated

import typer

from cli.counter import RequestIdOption, console, time_of
from cli.desk import ApplicationArgument, application_table, print_application, table_of, window_of, words
from cli.employers import hand_in
from cli.forms import DOCUMENT_KINDS, ask_person, ask_representative
from cli.merchant.show import yuan
from cli.place import Place, at_window
from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1.window_pb2 import WorkKind

app = typer.Typer()

_KINDS = ("first", "reissue", "replace", "temporary")
_MODES = ("ordinary", "instant", "on-site")
_ROUTES = ("self", "guardian", "proxy")
_CONSENTS = ("finance", "location", "minor")
_FEES = ("cash", "bank", "purse", "waived")
_WORK = ("overdue", "lying", "approval", "renewal", "fee-to-hand-out", "remainder-to-hand-out", "kit-queue")
LetPassOption = Annotated[
    list[str] | None,
    typer.Option("--let-pass", metavar="POINT=REASON", help="a point of the photo that is let pass, and why; no names"),
]
PhotoArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a JPEG")]


@app.command()
@at_window
def apply(
    at: Place,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="an employer's batch: docs/employer-files.md")
    ] = None,
    kind: Annotated[str, typer.Option(help=", ".join(_KINDS))] = "first",
    mode: Annotated[str, typer.Option(help=", ".join(_MODES))] = "ordinary",
    by: Annotated[str, typer.Option(help=f"who brings it: {', '.join(_ROUTES)}")] = "self",
    document: Annotated[str, typer.Option("--document", help=", ".join(DOCUMENT_KINDS))] = "resident-id",
    photo: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a JPEG; without one it is brought later")
    ] = None,
    let_pass: LetPassOption = None,
    other_person: Annotated[
        list[int] | None, typer.Option(help="a holder who was compared with the applicant, and is somebody else")
    ] = None,
    fee: Annotated[str, typer.Option(help=f"how it is paid, where it costs something: {', '.join(_FEES)}")] = "",
    outlet: Annotated[str, typer.Option(help="where the card is collected; by default here")] = "",
    consent: Annotated[
        list[str] | None, typer.Option(help=f"what is consented to: {', '.join(_CONSENTS)} (a guardian's)")
    ] = None,
    request_id: RequestIdOption = "",
) -> None:
    """Apply for a card; name and numbers are asked for, so that they stand in no history.

    With --file an employer's batch is handed in, as docs/employer-files.md says. A count that differs refuses the whole batch;
    otherwise each line has its own verdict, and what was refused is written to FILE.rejects.csv with its line and reason. One
    that was cut off is handed in again with the same file: nothing is done twice.
    """
    for value, known in ((kind, _KINDS), (mode, _MODES), (by, _ROUTES), (fee or "cash", _FEES)):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}")
    if unknown := set(consent or ()).difference(_CONSENTS):
        raise typer.BadParameter(f"there is nothing like {', '.join(sorted(unknown))} to consent to")
    if file:
        with window_of(at) as asked:
            hand_in(asked, file, outlet, f"MODE_{mode.upper().replace('-', '_')}")
        return
    person = ask_person(document)
    representative = None if by == "self" else ask_representative(by)
    with window_of(at) as asked:
        request = messages.SubmitRequest(
            request_id=request_id,
            kind=f"APPLICATION_KIND_{kind.upper()}",
            mode=f"MODE_{mode.upper().replace('-', '_')}",
            route=f"ROUTE_{by.upper()}",
            person=person,
            representative=representative,
            photo=photo.read_bytes() if photo else b"",
            photo_overrides=_overrides(let_pass),
            other_people=other_person,
            outlet=outlet,
            fee_source=f"FEE_SOURCE_{fee.upper()}" if fee else None,
            consents=[f"CONSENT_KIND_{kind.upper()}" for kind in consent or ()],
        )
        print_application(asked.submit(request))


@app.command("add-photo")
@at_window
def add_photo(
    at: Place,
    application: ApplicationArgument,
    photo: PhotoArgument,
    let_pass: LetPassOption = None,
    request_id: RequestIdOption = "",
) -> None:
    """Bring the photo of an application that waits for it."""
    with window_of(at) as asked:
        overrides = _overrides(let_pass)
        print_application(asked.add_photo(application, photo.read_bytes(), overrides=overrides, request_id=request_id))


@app.command()
@at_window
def withdraw(at: Place, application: ApplicationArgument, request_id: RequestIdOption = "") -> None:
    """Take an application back."""
    with window_of(at) as asked:
        answer = asked.withdraw(application, request_id=request_id)
    print_application(answer)
    if answer.hand_out_fen:
        console.print(f"to be handed out: {yuan(answer.hand_out_fen)} yuan", highlight=False)


@app.command()
@at_window
def refuse(
    at: Place,
    application: ApplicationArgument,
    remark: Annotated[str, typer.Argument(help="what is wrong, for the applicant; no names and no numbers")],
    request_id: RequestIdOption = "",
) -> None:
    """Send an application back to the applicant."""
    with window_of(at) as asked:
        print_application(asked.refuse(application, remark, request_id=request_id))


@app.command()
@at_window
def resubmit(
    at: Place,
    application: ApplicationArgument,
    photo: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="another photo, a JPEG")] = None,
    let_pass: LetPassOption = None,
    class_2_account: Annotated[bool, typer.Option("--class-2", help="the applicant takes a class Ⅱ account")] = False,
    put_right: Annotated[
        str,
        typer.Option("--put-right", metavar="DOCUMENT", help=f"ask for the whole person again: {', '.join(DOCUMENT_KINDS)}"),
    ] = "",
    request_id: RequestIdOption = "",
) -> None:
    """Hand in again what was refused."""
    person = ask_person(put_right) if put_right else None
    with window_of(at) as asked:
        request = messages.ResubmitRequest(
            request_id=request_id,
            application_id=application,
            person=person,
            photo=photo.read_bytes() if photo else b"",
            photo_overrides=_overrides(let_pass),
            class_2_account=class_2_account,
        )
        print_application(asked.resubmit(request))


@app.command("work-list")
@at_window
def work_list(
    at: Place,
    kind: Annotated[str, typer.Option(help=f"{', '.join(_WORK)}; by default all")] = "",
    outlet: Annotated[str, typer.Option(help="by default here")] = "",
) -> None:
    """What waits here: late applications, cards that nobody collects, approvals, cards that come to their end, cash."""
    if kind and kind not in _WORK:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(_WORK)}")
    with window_of(at) as asked:
        found = list(asked.list_work(outlet=outlet, kind=kind.replace("-", "_")))
        of_bank = sum(1 for _ in asked.list_bank_work())
    table = table_of("what", "application", "card id", "approval", "holder", "since", "until")
    for one in found:
        numbers = (one.application_id, one.card_id, one.approval_id, one.holder_id)
        until = time_of(one.due_time_ms) if one.due_time_ms else ""
        what = words(WorkKind.Name(one.kind), "WORK_KIND_")
        table.add_row(what, *(str(number or "") for number in numbers), time_of(one.since_time_ms), until)
    console.print(table if found else "nothing waits here")
    if of_bank:
        console.print(f"because of the bank: {of_bank:,}; onecard window bank-work shows them")


@app.command("bank-work")
@at_window
def bank_work(at: Place) -> None:
    """What the bank refused, what came back wrong, and what it is late with; each with what is to be done next."""
    with window_of(at) as asked:
        found = list(asked.list_bank_work())
    table = table_of("application", "holder", "card id", "batch", "row", "since", "what, and what next")
    for one in found:
        numbers = (one.application_id, one.holder_id, one.card_id or "", one.batch or "", one.row or "")
        table.add_row(*map(str, numbers), time_of(one.since_ms), one.cause.message)
    console.print(table if found else "nothing waits here")


@app.command("clear-bank-fault")
@at_window
def clear_bank_fault(
    at: Place,
    batch: Annotated[int, typer.Argument(help="as bank-work shows it")],
    row: Annotated[int, typer.Argument(help="as bank-work shows it")],
    request_id: RequestIdOption = "",
) -> None:
    """Say that a row of a return was cleared with the bank; it leaves the list."""
    with window_of(at) as asked:
        cleared = asked.clear_bank_fault(batch, row, request_id=request_id)
    console.print(f"{cleared} cleared" if cleared else "there was nothing to clear")


@app.command()
@at_window
def application(at: Place, application: ApplicationArgument) -> None:
    """An application with its timeline."""
    with window_of(at) as asked:
        found = asked.application(application)
    console.print(application_table([found.application]))
    table = table_of("when", "step", "led to", "by")
    for step in found.timeline:
        state = words(messages.ApplicationState.Name(step.state), "APPLICATION_STATE_")
        table.add_row(time_of(step.time_ms), words(step.step, ""), state, step.actor)
    console.print(table)


@app.command("applications")
@at_window
def list_applications(
    at: Place,
    state: Annotated[str, typer.Option(help="applied, at-bank, refused, …; by default all that are open")] = "",
    outlet: Annotated[str, typer.Option(help="by default here")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="only those that are later than they should be")] = False,
) -> None:
    """Applications of an outlet, oldest first."""
    known = [name.removeprefix("APPLICATION_STATE_") for name in messages.ApplicationState.keys()][1:]  # noqa: SIM118
    wanted = state.upper().replace("-", "_")
    if wanted and wanted not in known:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(name.lower().replace('_', '-') for name in known)}")
    with window_of(at) as asked:
        found = list(asked.list_applications(outlet=outlet, state=wanted, overdue_only=overdue))
    console.print(application_table(found) if found else "there is none")


def _overrides(let_pass: list[str] | None) -> list[messages.PhotoOverride]:
    overrides = []
    for told in let_pass or ():
        point, _, reason = told.partition("=")
        if not point.isdecimal() or not reason.strip():
            raise typer.BadParameter(f"{told!r} is not as in --let-pass 7=头巾")
        overrides.append(messages.PhotoOverride(point=int(point), reason=reason))
    return overrides
