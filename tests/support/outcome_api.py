"""The outcome service in a process of its own, on a port of loopback that stays the same over restarts."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from cli import paths
from cli.servers.broker import Broker
from cli.servers.child import Child
from cli.servers.ports import HOST, free_port, listening
from sdk.merchant.access import Access
from sdk.merchant.outcomes import OutcomeReader

PLAIN_TEXT = MappingProxyType({"ONECARD_GRPC_PLAINTEXT": "1"})


class OutcomeApi:
    """Whoever needs it need not wait for it: clients do."""

    def __init__(self, folder: Path, broker: Broker, tls: Mapping[str, str] = PLAIN_TEXT) -> None:
        self._port = free_port()
        environment = {
            "ONECARD_KAFKA": broker.bootstrap,
            "ONECARD_BROKER": broker.kind,
            "ONECARD_GRPC_LISTEN": f"{HOST}:{self._port}",
            "ONECARD_GRPC_DRAIN_SECONDS": "1",
            **tls,
        }
        command = [sys.executable, "-m", "tests.support.outcomes"]
        self.child = Child("api", folder, command, env=environment, cwd=paths.ROOT)
        self.access = Access(f"{HOST}:{self._port}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.child.start()

    def wait(self) -> None:
        """Until it answers subscribers."""
        self.child.wait_ready(lambda: listening(self._port), "it listens", within=30)
        end = time.monotonic() + 60
        with OutcomeReader(self.access, {"NOBODY"}, lambda _: None) as reader:
            while not reader.poll(0.1):
                assert time.monotonic() < end, f"it does not follow the outcomes\n{self.child.last_lines()}"

    def kill(self) -> None:
        self.child.kill()
