"""`onecard merchant slots`, `reserve` and `cancel`: places of sites that take so many visitors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.merchant.api import ApiOption, CertificatesOption, access_to
from sdk.merchant.files import CITY_TIME
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.till.receipt import Receipt
from sdk.till.reservations import Reservations

SiteOption = Annotated[str, typer.Option("--merchant", metavar="MERCHANT", help="the site")]
_SITE = "SITE-GARDEN"
_TIME = "%Y-%m-%d %H:%M"


def slots(
    merchant: SiteOption = _SITE,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the first day; today by default")] = None,
    days: Annotated[int, typer.Option(min=1, max=31, help="how many days")] = 1,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Show the slots of a site, and what is left of their places.

    Example, while a city runs in another terminal: onecard merchant slots --days 3
    """
    with _desk(merchant, api, certificates) as desk:
        listed = desk.slots(day.date() if day else None, days)
    if not listed:
        typer.echo(f"{merchant} takes as many as come: its tariff has no quota")
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
    Console().print(table)


def reserve(
    card: Annotated[str, typer.Argument(metavar="CARD", help="卡识别码 of the card whose holder comes")],
    at: Annotated[datetime, typer.Option(formats=[_TIME], help="when the slot begins, in the city's time")],
    places: Annotated[int, typer.Option(min=1, help="for the holder and companions")] = 1,
    merchant: SiteOption = _SITE,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Keep places of a slot for a card's holder. The exit status is 1 where there is none.

    Example: onecard merchant reserve 440700D1000000000000000000000002 --at "2026-12-01 08:00"
    """
    begins_ms = int(at.replace(tzinfo=CITY_TIME).timestamp() * 1000)
    with _desk(merchant, api, certificates) as desk:
        _tell(desk.reserve(card, begins_ms, places), "reserved")


def cancel(
    reservation: Annotated[str, typer.Argument(metavar="ID", help="as `reserve` said it, or the request id that asked for it")],
    merchant: SiteOption = _SITE,
    api: ApiOption = None,
    certificates: CertificatesOption = None,
) -> None:
    """Let a reservation go. The exit status is 1 where it was used already, or has run out."""
    with _desk(merchant, api, certificates) as desk:
        _tell(desk.cancel(reservation), "cancelled")


def _tell(receipt: Receipt, done: str) -> None:
    if not receipt.approved:
        typer.echo(receipt.message, err=True)
        raise typer.Exit(1)
    typer.echo(f"{done}: {receipt.payment_id}")


@contextmanager
def _desk(merchant: str, api: str | None, certificates: Path | None) -> Iterator[Reservations]:
    access = access_to(api, certificates)
    if access is None:
        typer.echo(
            "no city runs here: start one with `onecard city run`, or name the API with --api HOST:PORT --certificates FOLDER",
            err=True,
        )
        raise typer.Exit(2)

    def asked_again(trouble: str) -> None:
        typer.echo(f"asked again: {trouble}", err=True)

    try:
        with Reservations(access.connect(merchant), trouble=asked_again) as desk:
            yield desk
    except (NotAcceptedError, OutcomeUnknownError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
