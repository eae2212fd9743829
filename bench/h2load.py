"""h2load, the client of the API processes: in C, so that it leaves the cores to those who answer."""

import shutil
import struct
from pathlib import Path
from typing import Final

from bench.calls import Answered, read_log
from bench.errors import BenchError
from bench.plan import CALLS_A_CONNECTION
from bench.request import REQUEST, SUBJECT
from bench.tools import run_tool
from services.common.grpc.callers import SUBJECT_KEY

PROGRAM: Final = "h2load"
MISSING: Final = "h2load is missing, so calls over gRPC cannot be measured: apt-get install nghttp2-client"
_HEADERS: Final = ("content-type: application/grpc", "te: trailers", f"{SUBJECT_KEY}: {SUBJECT}")


def installed() -> bool:
    """Is it there?"""
    return shutil.which(PROGRAM) is not None


def require() -> None:
    """Raises BenchError when it is not there."""
    if not installed():
        raise BenchError(MISSING)


def connections(in_flight: int) -> int:
    """Over how many connections so many calls are spread."""
    return max(1, in_flight // CALLS_A_CONNECTION)


async def ask(folder: Path, address: str, method: str, in_flight: int, calls: int) -> list[Answered]:
    """Ask an address of loopback, in plain text, so many times; raises BenchError unless all are answered.

    It looks at HTTP alone, where gRPC's errors are answers too: what the server has counted says the rest.
    """
    body, log = folder / "request.grpc", folder / "h2load.log"
    body.write_bytes(framed(REQUEST))
    log.unlink(missing_ok=True)
    clients = connections(in_flight)
    await run_tool(
        PROGRAM,
        f"--requests={calls}",
        f"--clients={clients}",
        f"--max-concurrent-streams={in_flight // clients}",
        f"--data={body}",
        f"--log-file={log}",
        *(f"--header={header}" for header in _HEADERS),
        f"http://{address}{method}",
    )
    answered = read_log(log.read_text())
    if len(answered) != calls:
        raise BenchError(f"h2load asked {calls} times and logged {len(answered)} answers")
    return answered


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length, itself."""
    return struct.pack("!?I", False, len(message)) + message
