"""Named points between two steps: whoever runs the service may be told when one is reached, and tests end it there.

A point is `<what> <how far>`: `Submit written`, `Submit committed`, `TAKE posted`, `relay sent`, `batch rows written`.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

AtPoint: TypeAlias = Callable[[str], Awaitable[None]]


async def pass_by(point: str) -> None:
    """Nobody waits there."""
