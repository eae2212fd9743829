"""CountersignService: a second person looks at what is asked, and signs or rejects."""

from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.blanks_pb2_grpc import CountersignServiceServicer
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.grpc.reading import bad
from services.issuance.adapters.countersignatures import list_waiting
from services.issuance.api.actors import Actors
from services.issuance.api.blank_answers import countersignature_of, refusal_of
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.rights import Right
from services.issuance.handlers.countersign import decide_countersignature
from services.issuance.handlers.once import transact

_LONGEST_REASON: Final = 200
_MOST: Final = 200


class CountersignService(CountersignServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, engine: AsyncEngine, actors: Actors) -> None:
        self._engine = engine
        self._actors = actors

    async def ListCountersignatures(  # noqa: N802
        self, request: messages.ListCountersignaturesRequest, context: Any
    ) -> messages.ListCountersignaturesResponse:
        """What waits here."""
        actor = await self._actors.with_right(Right.COUNTERSIGN, context)
        async with driver_session(self._engine) as driver:
            found = await list_waiting(driver, actor.outlet, now_ms(), _MOST)
        return messages.ListCountersignaturesResponse(waiting=map(countersignature_of, found))

    async def DecideCountersignature(  # noqa: N802
        self, request: messages.DecideCountersignatureRequest, context: Any
    ) -> messages.DecideCountersignatureResponse:
        """Yes or no."""
        actor = await self._actors.with_right(Right.COUNTERSIGN, context)
        now, reason = now_ms(), request.reason.strip()
        if len(reason) > _LONGEST_REASON or not (request.sign or reason):
            raise bad("reason", f"a rejection says why, in 1 to {_LONGEST_REASON} characters")

        async def act(driver: "asyncpg.Connection[Any]") -> Refusal | None:
            number = request.countersignature_id
            return await decide_countersignature(driver, number, actor, now, sign=request.sign, reason=reason)

        return messages.DecideCountersignatureResponse(refusal=refusal_of(await transact(self._engine, act)))
