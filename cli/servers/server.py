"""What every server has in common: a child process on one port of loopback, that can be ended in more than one way."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from cli.servers.child import Child
from cli.servers.ports import free_port


class Server(ABC):
    """One server for the city in `folder`; the port stays the same over restarts."""

    name: ClassVar[str]
    stop_seconds: ClassVar[float]
    """How long a clean end may take."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._child: Child | None = None

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it answers; raises ServerFailedError with the log's end."""

    @property
    def child(self) -> Child:
        """The server's process."""
        assert self._child is not None, f"{self.name} was never started"
        return self._child

    def stop(self) -> None:
        """End it cleanly."""
        if self._child:
            self._child.stop(within=self.stop_seconds)

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL the server and every one of its processes."""
        if self._child:
            self._child.kill()


def write_settings(file: Path, settings: Mapping[str, Any]) -> Path:
    """A file of settings as JSON, which is YAML, too; answers it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=2))
    return file
