"""`python -m simulation …`: the city as files, its cards, its taps."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import start_http_server

from sdk.merchant.access import Access, credentials_in
from sdk.merchant.kafka_security import KafkaSecurity
from simulation.bank import Habits, SimulatedBank, serve
from simulation.city import CITY_CODE
from simulation.example import write_example
from simulation.files import write_files
from simulation.pockets import Pockets
from simulation.registry import Registry
from simulation.taps import Plan, Street
from simulation.troubles import TroubleFile, Troubles

app = typer.Typer(help="A city that lives: riders, lines, canteens, gates.", no_args_is_help=True, add_completion=False)

PocketsOption = Annotated[Path | None, typer.Option(help="File in which the windows note whose card is where.")]
MetricsPort = Annotated[int, typer.Option(min=0, help="Prometheus endpoint on ONECARD_METRICS_HOST, or on loopback; 0: none.")]
TroublesOption = Annotated[Path | None, typer.Option(help="File of what goes wrong on purpose; then nothing else does.")]
Cards = Annotated[int, typer.Option(min=1, help="How many cards the city has.")]


@app.callback()
def main() -> None:
    """A city that lives: riders, lines, canteens, gates."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # The client library repeats itself each second while a broker is away; our own lines say it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@app.command()
def files(out: Annotated[Path, typer.Option(help="Folder for the files.")], cards: Cards = 50_000) -> None:
    """Write registry.jsonl (merchants and terminals) and accounts.csv (accounts with their opening top-up)."""
    write_files(cards, out)


@app.command()
def example(out: Annotated[Path, typer.Option(help="The file.")], taps: Annotated[int, typer.Option(min=1)] = 3000) -> None:
    """Write an example file of transactions for `onecard merchant emit`."""
    write_example(out, taps)


@app.command()
def registry(cards: Cards = 50_000) -> None:
    """Publish the states of all cards to card.events, then what happens to them, with a heartbeat each second."""
    stopping, _ = _signals()
    Registry(_bootstrap(), cards, _security()).run(stopping)


@app.command()
def taps(
    spools: Annotated[Path, typer.Option(help="Folder of the terminals' spools.")],
    rate: Annotated[float, typer.Option(min=0, help="Taps a second.")] = 200.0,
    cards: Cards = 50_000,
    seconds: Annotated[float | None, typer.Option(help="Stop by itself after so long.")] = None,
    faults: Annotated[float, typer.Option(min=0, max=1, help="Which part of the taps is bad on purpose.")] = 0.002,
    offline_every: Annotated[float, typer.Option(min=1, help="A validator loses coverage every so many seconds.")] = 60.0,
    linger_ms: Annotated[int, typer.Option(min=0, help="How long producers gather; 0: what suits ONECARD_BROKER.")] = 0,
    pockets: PocketsOption = None,
    troubles: TroublesOption = None,
    metrics_port: Annotated[
        int, typer.Option(min=0, help="Prometheus endpoint on ONECARD_METRICS_HOST, or loopback; 0: none.")
    ] = 0,
    seed: Annotated[int | None, typer.Option(help="Repeat the same doings.")] = None,
) -> None:
    """Tap until SIGTERM; then wait for the outcomes, at most 50 s. A second SIGTERM does not wait."""
    stopping, leaving = _signals()
    _show_metrics(metrics_port)
    linger_ms = linger_ms or (100 if os.environ.get("ONECARD_BROKER") == "tansu" else 30)
    plan = Plan(cards, rate, faults, offline_every, linger_ms, pockets, troubles, seed)
    Street(_bootstrap(), _access(), spools, plan, _card_access(), _security()).run(stopping, leaving, seconds)


@app.command()
def bank(
    inbox: Annotated[Path, typer.Option(help="Folder of the files of applications.")],
    outbox: Annotated[Path, typer.Option(help="Folder for the returns.")],
    troubles: TroublesOption = None,
    seed: Annotated[int, typer.Option(help="Repeat the same doings.")] = 1,
) -> None:
    """Answer files of applications as a bank does: late, twice, in part, wrongly; until SIGTERM."""

    def bank_of_now() -> SimulatedBank:
        if troubles is None:
            return SimulatedBank(seed, Habits())
        return SimulatedBank(seed, Habits(wrong=0, late=0, miscounted=float(TroubleFile(troubles).read().bank_miscounts)))

    stopping, _ = _signals()
    serve(bank_of_now, inbox, outbox, stopping)


@app.command()
def sms(
    listen: Annotated[str, typer.Option(help="host:port on this machine.")] = "127.0.0.1:0",
    metrics_port: Annotated[
        int, typer.Option(min=0, help="Prometheus endpoint on ONECARD_METRICS_HOST, or loopback; 0: none.")
    ] = 0,
    seed: Annotated[int | None, typer.Option(help="Repeat the same moods.")] = None,
) -> None:
    """Take short messages as a gateway does, and send none, until SIGTERM; ONECARD_TLS_… name its certificate."""
    from simulation.sms import Moods, SimulatedGateway, start  # noqa: PLC0415

    stopping, _ = _signals()
    _show_metrics(metrics_port)
    names = [os.environ.get(f"ONECARD_TLS_{what}") for what in ("CERTIFICATE", "KEY", "AUTHORITY")]
    certificate, key, authority = (Path(name) if name else None for name in names)
    files = (certificate, key, authority) if certificate and key and authority else None
    if files is None and listen.rpartition(":")[0] not in ("127.0.0.1", "localhost"):
        raise typer.BadParameter("numbers go in plain text to 127.0.0.1 alone: set ONECARD_TLS_…")
    server, _ = start(SimulatedGateway(Moods(), seed), listen, files)
    stopping.wait()
    server.stop(1).wait()


@app.command()
def windows(
    clerks: Annotated[Path, typer.Option(help="File of the clerks, with everything that it takes to sign in.")],
    pockets: Annotated[Path, typer.Option(help="File in which it is noted whose card is where.")],
    plastic: Annotated[Path, typer.Option(help="Folder of the cards and the tills.")],
    factory: Annotated[Path, typer.Option(help="File of the factory's keys.")],
    chip_ms: Annotated[float, typer.Option(min=0, help="How long a chip takes for a command.")] = 2.0,
    metrics_port: Annotated[
        int, typer.Option(min=0, help="Prometheus endpoint on ONECARD_METRICS_HOST, or loopback; 0: none.")
    ] = 0,
    troubles: TroublesOption = None,
    seed: Annotated[int | None, typer.Option(help="Repeat the same doings.")] = None,
) -> None:
    """Serve residents at windows and with mobile kits until SIGTERM; then count and close the shifts."""
    from simulation.chips.drawer import Drawer  # noqa: PLC0415 - pictures and ciphers take their time to import
    from simulation.chips.factory import Factory  # noqa: PLC0415
    from simulation.chips.kind import read_kinds  # noqa: PLC0415
    from simulation.clerks import read_clerks  # noqa: PLC0415
    from simulation.desk import Addresses, Office  # noqa: PLC0415
    from simulation.storeroom import Storeroom  # noqa: PLC0415
    from simulation.tills import Tills  # noqa: PLC0415
    from simulation.windows import CityHall  # noqa: PLC0415

    stopping, leaving = _signals()
    _show_metrics(metrics_port)
    names = ("CARD_API", "API", "ISSUANCE_API", "CERTIFICATES")
    try:
        card, payments, issuance, folder = (os.environ[f"ONECARD_{name}"] for name in names)
    except KeyError:
        wanted = ", ".join(f"ONECARD_{name}" for name in names)
        raise typer.BadParameter(f"set {wanted}: host:port each, and the folder of the certificates") from None
    drawer = Drawer(plastic / "cards")
    office = Office(Addresses(card, payments, issuance), Path(folder), drawer, Tills(plastic / "tills.jsonl"), chip_ms / 1000)
    storeroom = Storeroom(Factory.keep(factory, CITY_CODE), read_kinds()["ssc3"], drawer)
    told = TroubleFile(troubles).read if troubles else Troubles
    CityHall(office, storeroom, read_clerks(clerks), Pockets(pockets), seed, told).run(stopping, leaving)


@app.command()
def factory_keys(out: Annotated[Path, typer.Option(help="The file; what is there already stays.")]) -> None:
    """Draw the keys that a city and its factory share: the transport key of blanks, and the one of card identifiers."""
    from simulation.chips.factory import Factory  # noqa: PLC0415

    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Factory.keep(out, CITY_CODE)


def _signals() -> tuple[threading.Event, threading.Event]:
    """Events set by the first and by the second SIGTERM or SIGINT."""
    stopping, leaving = threading.Event(), threading.Event()

    def heard(_: int, __: object) -> None:
        if stopping.is_set():
            leaving.set()
        stopping.set()

    signal.signal(signal.SIGTERM, heard)
    signal.signal(signal.SIGINT, heard)
    return stopping, leaving


def _show_metrics(port: int) -> None:
    if port:
        start_http_server(port, addr=os.environ.get("ONECARD_METRICS_HOST") or "127.0.0.1")


def _bootstrap() -> str:
    bootstrap = os.environ.get("ONECARD_KAFKA")
    if not bootstrap:
        raise typer.BadParameter("set ONECARD_KAFKA to the broker's host:port")
    return bootstrap


def _security() -> KafkaSecurity:
    try:
        security = KafkaSecurity.from_environment()
        security.arguments(_bootstrap())
    except ValueError as error:
        raise typer.BadParameter(f"ONECARD_KAFKA_…: {error}") from None
    return security


def _card_access() -> Access | None:
    """Where validators get their hotlist; None: they have none."""
    address, folder = os.environ.get("ONECARD_CARD_API"), os.environ.get("ONECARD_CERTIFICATES")
    return Access(address, credentials_in(Path(folder)) if folder else None) if address else None


def _access() -> Access:
    address, folder = os.environ.get("ONECARD_API"), os.environ.get("ONECARD_CERTIFICATES")
    if not address:
        raise typer.BadParameter("set ONECARD_API to the API's host:port, and ONECARD_CERTIFICATES to the merchants' folder")
    try:
        return Access(address, credentials_in(Path(folder)) if folder else None)
    except ValueError as error:
        raise typer.BadParameter(f"ONECARD_CERTIFICATES is not set, and {error}") from None


if __name__ == "__main__":
    app()
