"""ShiftService: a shift is counted, and closed."""

from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.blanks_pb2_grpc import ShiftServiceServicer
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.grpc.reading import bad, request_id
from services.issuance import metrics
from services.issuance.adapters.shifts import read_count
from services.issuance.api.actors import Actors
from services.issuance.api.blank_answers import balance_of, refusal_of
from services.issuance.domain.rights import Right
from services.issuance.domain.shift import Count
from services.issuance.handlers.close_shift import ACT, Closed, CloseShift
from services.issuance.handlers.once import Once, digests

_LONGEST_REASON: Final = 200
_MOST: Final = 1_000_000
_MOST_FEN: Final = 1_000_000_000_000


class ShiftService(ShiftServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, engine: AsyncEngine, actors: Actors, closing: CloseShift) -> None:
        self._engine = engine
        self._actors = actors
        self._closing = closing
        self._once = Once(engine)

    async def CountShift(self, request: messages.CountShiftRequest, context: Any) -> messages.CountShiftResponse:  # noqa: N802
        """What was counted is stored first; then the books are shown."""
        actor = await self._actors.with_right(Right.CLOSE_SHIFT, context)
        numbers = (request.unused, request.spoiled, request.lying)
        if not all(0 <= number <= _MOST for number in numbers) or not 0 <= request.cash_fen <= _MOST_FEN:
            raise bad("count", "no number is below zero")
        counted = Count(*numbers, request.cash_fen)
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)

        async def act(driver: "asyncpg.Connection[Any]") -> int:
            return await self._closing.count(driver, actor, counted)

        number = await self._once(actor.terminal, asked, "CountShift", content, int, act)
        return messages.CountShiftResponse(shift_count_id=number, balance=balance_of(await self._closing.books(number)))

    async def CloseShift(self, request: messages.CloseShiftRequest, context: Any) -> messages.CloseShiftResponse:  # noqa: N802
        """As it was counted last."""
        actor, now = await self._actors.with_right(Right.CLOSE_SHIFT, context), now_ms()
        reason = request.reason.strip()
        if len(reason) > _LONGEST_REASON:
            raise bad("reason", f"at most {_LONGEST_REASON} characters")
        asked, content = request_id(request.request_id), request.SerializeToString(deterministic=True)
        closed = await self._once.heard(actor.terminal, asked, ACT, content, Closed)
        if closed is None:
            cash_fen = await self._closing.till_fen(actor.terminal)

            async def act(driver: "asyncpg.Connection[Any]") -> Closed:
                number = request.shift_count_id
                return await self._closing.close(driver, number, actor, reason, cash_fen, digests(ACT, content), now)

            closed = await self._once(actor.terminal, asked, ACT, content, Closed, act, final=lambda c: c.closed)
            if closed.closed:
                metrics.SHIFTS_CLOSED.inc()
                await self._closing.post(actor.terminal)
        async with driver_session(self._engine) as driver:
            counted = await read_count(driver, request.shift_count_id)
        return messages.CloseShiftResponse(
            closed=closed.closed,
            refusal=refusal_of(closed.refusal),
            countersignature_id=closed.countersignature,
            balance=balance_of(counted) if counted and counted.place == actor.terminal else None,
        )
