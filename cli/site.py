"""`onecard merchant slots`, `reserve` and `cancel`: places of sites that take so many visitors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from cli.counter import CardArgument, console, in_the_city, line_of, said, tell
from cli.place import Place, at_site
from sdk.merchant.files import CITY_TIME
from sdk.till.receipt import Receipt
from sdk.till.reservations import Reservations

app = typer.Typer()

_TIME = "%Y-%m-%d %H:%M"


@app.command()
@at_site
def slots(
    at: Place,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the first day; today by default")] = None,
    days: Annotated[int, typer.Option(min=1, max=31, help="how many days")] = 1,
) -> None:
    """Show the slots of a site, and what is left of their places.

    Example, while a city runs in another terminal: onecard merchant slots --days 3
    """
    with _desk(at) as desk:
        listed = desk.slots(day.date() if day else None, days)
    if not listed:
        typer.echo(f"{at.office} takes as many as come: its tariff has no quota")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("begins", no_wrap=True)
    table.add_column("ends", no_wrap=True)
    for column in ("places", "reserved", "taken", "free"):
        table.add_column(column, justify="right", no_wrap=True)
    for slot in listed:
        begins, ends = (datetime.fromtimestamp(ms / 1000, CITY_TIME) for ms in (slot.begin_time_ms, slot.end_time_ms))
        figures = (f"{figure:,}" for figure in (slot.places, slot.reserved, slot.taken, slot.free))
        table.add_row(begins.strftime(_TIME), ends.strftime(_TIME), *figures)
    console.print(table)


@app.command()
@at_site
def reserve(
    place: Place,
    card: CardArgument,
    at: Annotated[datetime, typer.Option(formats=[_TIME], help="when the slot begins, in the city's time")],
    places: Annotated[int, typer.Option(min=1, help="for the holder and companions")] = 1,
) -> None:
    """Keep places of a slot for a card's holder. The exit status is 1 where there is none left.

    Example: onecard merchant reserve 440700D1000000000000000000000002 --at "2026-12-01 08:00"
    """
    begins_ms = int(at.replace(tzinfo=CITY_TIME).timestamp() * 1000)
    with _desk(place) as desk:
        _tell(desk.reserve(card, begins_ms, places), "reserved")


@app.command()
@at_site
def cancel(
    at: Place,
    reservation: Annotated[str, typer.Argument(metavar="ID", help="as `reserve` said it, or the request id that asked for it")],
) -> None:
    """Let a reservation go. The exit status is 1 where it was used already, or has run out."""
    with _desk(at) as desk:
        _tell(desk.cancel(reservation), "cancelled")


def _tell(receipt: Receipt, done: str) -> None:
    if not receipt.approved:
        typer.echo(receipt.message, err=True)
        raise typer.Exit(1)
    typer.echo(f"{done}: {receipt.payment_id}")


@contextmanager
def _desk(at: Place) -> Iterator[Reservations]:
    """A site's desk of the running city, or of whatever was named. What goes wrong is said, with what to do next."""
    line = line_of(in_the_city(at, lambda city: city.api), "--api")
    with said(), Reservations(line, trouble=tell) as desk:
        yield desk
