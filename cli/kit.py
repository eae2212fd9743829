"""`onecard kit`: a mobile kit of the city, whose network is away now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli.counter import RequestIdOption, console, in_the_city, said, time_of
from cli.desk import desk_of, table_of
from cli.forms import DOCUMENT_KINDS, ask_person, ask_representative
from cli.place import Place, at_kit
from onecard.card.v1 import applications_pb2 as messages
from sdk.window.kit import Kit, queue_application
from sdk.window.kit_queue import KitQueue, QueueError

app = typer.Typer(
    no_args_is_help=True, help="A mobile kit of the city: what is applied for without a network is queued, sealed."
)

_KINDS = ("first", "reissue", "replace", "temporary")
_ROUTES = ("self", "guardian", "proxy")
_CONSENTS = ("finance", "location", "minor")
_FEES = ("cash", "bank", "purse", "waived")
QueueOption = Annotated[
    Path | None, typer.Option("--queue", metavar="FILE", help="where it is kept; by default beside the kit's certificate")
]


@app.callback()
def kit() -> None:
    """A mobile kit of the city. Somebody signs in with `onecard window sign-in LOGIN --window KIT-1`.

    While there is a network: `get-key`. Without one: `queue`, `list`. With one again: `upload`.
    """


@app.command("get-key")
@at_kit
def get_key(at: Place, file: QueueOption = None) -> None:
    """Keep the service's public key, to which applications are sealed when there is no network."""
    with _queue_of(at, file) as queue, desk_of(Kit, at) as asked:
        key = asked.touch(queue)
    console.print(f"{key.terminal} queues under version {key.version} of the service's key")


@app.command()
@at_kit
def queue(
    at: Place,
    kind: Annotated[str, typer.Option(help=", ".join(_KINDS))] = "first",
    by: Annotated[str, typer.Option(help=f"who brings it: {', '.join(_ROUTES)}")] = "self",
    document: Annotated[str, typer.Option("--document", help=", ".join(DOCUMENT_KINDS))] = "resident-id",
    photo: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a JPEG; without one it is brought later")
    ] = None,
    fee: Annotated[str, typer.Option(help=f"how it is paid, where it costs something: {', '.join(_FEES)}")] = "",
    consent: Annotated[
        list[str] | None, typer.Option(help=f"what is consented to: {', '.join(_CONSENTS)} (a guardian's)")
    ] = None,
    file: QueueOption = None,
    request_id: RequestIdOption = "",
) -> None:
    """Apply without a network: name and numbers are asked for, sealed, and nobody reads them here again.

    What was sent before and not answered is queued with --request-id, so that nothing is done twice.
    """
    for value, known in ((kind, _KINDS), (by, _ROUTES), (fee or "cash", _FEES)):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}")
    if unknown := set(consent or ()).difference(_CONSENTS):
        raise typer.BadParameter(f"there is nothing like {', '.join(sorted(unknown))} to consent to")
    with _queue_of(at, file) as waiting, said():
        if waiting.key() is None:  # before anybody dictates a form
            raise QueueError("这台设备还没有取得离线申领密钥，请先联网执行 onecard kit get-key")
        request = messages.SubmitRequest(
            request_id=request_id,
            kind=f"APPLICATION_KIND_{kind.upper()}",
            mode="MODE_ON_SITE",
            route=f"ROUTE_{by.upper()}",
            person=ask_person(document),
            representative=None if by == "self" else ask_representative(by),
            photo=photo.read_bytes() if photo else b"",
            fee_source=f"FEE_SOURCE_{fee.upper()}" if fee else None,
            consents=[f"CONSENT_KIND_{one.upper()}" for one in consent or ()],
        )
        queued = queue_application(waiting, request)
    console.print(f"queued as {queued.id}; {queued.waiting} wait")


@app.command("list")
@at_kit
def list_queue(at: Place, file: QueueOption = None) -> None:
    """What waits, which nobody here can read, and what became of what was handed in."""
    with _queue_of(at, file) as waiting:
        table = table_of("id", "queued", "what became of it")
        for item in waiting.items():
            table.add_row(item.id, time_of(item.seal_time_ms), "waits")
        for one in waiting.verdicts():
            told = f"{one.message} ({one.reason})" if one.reason else f"application {one.application_id}"
            table.add_row(one.id, time_of(one.seal_time_ms), told)
        console.print(table if table.row_count else "nothing was queued here")


@app.command()
@at_kit
def upload(at: Place, file: QueueOption = None) -> None:
    """Hand in what waits; each has a verdict. The exit status is 1 when something was refused.

    Whom to call about a refused one is said now, and is kept nowhere.
    """
    refused = accepted = 0
    with _queue_of(at, file) as waiting, desk_of(Kit, at) as asked:
        asked.touch(waiting)
        for one in asked.upload(waiting):
            if not one.verdict.reason:
                accepted += 1
                console.print(f"{one.verdict.id}: application {one.verdict.application_id}")
                continue
            refused += 1
            whom = f"; call {one.masked_name} {one.phone}" if one.masked_name else ""
            console.print(f"{one.verdict.id}: [yellow]{one.verdict.message}[/] ({one.verdict.reason}){whom}", soft_wrap=True)
            if one.waits and one.refusal:
                number = one.refusal.approval_id
                console.print(f"  a second person is asked under {number}: onecard window approve {number}; then upload again")
    console.print(f"{accepted} accepted, {refused} not")
    raise typer.Exit(1 if refused else 0)


@contextmanager
def _queue_of(at: Place, file: Path | None) -> Iterator[KitQueue]:
    """The kit's queue; why it cannot be used is said, with exit status 2."""
    folder = in_the_city(at, lambda city: city.card_api).certificates or Path()
    name = f"{quote(at.terminal, safe='')}@{quote(at.office, safe='')}.queue"
    try:
        with KitQueue(file or folder / name) as opened:
            yield opened
    except (QueueError, OSError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None
