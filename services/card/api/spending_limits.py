"""SpendingLimitService: what a guardian lets a child spend."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import spending_limits_pb2 as messages
from onecard.card.v1.card_events_pb2 import SpendingLimits as Told
from onecard.card.v1.spending_limits_pb2_grpc import SpendingLimitServiceServicer
from services.card.adapters.sealing import Sealing
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of
from services.card.api.forms import NotAccepted, content_of, read_papers
from services.card.domain.spending_limits import SpendingLimits
from services.card.domain.staff import Right
from services.card.handlers.once import Once
from services.card.handlers.set_spending_limits import GuardiansWord, Limited, set_spending_limits
from services.common.clock import day_of, now_ms
from services.common.grpc.reading import bad, request_id


class SpendingLimitService(SpendingLimitServiceServicer):
    """Reads requests, asks the handler, writes answers."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, actors: Actors) -> None:
        self._sealing = sealing
        self._actors = actors
        self._once = Once(engine, sealing)

    async def SetSpendingLimits(  # noqa: N802
        self, request: messages.SetSpendingLimitsRequest, context: Any
    ) -> messages.SetSpendingLimitsResponse:
        """All of them anew."""
        actor = await self._actors.with_right(Right.SUBMIT_APPLICATION, context)
        asked, now, limits = request_id(request.request_id), now_ms(), _limits(request.limits)
        guardian = read_papers(request.guardian, day_of(now)) if request.HasField("guardian") else None
        if isinstance(guardian, NotAccepted):
            refusal = refusal_of(guardian.refusal, field=guardian.field, message=guardian.message)
            return messages.SetSpendingLimitsResponse(refusal=refusal)
        word = GuardiansWord(request.holder_id, limits, request.identity_verified, guardian)

        async def act(driver: Any) -> Limited:
            return await set_spending_limits(driver, self._sealing, word, actor, now)

        limited = await self._once(actor.caller, asked, "SetSpendingLimits", content_of(request), Limited, act)
        return messages.SetSpendingLimitsResponse(refusal=refusal_of(limited.refusal) if limited.refusal else None)


def _limits(told: Told) -> SpendingLimits:
    said = {field.name: value for field, value in told.ListFields()}
    for name, value in said.items():
        if value < 0:
            raise bad(f"limits.{name}", "at least 0")
    return SpendingLimits(**said)
