"""Prometheus, where the system has it: reads everybody's metrics every two seconds, and answers what is asked of them."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import msgspec

from cli.servers.child import Child
from cli.servers.ports import HOST
from cli.servers.server import Server, write_settings

PROGRAM = "prometheus"
MISSING = "no Prometheus here: install it (Debian: apt-get install prometheus), and the city starts it"
EVERY_SECONDS = 2
KEPT = "2d"


@dataclass(frozen=True, slots=True)
class Target:
    """A process that shows metrics."""

    job: str
    instance: str
    address: str
    """host:port."""


def installed() -> bool:
    """Has this machine the program?"""
    return shutil.which(PROGRAM) is not None


class Prometheus(Server):
    """One server for the city in `folder`; what it has read stays over restarts."""

    name = "Prometheus"
    stop_seconds = 10

    def __init__(
        self,
        folder: Path,
        targets: Sequence[Target],
        rules: Sequence[Path] = (),
        alertmanager: str = "",
        port: int | None = None,
    ) -> None:
        """`rules`: files of alerts. `alertmanager`: host:port of whoever is told of them."""
        super().__init__(folder, port)
        self._targets = targets
        self._rules = rules
        self._alertmanager = alertmanager

    @property
    def url(self) -> str:
        """Where people and programs ask, the same over restarts."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers; raises ServerFailedError with the log's end."""
        home = self.folder / "prometheus"
        settings = write_settings(home / "prometheus.yml", self._settings())
        options = {
            "config.file": settings.absolute(),
            "storage.tsdb.path": (home / "data").absolute(),
            "storage.tsdb.retention.time": KEPT,
            "web.listen-address": f"{HOST}:{self.port}",
        }
        command = [PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
        self._child = Child("prometheus", self.folder, command, port=self.port)
        self._child.start()
        self._child.wait_ready(lambda: answers(self.port, "/-/ready"), f"Prometheus answers on {self.url}", within=60)

    def firing(self) -> set[str]:
        """The names of the alerts that fire at this moment; none while it does not answer."""
        answer = fetch(self.port, "/api/v1/alerts")
        alerts = msgspec.json.decode(answer)["data"]["alerts"] if answer else []
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _settings(self) -> Mapping[str, Any]:
        jobs = sorted({target.job for target in self._targets})
        every = f"{EVERY_SECONDS}s"
        told = [{"static_configs": [{"targets": [self._alertmanager]}]}] if self._alertmanager else []
        return {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(file.absolute()) for file in self._rules],
            "alerting": {"alertmanagers": told},
            "scrape_configs": [{"job_name": job, "static_configs": self._places(job)} for job in jobs],
        }

    def _places(self, job: str) -> list[Mapping[str, Any]]:
        return [
            {"targets": [target.address], "labels": {"instance": target.instance}}
            for target in self._targets
            if target.job == job
        ]


def answers(port: int, path: str) -> bool:
    """Does a server on this machine answer a request with success?"""
    return fetch(port, path) is not None


def fetch(port: int, path: str) -> bytes | None:
    """What a server on this machine answers; None while it does not, or without success."""
    connection = HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
