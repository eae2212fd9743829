"""Where a worker's time goes: the handler and the announcer run one batch at a time, and every step of them is timed.

Only whole batches are timed, so the clock costs nothing. A step's time does not contain that of the steps inside it.
"""

import inspect
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop

from bench.plan import BATCH
from bench.programs.posting import config, make_post
from bench.signing import keys_from_environment
from bench.taps import taps
from services.common import topics
from services.common.announce import Announcer
from services.common.clock import now_ms
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.payments.adapters import ledger, locking
from services.payments.adapters.wire import Received
from services.payments.handlers import post_taps

DIGEST: Final = "keyed digest"
STEPS: Final[Sequence[tuple[str, Any, str]]] = (
    ("decode", post_taps.PostTaps, "__call__"),
    ("begin, commit, session", ledger.Ledger, "post"),
    ("lock the accounts", ledger.Ledger, "_post"),
    ("accounts from rows", locking, "_accounts"),
    ("read known verdicts", ledger, "_known"),
    ("look for late taps, read rides", ledger, "histories_wanted"),
    ("look for late taps, read rides", ledger, "read_histories"),
    ("decide", ledger, "decide"),
    ("rows for COPY", ledger, "verdict_rows"),
    ("rows for COPY", ledger, "transfer_rows"),
    ("rows for COPY", ledger, "ride_rows"),
    (DIGEST, ledger, "batch_digest"),
    ("COPY verdicts and transfers", ledger, "copy_rows"),
    ("write balances, usage, accruals", ledger.Ledger, "_write"),
    ("count", post_taps, "_count"),
    ("encode outcomes", post_taps.PostTaps, "_owed"),
    ("announce outcomes", Announcer, "send"),
)
"""What a step is called, and the function that it is; what that calls and is a step itself is not counted in it."""


class StepTime(msgspec.Struct, frozen=True):
    """Microseconds a tap."""

    name: str
    cpu_us: float
    """Of the worker's process."""
    elapsed_us: float
    """With what it waited for: mostly PostgreSQL's work, and the broker's for what is announced."""


@dataclass(slots=True)
class Stopwatch:
    """Adds up CPU and elapsed seconds by step; a step that begins inside another one stops the other's time."""

    cpu: dict[str, float] = field(default_factory=dict)
    elapsed: dict[str, float] = field(default_factory=dict)
    _running: list[str] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """For the time of the block."""
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def clear(self) -> None:
        """Forget what was added up."""
        self.cpu.clear()
        self.elapsed.clear()

    def _book(self) -> None:
        now = time.process_time(), time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.cpu[name] = self.cpu.get(name, 0.0) + now[0] - self._since[0]
            self.elapsed[name] = self.elapsed.get(name, 0.0) + now[1] - self._since[1]
        self._since = now

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""
        if inspect.iscoroutinefunction(function):
            coroutine: Callable[..., Awaitable[Any]] = function

            async def timed_later(*args: Any, **kwargs: Any) -> Any:
                with self.step(name):
                    return await coroutine(*args, **kwargs)

            return timed_later

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.step(name):
                return function(*args, **kwargs)

        return timed


def time_steps(watch: Stopwatch) -> None:
    """Put the stopwatch around every step, in this process."""
    for name, owner, attribute in STEPS:
        setattr(owner, attribute, watch.wrap(name, getattr(owner, attribute)))


async def _work(batches: int, partitions: int) -> list[StepTime]:
    watch = Stopwatch()
    time_steps(watch)
    settings = config()
    engine = make_engine(settings.database_url, "steps", sessions=1)
    post = await make_post(settings, engine)
    announcer = Announcer(settings.kafka)
    await announcer.start()
    # A backlog is read one partition after the other, so a terminal's taps do not come in the order of their numbers.
    loads = iter(sorted(taps(1, (batches + 1) * BATCH, partitions, keys_from_environment()), key=lambda load: load.place))
    waiting = [[Received(*load.place, 0, now_ms(), load.value) for load in islice(loads, BATCH)] for _ in range(batches + 1)]
    collect_garbage_seldom()
    for number, records in enumerate(waiting):
        owed = await post(records)
        await announcer.send(topics.OUTCOMES, ((merchant.encode(), outcome) for merchant, outcome in owed.outcomes))
        if number == 0:  # it opened the session and prepared the statements
            watch.clear()
    await announcer.stop()
    await engine.dispose()
    a_tap = 1e6 / (batches * BATCH)
    names = dict.fromkeys(name for name, _, _ in STEPS)
    return [StepTime(name, watch.cpu.get(name, 0.0) * a_tap, watch.elapsed.get(name, 0.0) * a_tap) for name in names]


def main(
    batches: Annotated[int, typer.Argument()],
    partitions: Annotated[int, typer.Argument()],
    result: Annotated[Path, typer.Argument()],
) -> None:
    """Post and announce so many batches, and write the times of the steps to a file."""
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(batches, partitions))))


if __name__ == "__main__":
    typer.run(main)
