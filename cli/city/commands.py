"""`onecard city`: a city on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from cli import paths
from cli.backup.tools import BackupError
from cli.city.city import Plan
from cli.city.clerks import clerk_table
from cli.city.drill import run_drill
from cli.city.faults.run import run_faults
from cli.city.faults.table import chosen, fault_grid
from cli.city.foreground import run_kafka
from cli.city.run import run_city
from cli.city.state import read_runner, read_state
from cli.servers.broker import choose
from cli.servers.child import ServerFailedError
from cli.servers.mark import end, end_leftovers
from cli.servers.postgres import remove_postgres
from cli.servers.quarters import outside_of
from deploy.prometheus.alerts import read_alerts

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="A small city on this machine.")


@app.command()
def run(
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=1, help="tap for so long, then reconcile and end")
    ] = None,
    cards: Annotated[int, typer.Option(min=1, help="how many cards the city has")] = 50_000,
    rate: Annotated[float, typer.Option(min=0.1, help="taps a second")] = 500,
    workers: Annotated[int, typer.Option(min=1, max=12, help="stream workers")] = 2,
    broker: Annotated[
        str,
        typer.Option(
            envvar="BROKER",
            help="tansu: in memory, nothing else needed; kafka: Java 17 and Maven; kafka-secured: and TLS",
        ),
    ] = "tansu",
) -> None:
    """Bring a city to life: PostgreSQL, a broker, the payments workers, an API, and riders who tap.

    In a terminal it shows what happens until Ctrl-C. With `--for`, or without a terminal, it prints a line now and then,
    and at the end compares what the terminals sent with what the ledger holds, one by one: the exit status is 0 only if
    everything is accounted for and the books balance.

    Everything is on loopback, in the folder `.city`: logs in `.city/logs`. A second run goes on with the same ledger.

    - `onecard city run`
    - `onecard city run --for 30 --rate 2000`
    - `BROKER=kafka onecard city run`
    """
    console = Console()
    if (runner := read_runner(paths.CITY)) is not None:
        _fail(f"a city already runs here, process {runner.pid}: end it with `onecard city stop`")
    try:
        kind, secured = choose(broker)
        plan = Plan(cards=cards, rate=rate, workers=workers, broker=kind, secured=secured)
        status = run_city(paths.CITY, plan, seconds, console)
    except (ServerFailedError, ValueError) as error:
        _fail(str(error))
    raise typer.Exit(status)


@app.command()
def fault(
    names: Annotated[str, typer.Argument(metavar="NAME[,NAME…]|all", help="which; `onecard city faults` lists them")],
    cards: Annotated[int, typer.Option(min=1, help="how many cards the city has")] = 2_000,
    rate: Annotated[float, typer.Option(min=0.1, help="taps a second")] = 50,
    broker: Annotated[str, typer.Option(envvar="BROKER", help="as of `onecard city run`")] = "tansu",
) -> None:
    """Let something go wrong in a city of its own, and see that its alerts reach whom they are for, and end.

    A small city comes to life in which nothing goes wrong by itself, with Prometheus and Alertmanager, whose waiting times go
    twenty times faster. The fault begins; each alert that deploy/prometheus/alerts.toml names for it must fire and reach the
    receiver of its severity; the fault is mended; each must be told as over. Faults that do not get in each other's way are
    run side by side. At the end the city is counted out as by `onecard city run --for`. The exit status is 0 only if all of
    that holds and nobody was paged for anything else.

    The city is in `.city-faults`, thrown away before the next run; its logs stay until then.

    - `onecard city fault imbalance`
    - `onecard city fault workers-frozen,garbage`
    - `onecard city fault all`
    """
    status = _of_its_own(broker, cards, rate, lambda plan: run_faults(paths.FAULTS, plan, chosen(names), Console()))
    raise typer.Exit(status)


@app.command()
def faults() -> None:
    """List what can be made to go wrong: what it does, the alerts that it fires, and how long it takes.

    Example: `onecard city faults`, then `onecard city fault garbage`
    """
    Console().print(fault_grid(read_alerts()))
    Console().print("\nonecard city fault NAME[,NAME…], or all; each alert has a page in docs/runbooks", highlight=False)


@app.command()
def drill(
    seconds: Annotated[float, typer.Option("--for", metavar="SECONDS", min=1, help="it lives so long before, and after")] = 15,
    cards: Annotated[int, typer.Option(min=1, help="how many cards the city has")] = 2_000,
    rate: Annotated[float, typer.Option(min=0.1, help="taps a second")] = 50,
    broker: Annotated[str, typer.Option(envvar="BROKER", help="as of `onecard city run`")] = "tansu",
) -> None:
    """Lose the machine of the database, of all services and their vaults; come back from the backup on an empty one.

    A small city comes to life, its log is received in a second place and a backup is taken. Everything on the machine is killed
    at once, amid taps, payments and cards that are being made; its disk and the vaults' files are deleted. Then the steps of
    docs/backup.md, “The server is lost”. Riders, clerks and tills just go on. At the end the city is counted out as by
    `onecard city run --for`: every tap, every chip, every till to the fen. The exit status is 0 only if nothing that was
    answered is lost.

    The city is in `.city-faults`, thrown away before the next run; its logs stay until then.

    - `onecard city drill`
    - `BROKER=kafka onecard city drill --for 60`
    """
    status = _of_its_own(broker, cards, rate, lambda plan: run_drill(paths.FAULTS, plan, seconds, Console()))
    raise typer.Exit(status)


@app.command()
def stop() -> None:
    """End the city that runs here, from another terminal."""
    runner = read_runner(paths.CITY)
    process = runner.process() if runner else None
    if process is None:
        typer.echo("no city runs here")
        return
    typer.echo(f"ending the city, process {process.pid} …")
    end(process, within=120)
    typer.echo("it has ended")


@app.command()
def clerks() -> None:
    """Show the demo clerks of the city that runs here: login, password, and the code of this moment.

    Example: `onecard city clerks`, then `onecard window sign-in clerk-3`
    """
    state = read_state(paths.CITY)
    if state is None:
        _fail("no city runs here: start one with `onecard city run`")
    Console().print(clerk_table(Path(state.clerks)))
    Console().print("\nonecard window sign-in clerk-3\nonecard window sign-in chief-1 --window WINDOW-2", highlight=False)
    Console().print("They are for this machine alone: the card service refuses them when it serves others.", highlight=False)


@app.command()
def kafka(port: Annotated[int, typer.Option(min=1, max=65535, help="where it listens on loopback")] = 9092) -> None:
    """Fetch Apache Kafka's jars, once, and run one node until Ctrl-C; its data stays in `.kafka`.

    It is for clients of your own: `BROKER=kafka onecard city run` starts a node for the city by itself.
    """
    try:
        run_kafka(paths.KAFKA_LIBS.parent, port, Console())
    except ServerFailedError as error:
        _fail(str(error))


@app.command()
def clean() -> None:
    """End the city, also a crashed one's leftovers, and remove what it keeps outside of this folder."""
    if read_runner(paths.CITY):
        stop()
    for folder in (paths.CITY, paths.FAULTS, paths.KAFKA_LIBS.parent):
        for name in end_leftovers(folder):
            typer.echo(f"ended {name}")
    for folder in (paths.CITY, paths.FAULTS):
        outside = outside_of(folder)
        if outside.exists():
            remove_postgres(folder)
            typer.echo(f"removed {outside}")


def _of_its_own(broker: str, cards: int, rate: float, live: Callable[[Plan], int]) -> int:
    """The life of a small city in which nothing goes wrong but what is done on purpose; answers the exit status."""
    if (runner := read_runner(paths.FAULTS)) is not None:
        _fail(f"a run of faults or a drill is under way, process {runner.pid}: Ctrl-C there ends it")
    try:
        kind, secured = choose(broker)
        return live(Plan(cards=cards, rate=rate, workers=2, broker=kind, secured=secured, drill=True))
    except (BackupError, ServerFailedError, ValueError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
