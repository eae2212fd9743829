"""Starts the application: lines to the services of the running city, or of whatever was named, and what stands on the desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyotp
import typer

from cli.city.clerks import BUSY_CLERKS, DemoClerk
from cli.city.state import State, read_state
from cli.counter import line_of
from cli.place import Place
from cli.terminal.app import LOCK_SECONDS, Helper, WindowApp
from cli.terminal.demo import demo_devices
from cli.terminal.kiosk_app import KioskApp
from cli.terminal.session import Desk, Devices, Lines
from cli.terminal.texts import LANGUAGES
from sdk.merchant.access import Line
from sdk.window.devices.cups_printer import CupsPrinter
from sdk.window.devices.pcsc import PcscReader
from sdk.window.devices.pdf_printer import PdfPrinter
from sdk.window.devices.reader import CardReader, ReaderError

_CARD: Final = "--card-api"


def start(
    at: Place,
    *,
    payments: str = "",
    issuance: str = "",
    language: str = "zh",
    demo: bool = False,
    printer: str = "",
    lock_seconds: float = LOCK_SECONDS,
) -> None:
    """Until it is quit. Exits with 2 when there is nothing to reach."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"{language!r} is none of {', '.join(LANGUAGES)}", param_hint="--lang")
    city = None if at.api else read_state()
    desk = Desk(
        f"{at.office} / {at.terminal}", lines_of(at, city, payments, issuance), devices_of(at, demo=demo, printer=printer)
    )
    try:
        WindowApp(desk, language, helpers=helpers_of(city) if demo else (), lock_seconds=lock_seconds).run()
    finally:
        desk.close()


def start_kiosk(at: Place, *, language: str = "zh") -> None:
    """For residents, until the machine is switched off."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"{language!r} is none of {', '.join(LANGUAGES)}", param_hint="--lang")
    app = KioskApp(lines_of(at, None if at.api else read_state()).card(), language, place=f"{at.office} / {at.terminal}")
    try:
        app.run()
    finally:
        app.kiosk.close()


def lines_of(at: Place, city: State | None, payments: str = "", issuance: str = "") -> Lines:
    """How a window reaches each service, with its own certificate."""
    folder = at.certificates or (Path(city.certificates) if city else None)

    def dial(api: str) -> Callable[[], Line | None]:
        return lambda: line_of(at._replace(api=api, certificates=folder), _CARD) if api else None

    card = at.api or (city.card_api if city else "")
    payments = payments or (city.api if city else "")
    issuance = issuance or (city.issuance_api if city else "")
    return Lines(lambda: line_of(at._replace(api=card or None, certificates=folder), _CARD), dial(payments), dial(issuance))


def devices_of(at: Place, *, demo: bool, printer: str) -> Devices:
    """Virtual ones for a demo; otherwise what is connected."""
    if demo:
        return demo_devices(at)
    return Devices(_reader(), CupsPrinter(printer) if printer else PdfPrinter())


def helpers_of(city: State | None) -> Sequence[Helper]:
    """Demo clerks who are not at work elsewhere."""
    file = Path(city.clerks) if city else Path()
    if not file.is_file():
        return ()
    clerks = [msgspec.json.decode(line, type=DemoClerk) for line in file.read_text().splitlines()]
    return [
        Helper(clerk.login, clerk.password, pyotp.TOTP(clerk.totp_secret).now)
        for clerk in clerks
        if clerk.login not in BUSY_CLERKS
    ]


def _reader() -> CardReader | None:
    """Whichever is connected when a card is wanted; None: there is no PC/SC here."""
    try:
        return PcscReader()
    except ReaderError:
        return None
