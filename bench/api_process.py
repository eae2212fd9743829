"""API processes on the stage, and what they say of themselves when they have ended."""

import asyncio
from collections.abc import AsyncIterator
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
    health, result = free_port(), stage.folder / f"{name}.json"
    address = address or f"{HOST}:{free_port()}"
    env = {
        **stage.environment(ledger),
        "ONECARD_GRPC_LISTEN": address,
        "ONECARD_HEALTH_LISTEN": f"{HOST}:{health}",
        **(_tls(authority) if authority else {"ONECARD_GRPC_PLAINTEXT": "1"}),
    }
    arguments = [str(result), f"--first={number * _NUMBERS}", *(["--one-by-one"] if one_by_one else [])]
    with stage.process(name, "bench.programs.api", *arguments, env=env) as child:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not listening(health):  # it is opened last
                if not child.alive:
                    raise BenchError(f"{name} ended with status {child.exit_code}\n{child.last_lines()}")
                await asyncio.sleep(0.05)
        api = Api(address, child.pid)
        yield api
    if child.exit_code != 0:
        raise BenchError(f"{name} ended with status {child.exit_code}\n{child.last_lines()}")
    api.served = msgspec.json.decode(result.read_bytes(), type=Served)


def _tls(authority: Authority) -> dict[str, str]:
    ours = authority.issue(_SERVICE, hosts=["localhost", HOST])
    return {
        "ONECARD_TLS_CERTIFICATE": str(ours.certificate),
        "ONECARD_TLS_KEY": str(ours.key),
        "ONECARD_TLS_AUTHORITY": str(authority.certificate),
    }


def options_of(client: Issued, authority: Authority) -> list[str]:
    """How the client in Python is told to show a certificate."""
    files: dict[str, Path] = {"certificate": client.certificate, "key": client.key, "authority": authority.certificate}
    return [f"--{name}={file}" for name, file in files.items()]
