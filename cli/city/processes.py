"""The city's Python processes: services and simulation, each by its name, with the environment they all share."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from cli import paths
from cli.servers.child import Child, ServerFailedError

COMMAND_SECONDS = 300.0


class EndingError(Exception):
    """The city is being ended: nothing new may start."""


class Processes:
    """Starts them, and ends them all; several threads may use it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._ending = False

    def run(self, name: str, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """Run `python -m MODULE ARGUMENTS…` to its end; raises ServerFailedError with its last lines."""
        self.keep(name, module, *arguments, env=env).wait_done(COMMAND_SECONDS)
        with self._lock:
            self._children.pop(name, None)

    def keep(self, name: str, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Child:
        """Start `python -m MODULE ARGUMENTS…`, to live as long as the city."""
        command = [sys.executable, "-m", module, *arguments]
        child = Child(name, self._folder, command, env={**self._environment, **(env or {})}, cwd=paths.ROOT)
        self.start(child)
        return child

    def start(self, child: Child) -> None:
        """Start a process, perhaps once more."""
        with self._lock:
            if self._ending:
                raise EndingError
            self._children[child.name] = child
            child.start()

    def forget(self, name: str) -> None:
        """End one, for good."""
        with self._lock:
            child = self._children.pop(name)
        child.stop()

    @property
    def kept(self) -> list[Child]:
        """Those that live as long as the city."""
        with self._lock:
            return list(self._children.values())

    def check(self) -> None:
        """Raises ServerFailedError, with its last lines, when one of those has failed."""
        for child in self.kept:
            if child.exit_code:
                raise ServerFailedError(f"{child.name} ended with status {child.exit_code}\n{child.last_lines()}")

    def named(self, name: str) -> Child:
        """One of them."""
        with self._lock:
            return self._children[name]

    def ask_to_stop(self, *names: str) -> bool:
        """Tell some of them to end, and do not wait; answers whether any still ran."""
        with self._lock:
            children = [child for name, child in self._children.items() if name in names and child.alive]
        for child in children:
            child.ask_to_stop()
        return bool(children)

    def stop(self) -> None:
        """End all of them, for good: ask, wait, and kill those that do not end."""
        with self._lock:
            self._ending = True
            children = list(self._children.values())
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.stop()

    def kill(self) -> None:
        """SIGKILL all of them, for good."""
        with self._lock:
            self._ending = True
        for child in self._children.values():
            child.kill()
