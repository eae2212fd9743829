"""An employer's batch: its file (docs/employer-files.md), handed in at a window, its photos brought, and what was refused."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.counter import console
from cli.forms import DOCUMENT_KINDS
from onecard.card.v1 import applications_pb2 as messages
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError, TillError
from sdk.window.window import Window

COLUMNS: Final = (
    "name",
    "number",
    "phone",
    "document",
    "issuing_country",
    "valid_until",
    "birth_date",
    "nationality",
    "address",
    "category",
    "resident",
    "photo",
)
_NEEDED: Final = COLUMNS[:3]
_YES: Final = ("1", "yes", "true", "是")
_LOOK_SECONDS: Final = 0.5
_PHOTOS_AT_ONCE: Final = 4


class FormError(ValueError):
    """A file that is no batch; the message names the line, and nothing that stands there."""


class Row(NamedTuple):
    """A person of the file, and the line where it stands."""

    line: int
    message: messages.BatchRow
    photo: Path | None


class Reject(NamedTuple):
    """A line that was refused."""

    line: int
    reason: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """An employer's batch, read from a file."""

    batch_id: str
    count: int
    """As its first line says."""
    rows: Sequence[Row]


def read_batch(path: Path) -> Batch:
    """The batch of a file. Raises FormError."""
    lines = csv.reader(io.StringIO(_text_of(path), newline=""))
    header = [field.strip() for field in next(lines, [])]
    if len(header) < 3 or header[0] != "batch" or not header[2].isdecimal():
        raise FormError(f"{path}, line 1: `batch,ID,COUNT` is wanted, as in batch,WORKS-2026-11,250")
    columns = [name.strip() for name in next(lines, [])]
    if unknown := set(columns) - set(COLUMNS):
        raise FormError(f"{path}, line 2: there is no column {sorted(unknown)[0]!r}; there are {', '.join(COLUMNS)}")
    if missing := set(_NEEDED) - set(columns):
        raise FormError(f"{path}, line 2: the column {sorted(missing)[0]!r} is missing")
    return Batch(header[1], int(header[2]), list(_rows(path, lines, columns)))


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FormError(f"{path} is neither UTF-8 nor GB18030")


def _rows(path: Path, lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[Row]:
    number = 0
    while True:
        line = lines.line_num + 1  # type: ignore[attr-defined]  # where the next one begins; a field may hold line breaks
        fields = next(lines, None)
        if fields is None:
            return
        if not any(fields):
            continue
        if len(fields) != len(columns):
            raise FormError(f"{path}, line {line}: {len(columns)} fields are wanted, {len(fields)} found")
        number += 1
        said = dict(zip(columns, (field.strip() for field in fields), strict=True))
        photo = path.parent / said["photo"] if said.get("photo") else None
        if photo and not photo.is_file():
            raise FormError(f"{path}, line {line}: there is no such photo")
        yield Row(line, _message(number, said), photo)


def _message(number: int, said: dict[str, str]) -> messages.BatchRow:
    # A kind that there is not is for the service to refuse, like any other wrong field of one row.
    kind = DOCUMENT_KINDS.get(said.get("document") or "resident-id", messages.DOCUMENT_KIND_UNSPECIFIED)
    shown = {field: said.get(field, "") for field in ("number", "valid_until", "issuing_country")}
    person = messages.Person(
        document=messages.Document(kind=kind, **shown),
        **{field: said.get(field, "") for field in ("name", "birth_date", "nationality", "phone", "address")},
    )
    resident = said.get("resident", "").lower() in _YES
    return messages.BatchRow(row=number, person=person, category=said.get("category", ""), resident=resident)


def hand_in(window: Window, path: Path, outlet: str, mode: str) -> None:
    """Hand a file in and bring its photos; exits with 1 when something was refused, and then has written what, and why."""
    try:
        batch = read_batch(path)
    except FormError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
    with _bar() as bar:
        try:
            answer = _submit(window, batch, messages.BatchHeader(mode=mode, outlet=outlet), bar)
            faults = list(_bring_photos(window, batch, answer.verdicts, bar))
        except OutcomeUnknownError as error:
            typer.echo(f"{error}\nhand the same file in again: what has a verdict keeps it", err=True)
            raise typer.Exit(3) from None
    console.print(f"batch {batch.batch_id}: {answer.accepted:,} accepted, {answer.refused:,} refused")
    for one in answer.verdicts:
        if one.not_carried_by:
            beyond = ", ".join(carrier.lower().replace("_", " ") for carrier in one.not_carried_by)
            console.print(f"[yellow]line {batch.rows[one.row - 1].line}: the name is more than {beyond} can carry[/]")
    if brought := sum(row.photo is not None for row in batch.rows):
        console.print(f"{brought:,} photos, of which {len(faults):,} were refused; such applications wait for another one")
    refused = (
        Reject(batch.rows[one.row - 1].line, one.refusal.reason, one.refusal.field, one.refusal.message)
        for one in answer.verdicts
        if one.HasField("refusal")
    )
    rejects = sorted([*refused, *faults])
    file = path.with_suffix(".rejects.csv")
    file.unlink(missing_ok=True)  # of an earlier attempt
    if rejects:
        _write_rejects(file, rejects)
        console.print(f"what was refused, and why: {file}")
        raise typer.Exit(1)


def _submit(window: Window, batch: Batch, header: messages.BatchHeader, bar: Progress) -> messages.SubmitBatchResponse:
    header.batch_id, header.rows = batch.batch_id, batch.count
    task = bar.add_task("rows decided", total=len(batch.rows))
    with ThreadPoolExecutor(1) as beside:
        handed = beside.submit(window.submit_batch, header, [row.message for row in batch.rows])
        while not wait([handed], _LOOK_SECONDS).done:
            bar.update(task, completed=_decided(window, batch.batch_id))
        answer = handed.result()
    bar.update(task, completed=len(answer.verdicts))
    return answer


def _decided(window: Window, batch_id: str) -> int:
    """How many rows have a verdict, as far as that can be heard while they are being decided."""
    try:
        return window.batch(batch_id, page_size=1).decided
    except TillError:  # it has not begun yet
        return 0


def _bring_photos(window: Window, batch: Batch, verdicts: Iterable[messages.BatchVerdict], bar: Progress) -> Iterator[Reject]:
    """Each under an id that follows from what is brought, so that a second attempt brings nothing twice."""
    accepted = [(batch.rows[one.row - 1], one.application_id) for one in verdicts if not one.HasField("refusal")]
    wanted = [(row, row.photo, application) for row, application in accepted if row.photo]
    if not wanted:
        return
    task = bar.add_task("photos", total=len(wanted))

    def bring(row: Row, photo: Path, application: int) -> Reject | None:
        jpeg = photo.read_bytes()
        request_id = f"P-{hashlib.sha256(f'{application}'.encode() + jpeg).hexdigest()[:40]}"
        try:
            refusal = window.add_photo(application, jpeg, request_id=request_id).refusal
        except NotAcceptedError as error:
            return Reject(row.line, error.reason, "photo", error.message)
        finally:
            bar.advance(task)
        if refusal is None:
            return None
        faults = "；".join(f"{fault.message}（{fault.measured}，要求{fault.demanded}）" for fault in refusal.photo_faults)
        return Reject(row.line, refusal.reason, "photo", faults or refusal.message)

    with ThreadPoolExecutor(_PHOTOS_AT_ONCE) as threads:
        yield from (reject for reject in threads.map(bring, *zip(*wanted, strict=True)) if reject)


def _write_rejects(file: Path, rejects: Iterable[Reject]) -> None:
    """With the mark by which spreadsheets know UTF-8; numbers and reasons alone, no person."""
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(Reject._fields)
        lines.writerows(rejects)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
