"""A Prometheus over what a run has stored: started on a copy of its data, asked, and ended."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from cli.servers.ports import HOST, free_port
from deploy.grafana.answers import Answer, Series
from deploy.grafana.pages import Page, Panel

PROGRAM: Final = "prometheus"
_LONGEST_SECONDS: Final = 600
_LOOKED_BACK_SECONDS: Final = 6 * 3600
_STEP_SECONDS: Final = 5
_RATE_SECONDS: Final = 20
"""The data of a run is read every few seconds: a rate needs some readings."""


class NothingStoredError(Exception):
    """The folder has no data of a run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time of a run, in seconds since 1970."""

    begin: float
    end: float


class Prometheus:
    """One that answers on this machine."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: object) -> Any:
        """One question of its HTTP interface. Raises OSError, also for a query that it does not understand."""
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:  # noqa: S310  # ours, http
            return json.load(answer)["data"]

    def window(self, look_at: str = '{__name__=~"onecard_.+"}') -> Window:
        """The last minutes of what is stored, ten at most. Raises NothingStoredError."""
        now = time.time()
        found = self._range(f"count({look_at})", Window(now - _LOOKED_BACK_SECONDS, now), 15)
        times = [at for one in found for at, _ in one.points]
        if not times:
            raise NothingStoredError("no metric of onecard in the last hours: run `make run FOR=60` first")
        end, begin = times[-1], times[-1]
        for at in reversed(times):
            if begin - at > 60 or end - at > _LONGEST_SECONDS:
                break
            begin = at
        return Window(begin, end)

    def answer(self, page: Page, panel: Panel, window: Window) -> Answer:
        """What comes to each query of a panel, over the time of a run."""
        given = {"__rate_interval": f"{_RATE_SECONDS}s", "__range": f"{max(1, round(window.end - window.begin))}s"}
        return [(target, self._range(page.fill(target.expr, given), window, _STEP_SECONDS)) for target in panel.targets]

    def _range(self, query: str, window: Window, step: int) -> list[Series]:
        found = self.ask("query_range", query=query, start=window.begin, end=window.end, step=step)
        return [Series(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in found["result"]]


@contextmanager
def prometheus_on(data: Path) -> Iterator[Prometheus]:
    """One that reads nobody's metrics and serves what is stored in a folder, which it leaves as it is."""
    if not data.is_dir():
        raise NothingStoredError(f"no folder {data}: install Prometheus (Debian: prometheus) and run `make run FOR=60` first")
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "data"
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("lock", "queries.active"))
        settings = Path(place) / "prometheus.yml"
        settings.write_text("scrape_configs: []\n", encoding="utf-8")
        port = free_port()
        options: Mapping[str, object] = {
            "config.file": settings,
            "storage.tsdb.path": copy,
            "storage.tsdb.retention.time": "10y",
            "web.listen-address": f"{HOST}:{port}",
        }
        with (Path(place) / "log").open("w+b") as log:
            command = [PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                _wait(f"http://{HOST}:{port}", process, Path(place) / "log")
                yield Prometheus(f"http://{HOST}:{port}")
            finally:
                process.terminate()
                process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/-/ready", timeout=2):  # noqa: S310  # ours, http
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"Prometheus does not answer:\n{log.read_text(encoding='utf-8')[-2000:]}")
