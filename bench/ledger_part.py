"""The ledger part against `pgbench` TPC-B on the same server: a transaction for each payment, and one for thousands."""

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from bench.database import driver_url
from bench.errors import BenchError
from bench.plan import BATCH, IN_FLIGHT, PGBENCH_CLIENTS, PGBENCH_SCALE
from bench.programs.ledger_only import Posted
from bench.stage import Stage
from cli.servers.quarters import TOOLS

_DATABASE = "pgbench"


class LedgerPair(NamedTuple):
    """One measure of each, one after the other."""

    pgbench_tps: float
    ledger: Posted

    @property
    def ledger_taps_per_second(self) -> float:
        """Taps posted a second, by the clock on the wall."""
        return self.ledger.taps / self.ledger.seconds


async def prepare_pgbench(stage: Stage) -> None:
    """Make pgbench's tables, in a database of their own."""
    await _tool(stage, "createdb", _DATABASE)
    await _tool(stage, "pgbench", "--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", _DATABASE)


async def measure_ledger(stage: Stage, batches: int, pgbench_seconds: int) -> LedgerPair:
    """pgbench, then the ledger part on a fresh copy, reconciled."""
    tps = await _pgbench(stage, pgbench_seconds)
    result = stage.folder / "posted.json"
    async with stage.ledger() as ledger:
        await stage.run("ledger-only", "bench.programs.ledger_only", str(batches), str(result), env=stage.environment(ledger))
        posted = msgspec.json.decode(result.read_bytes(), type=Posted)
        await ledger.reconcile((batches + IN_FLIGHT) * BATCH)
    return LedgerPair(tps, posted)


async def _pgbench(stage: Stage, seconds: int) -> float:
    told = await _tool(stage, "pgbench", f"--client={PGBENCH_CLIENTS}", "--jobs=2", f"--time={seconds}", _DATABASE)
    found = re.search(r"^tps = ([0-9.]+)", told, re.MULTILINE)
    if not found:
        raise BenchError(f"pgbench told no rate:\n{told}")
    return float(found[1])


async def _tool(stage: Stage, program: str, *arguments: str) -> str:
    url = urlsplit(driver_url(stage.postgres.owner_url))
    env = {
        **os.environ,
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
    }
    process = await asyncio.create_subprocess_exec(
        TOOLS / program, *arguments, env=env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        raise BenchError(f"{program} ended with status {process.returncode}: {err.decode(errors='replace').strip()}")
    return out.decode()
