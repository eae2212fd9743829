"""API processes on the stage, and what they say of themselves when they have ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.database import LedgerCopy
from bench.errors import BenchError
from bench.programs.api import Served
from bench.stage import Stage
from cli.authority import Authority, Issued
from cli.servers.child import Child
from cli.servers.ports import HOST, free_port, listening

_SERVICE: Final = "onecard://service/payments"
_NUMBERS: Final = 10**9
"""How many payments one process may name."""
_PATIENCE_SECONDS: Final = 30.0
_NOTHING: Final = Served(0, 0)


@dataclass(slots=True)
class Api:
    """A process that serves, and served."""

    address: str
    pid: int
    served: Served = _NOTHING
    """Known once it has ended."""


@asynccontextmanager
async def api_process(
    stage: Stage,
    ledger: LedgerCopy,
    number: int = 1,
    *,
    address: str = "",
    one_by_one: bool = False,
    authority: Authority | None = None,
) -> AsyncIterator[Api]:
    """Serve for the time of the block: on a port of its own or on `address`, in plain text or with `authority` on TLS.

    Processes of one ledger have different numbers.
    """
    name = f"api-{'one-by-one' if one_by_one else number}"
    result = stage.folder / f"{name}.json"
    address = address or f"{HOST}:{free_port()}"
    env = {
        **stage.environment(ledger),
        **(tls_of(_SERVICE, authority) if authority else {"ONECARD_GRPC_PLAINTEXT": "1"}),
    }
    arguments = [str(result), f"--first={number * _NUMBERS}", *(["--one-by-one"] if one_by_one else [])]
    async with serving(stage, name, address, "bench.programs.api", *arguments, env=env) as child:
        api = Api(address, child.pid)
        yield api
    api.served = msgspec.json.decode(result.read_bytes(), type=Served)


@asynccontextmanager
async def serving(
    stage: Stage, name: str, address: str, *command: str, env: Mapping[str, str]
) -> AsyncIterator[Child]:  # fmt: skip
    """A process that serves gRPC on an address for the time of the block; raises BenchError unless it starts and ends well."""
    health = free_port()
    listen = {"ONECARD_GRPC_LISTEN": address, "ONECARD_HEALTH_LISTEN": f"{HOST}:{health}"}
    with stage.process(name, *command, env={**env, **listen}) as child:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not listening(health):  # it is opened last
                if not child.alive:
                    raise BenchError(f"{name} ended with status {child.exit_code}\n{child.last_lines()}")
                await asyncio.sleep(0.05)
        yield child
    if child.exit_code != 0:
        raise BenchError(f"{name} ended with status {child.exit_code}\n{child.last_lines()}")


def tls_of(service: str, authority: Authority) -> dict[str, str]:
    """How a process is told to serve with a certificate."""
    ours = authority.issue(service, hosts=["localhost", HOST])
    return {
        "ONECARD_TLS_CERTIFICATE": str(ours.certificate),
        "ONECARD_TLS_KEY": str(ours.key),
        "ONECARD_TLS_AUTHORITY": str(authority.certificate),
    }


def options_of(client: Issued, authority: Authority) -> list[str]:
    """How the client in Python is told to show a certificate."""
    files: dict[str, Path] = {"certificate": client.certificate, "key": client.key, "authority": authority.certificate}
    return [f"--{name}={file}" for name, file in files.items()]
