"""Alertmanager, where the system has it: Prometheus tells it what fires, and it tells people, each kind in its own way."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.servers.child import Child
from cli.servers.ports import HOST
from cli.servers.prometheus import answers
from cli.servers.server import Server, write_settings

PROGRAMS = ("prometheus-alertmanager", "alertmanager")
"""Debian's name, and everybody else's."""
MISSING = "no Alertmanager here: install it (Debian: apt-get install prometheus-alertmanager), and the city starts it"


def installed() -> str:
    """The program; empty: this machine has none."""
    return next((program for program in PROGRAMS if shutil.which(program)), "")


class Alertmanager(Server):
    """One server for the city in `folder`; it knows of no other."""

    name = "Alertmanager"
    stop_seconds = 10

    def __init__(self, folder: Path, settings: Mapping[str, Any], port: int | None = None) -> None:
        """`settings`: whom it tells of what, as its file of settings says it."""
        super().__init__(folder, port)
        self._settings = settings

    @property
    def url(self) -> str:
        """Where people look and silence, the same over restarts."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers; raises ServerFailedError with the log's end."""
        home = self.folder / "alertmanager"
        settings = write_settings(home / "alertmanager.yml", self._settings)
        options = {
            "config.file": settings.absolute(),
            "storage.path": (home / "data").absolute(),
            "web.listen-address": f"{HOST}:{self.port}",
            "cluster.listen-address": "",  # alone: it looks for no others
        }
        command = [installed(), *(f"--{name}={value}" for name, value in options.items())]
        self._child = Child("alertmanager", self.folder, command, port=self.port)
        self._child.start()
        self._child.wait_ready(lambda: answers(self.port, "/-/ready"), f"Alertmanager answers on {self.url}", within=60)
