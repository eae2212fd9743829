"""A run of faults: each is begun in a living city, its alerts are awaited at who is to be told, it is mended, they end."""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from cli.city.city import City, Plan
from cli.city.ending import catch_up, everything_is_accounted_for
from cli.city.faults.fault import Fault, fired_by
from cli.city.faults.progress import PAGE, Awaited, Progress, alerts_by_fault, begin_progress
from cli.city.faults.table import rounds
from cli.city.run import INTERRUPTED, ended, throw_away
from cli.city.saying import Say, saying
from cli.city.signals import interruptible
from cli.city.steps import Steps
from cli.servers.child import ServerFailedError

LOOK_SECONDS = 0.2
FIRE_SECONDS = 240.0
OVER_SECONDS = 300.0
CALM_SECONDS = 240.0
STILL_SECONDS = 6.0
"""So long nothing may fire before it is calm: three looks of Prometheus."""


def run_faults(folder: Path, plan: Plan, faults: Sequence[Fault], console: Console) -> int:
    """Exit status. The city in `folder` is a new one, for faults alter books and a run may be broken off."""
    throw_away(folder)
    folder.mkdir()
    say, steps = saying(console), Steps(console)
    city = City(folder, plan, steps)
    if city.monitoring.missing:
        raise ServerFailedError("\n".join(["a run of faults needs both:", *city.monitoring.missing]))
    with interruptible(), ended(city, console):
        try:
            with steps:
                city.start()
            city.supervise(say)
            city.monitoring.board.say = None  # it is said here, with what it means
            alerts = alerts_by_fault(city.monitoring.table, faults)
            done = [_run_round(city, some, say) for some in rounds(faults, alerts)]
            catch_up(city, say)
            agreed = everything_is_accounted_for(city, console)
        except KeyboardInterrupt:
            return INTERRUPTED
    console.print(_grid([one for progress in done for one in progress.awaited.values()]))
    for problem in (problem for progress in done for problem in progress.problems):
        console.print(f"✗ {problem}", style="red", highlight=False)
    return 0 if agreed and all(progress.succeeded for progress in done) else 1


def _run_round(city: City, faults: Sequence[Fault], say: Say) -> Progress:
    for fault in faults:
        fault.prepare(city)
    _await_calm(city, {alert for fault in faults for alert in fired_by(city.monitoring.table, fault.name)}, say)
    read = len(city.monitoring.board.since(0))
    progress = begin_progress(faults, city.monitoring.table, datetime.now(UTC))
    for fault in faults:
        say(f"{fault.name}: {fault.what}")
        fault.begin(city)
    say(f"waiting for {', '.join(progress.silent)} to fire …")
    read = _follow(city, progress, read, lambda: not progress.silent, FIRE_SECONDS, say)
    progress.problems += [f"{alert} did not fire within {FIRE_SECONDS:.0f} s" for alert in progress.silent]
    for fault in faults:
        fault.mend(city)
    progress.mend(datetime.now(UTC))
    say(f"mended: {', '.join(fault.name for fault in faults)}; waiting for {', '.join(progress.standing)} to end …")
    told = [one for one in progress.awaited.values() if one.told_after is not None]
    _follow(city, progress, read, lambda: all(one.is_over for one in told), OVER_SECONDS, say)
    progress.problems += [f"{one.alert} did not end within {OVER_SECONDS:.0f} s" for one in told if not one.is_over]
    return progress


def _follow(city: City, progress: Progress, read: int, enough: Callable[[], bool], within: float, say: Say) -> int:
    """Take notices as they come, until it is enough; answers how many were read."""
    deadline = time.monotonic() + within
    while not enough() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        for notice in city.monitoring.board.since(read):
            read += 1
            if line := progress.take(notice, datetime.now(UTC)):
                say(line)
    return read


def _await_calm(city: City, awaited: Collection[str], say: Say) -> None:
    """Until none of these fires any more, and nobody is paged for what faults do: what follows must be of the next one."""
    table = city.monitoring.table
    watched = {*awaited, *(name for name, alert in table.alerts.items() if alert.fault and alert.severity == PAGE)}
    began = still = time.monotonic()
    said = False
    while (now := time.monotonic()) - still < STILL_SECONDS:
        firing = sorted((city.monitoring.firing() | city.monitoring.board.firing) & watched)
        if firing:
            still = now
            if not said:
                say(f"waiting until nobody is told any more of {', '.join(firing)} …")
                said = True
            if now - began > CALM_SECONDS:
                say(f"still firing, and taken as they are: {', '.join(firing)}")
                return
        time.sleep(LOOK_SECONDS)


def _grid(awaited: Sequence[Awaited]) -> Grid:
    """All in seconds: after which it fired and was told, after the mending told as over, and what it takes alone."""
    grid = Grid(box=None, padding=(0, 1, 0, 0))
    for name in ("fault", "alert", "told to"):
        grid.add_column(name, no_wrap=True)
    for name in ("fired", "told", "over", "in all"):
        grid.add_column(name, justify="right")
    for one in awaited:
        took = (one.fired_after, one.told_after, one.over_after, one.seconds)
        mark = "[green]✓[/]" if one.succeeded else "[red]✗[/]"
        grid.add_row(f"{mark} {one.fault}", one.alert, one.receiver, *("–" if s is None else f"{s:.0f}" for s in took))
    return grid
