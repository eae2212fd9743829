"""Runs the programs that others made for measuring: pgbench, h2load."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path

from bench.errors import BenchError


async def run_tool(program: str | Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run it to its end and return what it told; raises BenchError with its complaint."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, env={**os.environ, **(env or {})}, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        raise BenchError(f"{program} ended with status {process.returncode}: {err.decode(errors='replace').strip()}")
    return out.decode()
