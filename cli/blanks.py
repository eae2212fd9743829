"""`onecard blanks`: blanks from the supplier's delivery to the holder's hand, or into the shredder."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli.counter import RequestIdOption, console, time_of
from cli.desk import desk_of, table_of, words
from cli.place import Place, at_issuance
from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.issuance_pb2 import Refusal
from sdk.window.blanks import Blanks, BlanksAnswer

app = typer.Typer(no_args_is_help=True, help="Blank cards: receive, assign, transfer, spoil, take back, destroy.")

SerialArgument = Annotated[str, typer.Argument(metavar="SERIAL", help="as printed on the plastic")]
SerialsArgument = Annotated[list[str], typer.Argument(metavar="SERIAL…", help="as printed on the plastic")]
FirstArgument = Annotated[str, typer.Argument(metavar="FIRST", help="the first serial")]
LastArgument = Annotated[str, typer.Argument(metavar="[LAST]", help="the last one; by default FIRST alone", show_default=False)]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="PLACE", help="DEPOT, a window or kit of this office (WINDOW-2), or a certificate's subject")
]
IncidentOption = Annotated[str, typer.Option("--incident", help="the number of the incident")]


@app.command()
@at_issuance
def receive(
    at: Place,
    file: Annotated[Path, typer.Argument(help="the supplier's delivery file", exists=True, dir_okay=False)],
    request_id: RequestIdOption = "",
) -> None:
    """Take a box into the depot, whole or not at all. Everything that is wrong with its file is said by line."""
    with desk_of(Blanks, at) as asked:
        delivered = asked.receive(file.read_bytes(), request_id=request_id)
    for fault in delivered.faults:
        console.print(f"[yellow]{fault.message}[/] ({fault.reason}{f', {fault.serial}' if fault.serial else ''})")
    print_moved(delivered.moved, f"received into box {delivered.box}, {delivered.product}")


@app.command()
@at_issuance
def assign(
    at: Place, first: FirstArgument, last: LastArgument, place: PlaceArgument, request_id: RequestIdOption = ""
) -> None:  # fmt: skip
    """From the depot into the hands of a window or a kit."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.assign(first, last, place_of(at, place), request_id=request_id), f"assigned to {place}")


@app.command()
@at_issuance
def transfer(
    at: Place, first: FirstArgument, last: LastArgument, place: PlaceArgument, request_id: RequestIdOption = ""
) -> None:  # fmt: skip
    """Give some away from this window. They arrive when somebody there confirms it."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.transfer(first, last, place_of(at, place), request_id=request_id), f"on their way to {place}")


@app.command("confirm-transfer")
@at_issuance
def confirm_transfer(at: Place, first: FirstArgument, last: LastArgument = "", request_id: RequestIdOption = "") -> None:
    """They have arrived here; a keeper says so for the depot, too."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.confirm_transfer(first, last, request_id=request_id), "arrived")


@app.command("take-back")
@at_issuance
def take_back(at: Place, first: FirstArgument, last: LastArgument = "", request_id: RequestIdOption = "") -> None:
    """Take spoiled or unused ones back to the depot."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.take_back(first, last, request_id=request_id), "back at the depot")


@app.command()
@at_issuance
def spoil(
    at: Place,
    serial: SerialArgument,
    reason: Annotated[str, typer.Option("--reason", help="what is wrong with it; no names")],
    request_id: RequestIdOption = "",
) -> None:
    """Good for nothing. A second person signs: give the same command again with its --request-id then."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.spoil(serial, reason, request_id=request_id), "spoiled")


@app.command()
@at_issuance
def destroy(at: Place, serials: SerialsArgument, request_id: RequestIdOption = "") -> None:
    """Into the shredder, by two people: give the same command again with its --request-id once the second has signed."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.destroy(serials, request_id=request_id), "destroyed")


@app.command("report-missing")
@at_issuance
def report_missing(at: Place, serials: SerialsArgument, incident: IncidentOption, request_id: RequestIdOption = "") -> None:
    """Not where they should be: they make no card any more. A second person signs."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.report_missing(serials, incident, request_id=request_id), "missing")


@app.command("report-found")
@at_issuance
def report_found(at: Place, serials: SerialsArgument, incident: IncidentOption, request_id: RequestIdOption = "") -> None:
    """Found again: they go back to the depot, to be destroyed. A second person signs."""
    with desk_of(Blanks, at) as asked:
        print_moved(asked.report_found(serials, incident, request_id=request_id), "found, back at the depot")


@app.command()
@at_issuance
def stock(
    at: Place, place: Annotated[str, typer.Option("--at", help="a place; by default everywhere")] = ""
) -> None:  # fmt: skip
    """How many there are, by place, product and state."""
    with desk_of(Blanks, at) as asked:
        found = asked.count_stock(place_of(at, place) if place else "")
    table = table_of("place", "product", "state", "count")
    for one in found:
        table.add_row(one.place, one.product, state_of(one.state), str(one.count))
    console.print(table)


@app.command("list")
@at_issuance
def list_blanks(
    at: Place,
    place: Annotated[str, typer.Option("--at", help="a place; by default this window")] = "",
    state: Annotated[str, typer.Option("--state", help="assigned, spoiled, printed, …; by default all")] = "",
) -> None:
    """Blanks at a place."""
    if state and f"BLANK_STATE_{state.upper()}" not in dict(messages.BlankState.items()):
        raise typer.BadParameter(f"{state!r} is no state of a blank")
    with desk_of(Blanks, at) as asked:
        found = list(asked.list_blanks(place=place_of(at, place) if place else "", state=state))
    table = table_of("serial", "product", "state", "place", "application", "note")
    for one in found:
        note = "barred" if one.barred else f"to {one.destination}" if one.destination else ""
        table.add_row(one.serial, one.product, state_of(one.state), one.place, str(one.application_id or ""), note)
    console.print(table)


@app.command()
@at_issuance
def show(at: Place, serial: SerialArgument) -> None:
    """One blank, with all that happened to it."""
    with desk_of(Blanks, at) as asked:
        answer = asked.get_blank(serial)
    blank = answer.blank
    console.print(f"{blank.serial}, {blank.product}, box {blank.box}: {state_of(blank.state)} at {blank.place}")
    table = table_of("time", "what", "state", "place", "by", "reason")
    for entry in answer.entries:
        by = " + ".join(str(staff) for staff in (entry.staff_id, entry.second_staff_id) if staff)
        table.add_row(time_of(entry.time_ms), entry.what, state_of(entry.to_state), entry.place, by, entry.reason)
    console.print(table)


def place_of(at: Place, name: str) -> str:
    """WINDOW-2 is a terminal of the same office."""
    if name == "DEPOT" or name.startswith("onecard://"):
        return name
    return f"onecard://merchant/{quote(at.office, safe='')}/terminal/{quote(name, safe='')}"


def state_of(state: "messages.BlankState") -> str:
    """As people write it."""
    return words(messages.BlankState.Name(state), "BLANK_STATE_")


def print_moved(answer: BlanksAnswer, what: str) -> None:
    """How many; the exit status is 1 when none was moved."""
    if answer.refusal:
        for serial in answer.serials:
            console.print(f"  {serial}")
        print_no(answer.refusal, answer.countersignature_id, answer.request_id)
    console.print(f"{answer.count} {what}")


def print_no(refusal: Refusal, countersignature: int, request_id: str) -> None:
    """Why it was not done, and what to do next; exits with 1."""
    console.print(f"[yellow]{refusal.message}[/] ({refusal.reason})")
    if countersignature:
        console.print(f"a second person signs under {countersignature}: onecard countersign sign {countersignature}")
        console.print(f"then give the same command again with --request-id {request_id}")
    raise typer.Exit(1)
