"""Calls that are done to their end, though whoever asked may have gone."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, TypeAlias, TypeVar

import structlog

from services.common.errors import DomainError
from services.common.logs import fault_of

A = TypeVar("A")
Method: TypeAlias = Callable[[Any, Any, Any], Coroutine[Any, Any, A]]

log = structlog.get_logger()

_running: Final[set[asyncio.Task[Any]]] = set()
"""The event loop itself keeps a task alive no longer than somebody else does."""


def to_its_end(method: Method[A]) -> Method[A]:
    """Of what counts a try before it looks. Broken off in between, a right password would stay a failure, so that whoever is
    answered too slowly a few times is locked out; and a guess could leave before it is written down.
    """

    @wraps(method)
    async def handler(service: Any, request: Any, context: Any) -> A:
        work = asyncio.create_task(method(service, request, context))
        _running.add(work)
        work.add_done_callback(_running.discard)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_note)
            raise

    return handler


def _note(work: "asyncio.Task[Any]") -> None:
    """Nobody is left to be told; what nobody expected is said in the log."""
    error = None if work.cancelled() else work.exception()
    if error and not isinstance(error, DomainError):
        log.error("left_call_failed", **fault_of(error))
