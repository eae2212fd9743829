"""A real stream worker in a process of its own, which stops itself where a test tells it to.

`python -m tests.support.worker` is the product's worker; `STOP_AT` in its environment names a point of the posting, at
which arrival there it stops, and the signal that it sends itself.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals

import psutil

from cli import paths
from cli.city.metrics import scrape
from cli.servers.broker import Broker
from cli.servers.child import Child
from cli.servers.ports import free_port
from services.common.logs import set_up_logs
from services.payments.adapters.ledger import pass_by
from services.payments.config import Config
from services.payments.streams import run_worker
from tests.support.terminal_keys import vault_settings
from tests.support.town import KEY
from tests.support.waiting import until

STOP_AT = "ONECARD_TEST_STOP_AT"


@dataclass(frozen=True, slots=True)
class Stop:
    """At the n-th arrival at a named point: SIGKILL ends the process, SIGSTOP freezes it."""

    point: str
    arrival: int = 1
    signal: Signals = SIGKILL

    def __str__(self) -> str:
        return f"{self.point}:{self.arrival}:{int(self.signal)}"

    @classmethod
    def parse(cls, text: str) -> "Stop":
        point, arrival, number = text.split(":")
        return cls(point, int(arrival), Signals(int(number)))

    def at(self) -> Callable[[str], Awaitable[None]]:
        arrivals = count(1)

        async def at(point: str) -> None:
            if point == self.point and next(arrivals) == self.arrival:
                os.kill(os.getpid(), self.signal)

        return at


def settings(database_url: str, broker: Broker) -> dict[str, str]:
    """The environment of a worker."""
    return {
        "ONECARD_DATABASE_URL": database_url,
        "ONECARD_KAFKA": broker.bootstrap,
        "ONECARD_BROKER": broker.kind,
        "ONECARD_BATCH_KEY": KEY.key.hex(),
        **vault_settings(),
    }


class Worker:
    """One worker; it ends with the test process whatever happens, frozen or not."""

    module = "tests.support.worker"
    arguments: tuple[str, ...] = ()
    python = Path(sys.executable)
    root = paths.ROOT

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._folder = folder
        self._environment = environment
        self._metrics_port = free_port()
        self._child: Child | None = None

    def start(self, stop: Stop | None = None) -> None:
        """Begin a life of this worker, perhaps one that ends at a named point."""
        environment = {**self._environment, "ONECARD_METRICS_PORT": str(self._metrics_port), STOP_AT: str(stop or "")}
        command: list[str | Path] = [self.python, "-m", self.module, *self.arguments]
        self._child = Child(self.name, self._folder, command, env=environment, cwd=self.root)
        self._child.start()

    @property
    def child(self) -> Child:
        assert self._child is not None, f"{self.name} was never started"
        return self._child

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.child.pid)

    @property
    def log(self) -> str:
        return self.child.log.read_text()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels; 0 while the worker does not answer."""
        wanted = set(labels.items())
        return sum(
            value
            for (sample, found), value in (scrape(self._metrics_port) or {}).items()
            if sample == name and wanted <= set(found)
        )

    async def posted(self, batches: int = 1, within: float = 90) -> None:
        """Wait until it has posted so many batches: it holds partitions and works. On Tansu a late member waits long."""
        await until(f"{self.name} posts", lambda: self.metric("onecard_batches_total") >= batches, within)

    async def busy(self, seconds: float) -> float:
        """The share of a core that it uses in the next so many seconds."""
        before = self.process.cpu_times()
        await asyncio.sleep(seconds)
        after = self.process.cpu_times()
        return (after.user + after.system - before.user - before.system) / seconds

    async def died(self, within: float = 90) -> int:
        """Wait for its end; answers how it ended (minus the signal's number)."""
        await until(f"{self.name} ends", lambda: not self.child.alive, within)
        status = self.child.exit_code
        assert status is not None
        return status

    async def froze(self, within: float = 90) -> None:
        """Wait until it has stopped itself with SIGSTOP."""
        await until(f"{self.name} freezes", lambda: self.process.status() == psutil.STATUS_STOPPED, within)

    def thaw(self) -> None:
        self.child.signal(SIGCONT)

    def end(self) -> None:
        """SIGKILL: nothing of it outlives its test."""
        if self._child is not None:
            self._child.kill()


def main() -> None:
    set_up_logs("payments-streams")
    stop = os.environ.get(STOP_AT)
    run_worker(Config.from_environment(), Stop.parse(stop).at() if stop else pass_by)


if __name__ == "__main__":
    main()
