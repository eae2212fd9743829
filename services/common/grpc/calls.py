"""One call: what its handler may ask about it, and how it ends in the metrics, the log and the answer."""

import asyncio
import itertools
import re
import secrets
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

import grpc
import structlog
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from services.common.database import DatabaseError, Trouble, trouble
from services.common.errors import Code, DomainError
from services.common.grpc.callers import SUBJECT_KEY, Caller
from services.common.grpc.metrics import CODES, MethodCounts
from services.common.grpc.statuses import DETAILS_KEY, STATUS, details_of
from services.common.logs import fault_of
from services.common.peer import Peer

log = structlog.get_logger()

REQUEST_ID_KEY: Final = "x-request-id"
SLOW_SECONDS: Final = 1.0

_OK: Final = 0
_CANCELLED: Final = 1
_DEADLINE_EXCEEDED: Final = 4

_peer: Final[ContextVar[Peer]] = ContextVar("peer")
# By this name structlog adds it to whatever is logged during the call: `bind_contextvars` costs ten times as much.
_request_id: Final[ContextVar[str]] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")

_good_request_id = re.compile(r"[\x21-\x7e]{1,64}").fullmatch
_CARD: Final = re.compile(r"[0-9A-F]{32}")
"""A card's identifier: who puts one into an id does not find it in our log."""
_request_ids = map(f"{secrets.token_hex(6)}-{{:x}}".format, itertools.count(1))


def current_peer() -> Peer:
    """Who made the call that is being served."""
    return _peer.get()


def current_request_id() -> str:
    """The call's id in the logs: the caller's own, or one that we made. Nothing is ever decided by it."""
    return _request_id.get()


def request_id_here() -> str:
    """The id of the call that is being served; empty where none is."""
    return _request_id.get("")


def asked_in(request: Any) -> str:
    """The id that a message itself carries, under which the services store what it asks; empty: none that a log can show."""
    asked = getattr(request, "request_id", "")
    return asked if isinstance(asked, str) and _good_request_id(asked) and not _CARD.search(asked) else ""


class Call:
    """One call, from its first moment to its last."""

    __slots__ = (
        "_began",
        "_context",
        "_counts",
        "_ended_by",
        "_method",
        "_streaming",
        "_task",
        "caller",
        "metadata",
        "request",
        "says",
    )

    caller: Caller

    def __init__(self, method: str, counts: MethodCounts, context: Any, *, streaming: bool) -> None:
        self._began = perf_counter()
        counts.started += 1
        self._method = method
        self._counts = counts
        self._context = context
        self._streaming = streaming
        self._ended_by: DomainError | None = None
        self.request: Any = None
        request_id = self.says = ""
        for key, value in context.invocation_metadata():
            if key == REQUEST_ID_KEY and _good_request_id(value):
                request_id = value
            elif key == SUBJECT_KEY:
                self.says = value
        if request_id:
            # Of an answer only who named it wants to hear it again; of an error everybody does.
            context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        else:
            request_id = next(_request_ids)
        _request_id.set(request_id)
        self.metadata = ((REQUEST_ID_KEY, request_id),)

    def admit(self, caller: Caller) -> None:
        """From now on the handler may ask who calls."""
        self.caller = caller
        _peer.set(caller.peer)

    def succeed(self) -> None:
        """Count an answer; say only when it took long."""
        seconds = self._end(_OK)
        if seconds > SLOW_SECONDS and not self._streaming:
            log.warning("call_slow", seconds=round(seconds, 3), **self._facts())

    async def fail(self, error: BaseException) -> None:
        """End with a status. Returns when nobody is left to tell or was told already: then the error goes on its way."""
        match error:
            case asyncio.CancelledError() if self._ended_by:
                self._task.uncancel()  # we asked for it ourselves
                await self._refuse(self._ended_by)
            case asyncio.CancelledError() if _cancelled():
                self._leave()
            case DomainError():
                await self._refuse(error)
            case grpc.aio.AbortError():
                self._end(self._context.code())
            case Exception() if _database_away(error):
                await self._refuse(DomainError(Code.UNAVAILABLE, "DATABASE_AWAY", "not now; ask again in a moment"))
            case Exception() | asyncio.CancelledError():
                await self._break(error)

    def cancel(self, task: asyncio.Task[Any], error: DomainError) -> None:
        """End a call from outside of it."""
        self._task, self._ended_by = task, error
        task.cancel()

    async def _refuse(self, error: DomainError) -> None:
        seconds = self._end(STATUS[error.code].value[0])
        log.info(
            "call_refused",
            code=error.code.name,
            reason=error.reason,
            seconds=round(seconds, 3),
            **self._facts(),
        )
        await self._abort(error)

    async def _break(self, error: BaseException) -> None:
        fault = DomainError(Code.INTERNAL, "INTERNAL", "a fault on our side; ask again with the same request id")
        seconds = self._end(STATUS[fault.code].value[0])
        log.error("call_failed", seconds=round(seconds, 3), **self._facts(), **fault_of(error))
        await self._abort(fault)

    def _leave(self) -> None:
        """The caller has gone, or does not wait any longer: nobody hears an answer."""
        remaining = self._context.time_remaining()
        code = _CANCELLED if remaining is None or remaining > 0 else _DEADLINE_EXCEEDED
        seconds = self._end(code)
        if not self._streaming:  # a stream ends like that every time
            log.info("call_left", code=CODES[code], seconds=round(seconds, 3), **self._facts())

    async def _abort(self, error: DomainError) -> None:
        await self._context.abort(STATUS[error.code], error.message, (*self.metadata, (DETAILS_KEY, details_of(error))))

    def _end(self, code: int) -> float:
        seconds = perf_counter() - self._began
        self._counts.end(code, seconds)
        return seconds

    def _facts(self) -> dict[str, str]:
        """What leads from a line to what was asked, and by whom."""
        caller = getattr(self, "caller", None)
        facts = {"method": self._method, "caller": caller.peer.subject.uri if caller else "?"}
        if asked := asked_in(self.request):
            facts["asked"] = asked
        return facts


def _database_away(error: BaseException) -> bool:
    """Did a session break, or was none to be had? Who asks again in a moment is answered."""
    return isinstance(error, DatabaseError) and trouble(error) is Trouble.WAIT


def _cancelled() -> bool:
    """Was this very task cancelled, and not only something that it waited for?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
