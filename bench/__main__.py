"""`python -m bench`: measure the platform in one run; docs/performance.md and build/bench.json say what came out."""

import asyncio
import sys
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from bench import h2load
from bench.errors import BenchError, NotReconciledError
from bench.figures import Figures
from bench.machine import busy_percent
from bench.measure import Measured, measure
from bench.plan import FULL, QUICK, Plan
from bench.report import show_report, write_report
from bench.stage import Stage
from cli import paths
from cli.city.signals import interruptible, undisturbed
from cli.city.steps import Steps
from cli.servers.broker import Kind, kind_of
from cli.servers.child import ServerFailedError

_QUIET_PERCENT: Final = 10
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes: to see whether something moved.")] = False,
    scale: Annotated[str, typer.Option(envvar="SCALE", help="city: look-ups among all holders of a city")] = "",
    broker: Annotated[str, typer.Option(envvar="BROKER", help="kafka (the figures that count) or tansu")] = "tansu",
) -> None:
    """Measure the platform on real servers, which are started and ended here."""
    console = Console()
    try:
        kind = kind_of(broker)
        if scale not in ("", "city"):
            raise ValueError(f"there is no scale {scale!r}: SCALE=city, or none")  # noqa: TRY301 - said like all the others
        plan = (QUICK if quick else FULL).on(kind)
        if scale:
            plan = plan.for_city()
        if not quick:
            h2load.require()
        console.print(f"measuring on {kind}, about {plan.minutes} minutes where nothing else runs", highlight=False)
        measured = _run(kind, plan, console)
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")
    except NotReconciledError as error:
        sys.exit(f"onecard bench: NOT RECONCILED, no figure of this run is good: {error}")
    except (BenchError, ServerFailedError, ValueError) as error:
        sys.exit(f"onecard bench: {error}")
    figures = Figures(measured)
    show_report(figures, console)
    for file in write_report(figures, paths.ROOT):
        console.print(f"written: {file}", highlight=False, soft_wrap=True)


def _run(kind: Kind, plan: Plan, console: Console) -> Measured:
    busy = busy_percent()
    if busy > _QUIET_PERCENT:
        console.print(f"[yellow]other work uses {busy:.0f} % of the cores: no figure will be what this machine can do")
    stage = Stage(kind)
    try:
        stage.require_disk(plan.disk_gb)
        with interruptible(), Steps(console) as show, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(stage, plan, busy, show))
    finally:
        with undisturbed():
            stage.close()


if __name__ == "__main__":
    app()
