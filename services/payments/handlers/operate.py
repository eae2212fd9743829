"""Decide online operations: one batch, an answer each."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from services.common.clock import now_ms
from services.common.tracing import span
from services.payments import metrics
from services.payments.adapters.ledger import Ledger
from services.payments.domain.operation import KIND, Answered, Operation
from services.payments.handlers.settle import settle

log = structlog.get_logger()


class Rejected(NamedTuple):
    """The database will not store it; its identity stays free."""

    sqlstate: str


class Operate:
    """Handles operations. Several calls may be under way at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def __call__(self, operations: Sequence[Operation]) -> list[Answered | Rejected]:
        """Give every operation a verdict or a problem. Returns once that is committed, however long the database is away."""
        with span("batch", operations=len(operations)):
            answered = await settle(operations, self._ledger.place, self._post, _reject)
        for operation, answer in zip(operations, answered, strict=True):
            if isinstance(answer, Answered):
                _count(operation, answer)
        return answered

    async def _post(self, operations: Sequence[Operation], read_all: bool) -> list[Answered | Rejected]:
        return [*await self._ledger.operate(operations, now_ms(), read_all=read_all)]


async def _reject(operation: Operation, error: BaseException, state: str) -> list[Answered | Rejected]:
    asked = operation.request
    log.warning(
        "operation_rejected",
        kind=KIND[type(operation)].name,
        sqlstate=state,
        error=type(error).__name__,
        merchant=asked.caller.merchant_id,
        asked=asked.request_id,
    )
    return [Rejected(state)]


def _count(operation: Operation, answer: Answered) -> None:
    ruling = answer.ruling
    if answer.repeated:
        outcome, reason = "repeated", ""
    elif ruling is None:
        outcome, reason = "undecided", answer.problem.name if answer.problem else ""
    else:
        outcome, reason = ("declined", ruling.reason.name) if ruling.reason else ("approved", "")
    metrics.operation(KIND[type(operation)].name.lower(), outcome, reason).inc()
