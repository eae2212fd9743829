"""Waiting for what must come about, with an end and a name for what did not."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final

SOMEBODY_WAITS: Final = """
    select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
"""For a lock, in the database that is asked."""


async def until(what: str, holds: Callable[[], bool | Awaitable[bool]], within: float = 90) -> None:
    """Ask until it holds; fails with `what` after so many seconds."""
    end = time.monotonic() + within
    while True:
        found = holds()
        if await found if inspect.isawaitable(found) else found:
            return
        if time.monotonic() > end:
            raise AssertionError(f"waited {within:.0f} s in vain until {what}")
        await asyncio.sleep(0.05)
