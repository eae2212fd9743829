"""`onecard window`: applications, one or an employer's batch."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cli.counter import CertificatesOption, RequestIdOption, console, time_of
from cli.desk import (
    HALL,
    WINDOW,
    ApplicationArgument,
    CardApiOption,
    OfficeOption,
    WindowOption,
    application_table,
    print_application,
    table_of,
    window_of,
    words,
)
from cli.forms import DOCUMENT_KINDS, Batch, FormError, ask_person, read_batch
from onecard.card.v1 import applications_pb2 as messages

app = typer.Typer()

_KINDS = ("first", "reissue", "replace", "temporary")
_MODES = ("ordinary", "instant", "on-site")
_FEES = ("cash", "bank", "purse", "waived")
PhotoArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a JPEG")]


@app.command()
def apply(
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="an employer's batch: CSV, see below")
    ] = None,
    kind: Annotated[str, typer.Option(help=", ".join(_KINDS))] = "first",
    mode: Annotated[str, typer.Option(help=", ".join(_MODES))] = "ordinary",
    document: Annotated[str, typer.Option("--document", help=", ".join(DOCUMENT_KINDS))] = "resident-id",
    photo: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a JPEG; without one it is brought later")
    ] = None,
    fee: Annotated[str, typer.Option(help=f"how it is paid, where it costs something: {', '.join(_FEES)}")] = "",
    outlet: Annotated[str, typer.Option(help="where the card is collected; by default here")] = "",
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    request_id: RequestIdOption = "",
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Apply for a card; name and numbers are asked for, so that they stand in no history.

    With --file an employer's batch is handed in: line 1 `batch,ID,COUNT`, line 2 the columns (name, number, phone, and if
    wanted document, birth_date, nationality, address, category, resident), then a line a person. A count that differs refuses
    the whole batch; otherwise each line has its own verdict, and what was refused is written to FILE.rejects.csv with its line
    and reason. A batch that was cut off is handed in again with the same file: nothing is done twice.
    """
    for value, known in ((kind, _KINDS), (mode, _MODES), (fee or "cash", _FEES)):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}")
    if file:
        _hand_in(file, outlet, mode, office, window, card_api, certificates)
        return
    person = ask_person(document)
    with window_of(office, window, card_api, certificates) as asked:
        request = messages.SubmitRequest(
            request_id=request_id,
            kind=f"APPLICATION_KIND_{kind.upper()}",
            mode=f"MODE_{mode.upper().replace('-', '_')}",
            route=messages.ROUTE_SELF,
            person=person,
            photo=photo.read_bytes() if photo else b"",
            outlet=outlet,
            fee_source=f"FEE_SOURCE_{fee.upper()}" if fee else None,
        )
        print_application(asked.submit(request))


@app.command("add-photo")
def add_photo(
    application: ApplicationArgument,
    photo: PhotoArgument,
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    request_id: RequestIdOption = "",
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Bring the photo of an application that waits for it."""
    with window_of(office, window, card_api, certificates) as asked:
        print_application(asked.add_photo(application, photo.read_bytes(), request_id=request_id))


@app.command()
def withdraw(
    application: ApplicationArgument,
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    request_id: RequestIdOption = "",
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Take an application back."""
    with window_of(office, window, card_api, certificates) as asked:
        print_application(asked.withdraw(application, request_id=request_id))


@app.command()
def refuse(
    application: ApplicationArgument,
    remark: Annotated[str, typer.Argument(help="what is wrong, for the applicant; no names and no numbers")],
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    request_id: RequestIdOption = "",
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Send an application back to the applicant."""
    with window_of(office, window, card_api, certificates) as asked:
        print_application(asked.refuse(application, remark, request_id=request_id))


@app.command()
def application(
    application: ApplicationArgument,
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """An application with its timeline."""
    with window_of(office, window, card_api, certificates) as asked:
        found = asked.application(application)
    console.print(application_table([found.application]))
    table = table_of("when", "step", "led to", "by")
    for step in found.timeline:
        state = words(messages.ApplicationState.Name(step.state), "APPLICATION_STATE_")
        table.add_row(time_of(step.time_ms), words(step.step, ""), state, step.actor)
    console.print(table)


@app.command("applications")
def list_applications(
    state: Annotated[str, typer.Option(help="applied, at-bank, refused, …; by default all that are open")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="only those that are later than they should be")] = False,
    office: OfficeOption = HALL,
    window: WindowOption = WINDOW,
    card_api: CardApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Applications of this outlet, oldest first."""
    known = [name.removeprefix("APPLICATION_STATE_") for name in messages.ApplicationState.keys()][1:]  # noqa: SIM118
    wanted = state.upper().replace("-", "_")
    if wanted and wanted not in known:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(name.lower().replace('_', '-') for name in known)}")
    with window_of(office, window, card_api, certificates) as asked:
        found = list(asked.list_applications(state=wanted, overdue_only=overdue))
    console.print(application_table(found) if found else "there is none")


def _hand_in(
    file: Path,
    outlet: str,
    mode: str,
    office: str,
    window: str,
    card_api: str | None,
    certificates: Path | None,
) -> None:
    try:
        batch = read_batch(file, outlet)
    except (FormError, UnicodeDecodeError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    header = messages.BatchHeader(mode=f"MODE_{mode.upper().replace('-', '_')}")
    header.MergeFrom(batch.header)
    with window_of(office, window, card_api, certificates) as asked:
        answer = asked.submit_batch(header, _shown(batch))
    console.print(f"batch {batch.header.batch_id}: {answer.accepted:,} accepted, {answer.refused:,} refused")
    if not answer.refused:
        return
    rejects = file.with_suffix(".rejects.csv")
    with rejects.open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(("line", "reason", "field", "message"))
        for verdict in answer.verdicts:
            if verdict.HasField("refusal"):
                refusal = verdict.refusal
                lines.writerow((verdict.row + batch.first_line - 1, refusal.reason, refusal.field, refusal.message))
    console.print(f"what was refused, and why: {rejects}")
    raise typer.Exit(1)


def _shown(batch: Batch) -> Iterator[messages.BatchRow]:
    """The rows, with a bar while they are on their way."""
    with Progress(console=console, transient=True) as bar:
        yield from bar.track(batch.rows, description=f"handing in {len(batch.rows):,} rows")
