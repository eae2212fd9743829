"""`onecard city run`: brings the city to life, watches it, and ends it whatever happens."""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live

from cli.city.city import City, Plan
from cli.city.clerks import clerk_table
from cli.city.ending import everything_is_accounted_for
from cli.city.figures import Figures, Watch
from cli.city.saying import saying
from cli.city.signals import interruptible, undisturbed
from cli.city.steps import Steps
from cli.city.view import line, picture
from cli.servers.mark import end_leftovers
from cli.servers.postgres import remove_postgres

LOOK_SECONDS = 1.0
LINE_SECONDS = 5.0
HAPPENINGS_SHOWN = 5
INTERRUPTED = 130


def run_city(folder: Path, plan: Plan, for_seconds: float | None, console: Console) -> int:
    """One life of a city; answers the exit status. Without `for_seconds` it lives until Ctrl-C or SIGTERM."""
    folder.mkdir(exist_ok=True)
    steps = Steps(console)
    city = City(folder, plan, steps)
    with interruptible(), ended(city, console):
        try:
            with steps:
                city.start()
            console.print(clerk_table(city.clerks))
            if console.is_terminal and for_seconds is None:
                _watch_live(city, console)
                return 0
            _watch_in_lines(city, for_seconds, console)
            return 0 if everything_is_accounted_for(city, console) else 1
        except KeyboardInterrupt:
            return INTERRUPTED


def throw_away(folder: Path) -> None:
    """End what an earlier run has left there, and remove it."""
    end_leftovers(folder)
    remove_postgres(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _watch_live(city: City, console: Console) -> None:
    """A picture that lives until Ctrl-C."""
    happenings: deque[str] = deque(maxlen=HAPPENINGS_SHOWN)

    def say(text: str) -> None:
        happenings.append(f"{datetime.now():%H:%M:%S} {text}")  # noqa: DTZ005 - the wall clock of whoever looks

    city.supervise(say)
    say("their codes of each moment, to sign in at a window: onecard city clerks")
    title = f"onecard · {city.plan.cards:,} cards · {city.plan.workers} workers · {city.plan.broker}"
    shown = {**city.addresses, **_watchers(city)}
    with Live(console=console, auto_refresh=False) as live:
        try:
            for figures in _readings(city):
                live.update(picture(figures, title, shown, tuple(happenings)), refresh=True)
        except KeyboardInterrupt:
            return


def _watch_in_lines(city: City, for_seconds: float | None, console: Console) -> None:
    """A line now and then, for so long or until Ctrl-C."""
    say = saying(console)
    city.supervise(say)
    say("their codes of each moment, to sign in at a window: onecard city clerks")
    for process, where in city.addresses.items():
        say(f"metrics of {process}: {where}")
    for what, where in _watchers(city).items():
        say(f"{what}: {where}")
    began = said = time.monotonic()
    try:
        for figures in _readings(city):
            now = time.monotonic()
            over = for_seconds is not None and now - began >= for_seconds
            if over or now - said >= LINE_SECONDS:
                say(line(figures))
                said = now
            if over:
                return
    except KeyboardInterrupt:
        if for_seconds is not None:
            raise


def _watchers(city: City) -> dict[str, str]:
    """Where all of it can be seen together, as far as it is installed."""
    state = city.state
    watchers = {"all of them, in Prometheus": state.prometheus, "who is told of alerts, in Alertmanager": state.alertmanager}
    return {what: where for what, where in watchers.items() if where}


def _readings(city: City) -> Iterator[Figures]:
    """Figures about once a second, for ever."""
    watch = Watch()
    while True:
        yield watch.observe(time.monotonic(), city.read_metrics())
        time.sleep(LOOK_SECONDS)


@contextmanager
def ended(city: City, console: Console) -> Iterator[None]:
    """However this is left, the city ends; who asks a second time gets it at once."""
    try:
        yield
    finally:
        console.print("ending the city …", highlight=False)
        try:
            city.stop()
        except KeyboardInterrupt:
            with undisturbed():
                city.kill()
        console.print("everything has ended", highlight=False)
