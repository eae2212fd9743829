"""Asks, waits, and asks again with the same request id while no answer comes, so that nothing is done twice."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypedDict, Unpack

import grpc

from sdk.merchant.access import Line
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError, reason_of

ANSWER_SECONDS: Final = 5.0
"""How long one attempt may take."""
PATIENCE_SECONDS: Final = 20.0
"""How long all of them, and the one attempt at what is asked once."""
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 2.0

_AGAIN: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}
"""Another attempt may be answered."""
_UNKNOWN: Final = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
"""Another one would hardly be, and what this one did is not known."""

Ask: TypeAlias = Callable[..., Any]
Trouble: TypeAlias = Callable[[str], None]


class Asking:
    """Questions on one line. Methods block until there is an answer.

    They raise NotAcceptedError when the platform does not take the question, and OutcomeUnknownError when no answer came: then
    ask again with the same request id.
    """

    def __init__(
        self,
        line: Line,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        trouble: Trouble | None = None,
    ) -> None:
        """The line is closed with it. `trouble` hears of each attempt that failed."""
        self.line = line
        self.metadata = line.metadata
        """Sent with each call."""
        self._answer_seconds = answer_seconds
        self._patience_seconds = patience_seconds
        self._trouble = trouble

    def close(self) -> None:
        """Close the line."""
        self.line.channel.close()

    def ask(self, ask: Ask, request: Any, request_id: str = "") -> Any:
        """The answer, perhaps after several attempts."""
        until = time.monotonic() + self._patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return ask(request, timeout=self._answer_seconds, metadata=self.metadata)
            except grpc.RpcError as error:
                trouble = self._note(error, request_id)
            wait = pause * random.uniform(0.5, 1)  # noqa: S311 - no secret; not all tills come back at the same instant
            if time.monotonic() + wait >= until:
                raise OutcomeUnknownError(request_id, trouble)
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def ask_once(self, ask: Ask, request: Any, *, seconds: float | None = None) -> Any:
        """The answer to what must not be asked twice by itself, such as a code that is good once."""
        try:
            return ask(request, timeout=seconds or PATIENCE_SECONDS, metadata=self.metadata)
        except grpc.RpcError as error:
            raise OutcomeUnknownError("", self._note(error, "")) from None

    def _note(self, error: Any, request_id: str) -> str:
        code, details = error.code(), error.details() or ""
        trouble = f"{code.name}: {details}"
        if code in _UNKNOWN:
            raise OutcomeUnknownError(request_id, trouble)
        if code not in _AGAIN:
            raise NotAcceptedError(reason_of(error) or code.name, details)
        if self._trouble is not None:
            self._trouble(trouble)
        return trouble


def new_request_id() -> str:
    """Never given before."""
    return f"R-{uuid.uuid4().hex}"


class Patience(TypedDict, total=False):
    """How a question is asked, in seconds; `trouble` hears of each attempt that failed."""

    answer_seconds: float
    patience_seconds: float
    trouble: Trouble | None


class Asker:
    """Somebody at one end of a line: what tills, desks and windows have in common."""

    def __init__(self, line: Line, **patience: Unpack[Patience]) -> None:
        """The line is closed with it."""
        self._asking = Asking(line, **patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the line."""
        self._asking.close()
