"""Forms of a window: asked for on the screen or read from a file, so that no name stands in a command's history."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from onecard.card.v1 import applications_pb2 as messages

DOCUMENT_KINDS: Final = {
    "resident-id": messages.DOCUMENT_KIND_RESIDENT_ID,
    "household-register": messages.DOCUMENT_KIND_HOUSEHOLD_REGISTER,
    "hk-macau-residence": messages.DOCUMENT_KIND_HK_MACAU_RESIDENCE_PERMIT,
    "taiwan-residence": messages.DOCUMENT_KIND_TAIWAN_RESIDENCE_PERMIT,
    "foreign-residence": messages.DOCUMENT_KIND_FOREIGN_PERMANENT_RESIDENCE,
    "hk-macau-travel": messages.DOCUMENT_KIND_HK_MACAU_TRAVEL_PERMIT,
    "taiwan-travel": messages.DOCUMENT_KIND_TAIWAN_TRAVEL_PERMIT,
    "passport": messages.DOCUMENT_KIND_PASSPORT,
}
COLUMNS: Final = ("name", "document", "number", "birth_date", "nationality", "phone", "address", "category", "resident")
_NEEDED: Final = ("name", "number", "phone")


class FormError(ValueError):
    """A file that is no batch; the message names the line."""


def ask_document(kind: str) -> messages.Document:
    """The number of a document, asked for on the screen."""
    if kind not in DOCUMENT_KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of document; there are {', '.join(DOCUMENT_KINDS)}")
    return messages.Document(kind=DOCUMENT_KINDS[kind], number=typer.prompt("document number"))


def ask_person(kind: str) -> messages.Person:
    """A person, asked for field by field."""
    document = ask_document(kind)
    stated = kind in ("passport", "hk-macau-travel", "taiwan-travel")
    return messages.Person(
        document=document,
        name=typer.prompt("name"),
        birth_date=typer.prompt("birth date, as 1950-12-31") if stated else "",
        nationality=typer.prompt("nationality, as 01 or GBR", default="01"),
        phone=typer.prompt("mobile number"),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """An employer's batch, read from a file."""

    header: messages.BatchHeader
    rows: list[messages.BatchRow]
    first_line: int
    """The line of the first row, for people who look into the file."""


def read_batch(path: Path, outlet: str) -> Batch:
    """A CSV file in UTF-8: `batch,ID,COUNT`, then the names of the columns, then a line a person. Raises FormError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if len(header) < 3 or header[0] != "batch" or not header[2].strip().isdecimal():
            raise FormError(f"{path}, line 1: `batch,ID,COUNT` is wanted, as in batch,WORKS-2026-11,250")
        columns = [name.strip() for name in next(lines, [])]
        if unknown := set(columns) - set(COLUMNS):
            raise FormError(f"{path}, line 2: there is no column {sorted(unknown)[0]!r}; there are {', '.join(COLUMNS)}")
        if missing := set(_NEEDED) - set(columns):
            raise FormError(f"{path}, line 2: the column {sorted(missing)[0]!r} is missing")
        rows = list(_rows(path, lines, columns))
    wanted = messages.BatchHeader(batch_id=header[1].strip(), rows=int(header[2]), outlet=outlet)
    return Batch(wanted, rows, 3)


def _rows(path: Path, lines: Iterator[list[str]], columns: list[str]) -> Iterator[messages.BatchRow]:
    for number, line in enumerate(lines, 1):
        if len(line) != len(columns):
            raise FormError(f"{path}, line {number + 2}: {len(columns)} fields are wanted, {len(line)} found")
        said = dict(zip(columns, line, strict=True))
        kind = said.get("document") or "resident-id"
        if kind not in DOCUMENT_KINDS:
            raise FormError(f"{path}, line {number + 2}: there is no kind of document {kind!r}")
        yield messages.BatchRow(
            row=number,
            person=messages.Person(
                document=messages.Document(kind=DOCUMENT_KINDS[kind], number=said["number"]),
                name=said["name"],
                birth_date=said.get("birth_date", ""),
                nationality=said.get("nationality", ""),
                phone=said["phone"],
                address=said.get("address", ""),
            ),
            category=said.get("category", ""),
            resident=said.get("resident", "") in ("1", "yes", "true", "是"),
        )
