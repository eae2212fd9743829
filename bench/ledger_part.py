"""The ledger part against `pgbench` TPC-B, against COPY of the same rows, and against itself on a ledger with a past."""

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from bench.database import LedgerCopy, driver_url
from bench.errors import BenchError
from bench.plan import IN_FLIGHT, LEDGER_BATCH, PGBENCH_CLIENTS, PGBENCH_SCALE
from bench.programs.copy_only import Copied
from bench.programs.ledger_only import Posted
from bench.stage import Stage
from bench.tools import run_tool
from cli.servers.quarters import TOOLS
from services.payments.adapters.rows import TRANSFER_COLUMNS

_DATABASE: Final = "pgbench"
_WRITTEN: Final = f"select {', '.join(TRANSFER_COLUMNS)} from payments.transfer where batch > $1 order by id"


class LedgerRound(NamedTuple):
    """One measure of each, one after the other."""

    pgbench_tps: float
    ledger: Posted
    """On a ledger without a past."""
    copy: Copied
    """COPY of the transfers that it wrote."""
    with_past: Posted


class LedgerWithPast:
    """Posts on top of what is there, round after round; reconciled once, at the end."""

    def __init__(self, ledger: LedgerCopy, transfers: int) -> None:
        self._ledger = ledger
        self._posted = 0
        self._transfers = transfers

    @property
    def next_number(self) -> int:
        """Of a tap: the past has taken the first sequences of every terminal."""
        return self._transfers + self._posted + 1

    async def post(self, stage: Stage, batches: int) -> Posted:
        """Post so many batches of new taps."""
        posted = await _post(stage, self._ledger, batches, self.next_number)
        self._posted += taps_of(batches)
        return posted

    async def reconcile(self) -> None:
        """Raises NotReconciledError."""
        await self._ledger.reconcile(self._posted)


def taps_of(batches: int) -> int:
    """How many taps are posted when so many batches are measured: the first ones open the sessions."""
    return (batches + IN_FLIGHT) * LEDGER_BATCH


async def prepare_pgbench(stage: Stage) -> None:
    """Make pgbench's tables, in a database of their own."""
    await _tool(stage, "createdb", _DATABASE)
    await _tool(stage, "pgbench", "--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", _DATABASE)


async def measure_ledger(stage: Stage, past: LedgerWithPast, batches: int, pgbench_seconds: int, number: int) -> LedgerRound:
    """pgbench, the ledger part without and with a past (every other round with it first), COPY; the first one reconciled."""
    tps = await _pgbench(stage, pgbench_seconds)
    first, rows = past.next_number, stage.folder / "transfers.copy"
    with_past = await past.post(stage, batches) if number % 2 else None
    async with stage.ledger() as ledger:
        posted = await _post(stage, ledger, batches, first)
        await ledger.reconcile(taps_of(batches))
        await _rows_of(ledger, rows)
    if with_past is None:
        with_past = await past.post(stage, batches)
    result = stage.folder / "copied.json"
    async with stage.ledger() as ledger:
        await stage.run("copy-only", "bench.programs.copy_only", str(rows), str(result), env=stage.environment(ledger))
    rows.unlink()
    return LedgerRound(tps, posted, msgspec.json.decode(result.read_bytes(), type=Copied), with_past)


async def _post(stage: Stage, ledger: LedgerCopy, batches: int, first: int) -> Posted:
    result = stage.folder / "posted.json"
    arguments = (str(batches), str(result), f"--first={first}")
    await stage.run("ledger-only", "bench.programs.ledger_only", *arguments, env=stage.environment(ledger))
    return msgspec.json.decode(result.read_bytes(), type=Posted)


async def _rows_of(ledger: LedgerCopy, file: Path) -> None:
    await ledger.connection.copy_from_query(_WRITTEN, ledger.last_seeded_batch, output=file, format="binary")


async def _pgbench(stage: Stage, seconds: int) -> float:
    told = await _tool(stage, "pgbench", f"--client={PGBENCH_CLIENTS}", "--jobs=2", f"--time={seconds}", _DATABASE)
    found = re.search(r"^tps = ([0-9.]+)", told, re.MULTILINE)
    if not found:
        raise BenchError(f"pgbench told no rate:\n{told}")
    return float(found[1])


async def _tool(stage: Stage, program: str, *arguments: str) -> str:
    url = urlsplit(driver_url(stage.postgres.owner_url))
    env = {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
    }
    return await run_tool(TOOLS / program, *arguments, env=env)
