"""Where the time goes: step by step, from a process that runs the worker's handler alone, and what a transaction code costs."""

from typing import Final

import msgspec

from bench.outcomes import OutcomeReader
from bench.plan import BATCH
from bench.programs.steps import StepTime
from bench.programs.verify import Verified
from bench.stage import Stage

_CODES: Final = 50_000


async def measure_codes(stage: Stage) -> Verified:
    """How quickly one core verifies what terminals sign."""
    result = stage.folder / "verified.json"
    async with stage.ledger() as ledger:
        await stage.run("verify", "bench.programs.verify", str(_CODES), str(result), env=stage.environment(ledger))
    return msgspec.json.decode(result.read_bytes(), type=Verified)


async def measure_steps(stage: Stage, reader: OutcomeReader, batches: int, backlog: int) -> list[StepTime]:
    """Microseconds a tap of every step, on a fresh ledger, reconciled; partitions as long as those of the backlog."""
    partitions = max(1, round(stage.partitions * batches * BATCH / backlog))
    result = stage.folder / "steps.json"
    async with stage.ledger() as ledger:
        arguments = (str(batches), str(partitions), str(result))
        await stage.run("steps", "bench.programs.steps", *arguments, env=stage.environment(ledger))
        await reader.skip_rest()
        await ledger.reconcile((batches + 1) * BATCH)
    return msgspec.json.decode(result.read_bytes(), type=list[StepTime])
