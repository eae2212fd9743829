"""Forms of a window: asked for on the screen, so that no name stands in a command's history."""

from __future__ import annotations

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
_SILENT: Final = frozenset({"passport", "hk-macau-travel", "taiwan-travel"})
"""Their numbers state no birth date."""
RELATIONS: Final = tuple(name.removeprefix("RELATION_").lower() for name in messages.Relation.keys())[1:]  # noqa: SIM118


def ask_document(kind: str) -> messages.Document:
    """The number of a document, of a passport the country, too, asked for on the screen."""
    if kind not in DOCUMENT_KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of document; there are {', '.join(DOCUMENT_KINDS)}")
    document = messages.Document(kind=DOCUMENT_KINDS[kind], number=typer.prompt("document number"))
    if kind == "passport":
        document.issuing_country = typer.prompt("issuing country, as GBR")
    return document


def ask_birth_date(kind: str) -> str:
    """Asked for where the document's number does not state it."""
    return typer.prompt("birth date, as 1950-12-31") if kind in _SILENT else ""


def ask_person(kind: str) -> messages.Person:
    """A person, asked for field by field."""
    return messages.Person(
        document=ask_document(kind),
        name=typer.prompt("name"),
        birth_date=ask_birth_date(kind),
        nationality=typer.prompt("nationality, as 01 or GBR", default="01"),
        phone=typer.prompt("mobile number"),
    )


def ask_representative(by: str) -> messages.Representative:
    """Who acts for the holder, and the papers that were shown."""
    typer.echo(f"who acts for the holder ({by})")
    relation = typer.prompt(f"relation: {', '.join(RELATIONS)}", default="parent" if by == "guardian" else "agent")
    if relation not in RELATIONS:
        raise typer.BadParameter(f"{relation!r} is none of {', '.join(RELATIONS)}")
    kind = typer.prompt(f"document: {', '.join(DOCUMENT_KINDS)}", default="resident-id")
    return messages.Representative(
        relation=f"RELATION_{relation.upper()}",
        document=ask_document(kind),
        name=typer.prompt("name"),
        birth_date=ask_birth_date(kind),
        papers=[typer.prompt("papers that were shown, as 委托书")],
    )
