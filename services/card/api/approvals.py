"""ApprovalService: a second person looks at what is asked, and says yes or no."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import approvals_pb2 as messages
from onecard.card.v1.approvals_pb2_grpc import ApprovalServiceServicer
from services.card.adapters.approvals import list_pending, read_approval
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of
from services.card.api.places import Place
from services.card.domain.approval import Approval, ApprovalState
from services.card.domain.staff import Right, may
from services.card.handlers.approve import decide_approval
from services.card.handlers.once import transact
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.common.grpc.reading import bad, page_size

_LONGEST_REASON: Final = 200


class ApprovalService(ApprovalServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, engine: AsyncEngine, actors: Actors) -> None:
        self._engine = engine
        self._actors = actors

    async def ListApprovals(  # noqa: N802
        self, request: messages.ListApprovalsRequest, context: Any
    ) -> messages.ListApprovalsResponse:
        """What waits here."""
        actor = await self._actors.with_right(Right.APPROVE, context)
        size, place = page_size(request.page_size, 50, 200), read_token(request.page_token, Place)
        async with driver_session(self._engine) as driver:
            found = await list_pending(driver, actor.outlet, now_ms(), after=place.after if place else 0, limit=size)
        following = Place(found[-1].id) if len(found) == size else None
        return messages.ListApprovalsResponse(
            approvals=[approval_of(one, now_ms()) for one in found], next_page_token=write_token(following)
        )

    async def GetApproval(self, request: messages.GetApprovalRequest, context: Any) -> messages.GetApprovalResponse:  # noqa: N802
        """How one stands: for who asked, and for who may decide."""
        actor = await self._actors.actor(context)
        async with driver_session(self._engine) as driver:
            found = await read_approval(driver, request.approval_id)
        concerned = found and (found.requested_by == actor.number or may(actor, Right.APPROVE))
        if found is None or found.outlet != actor.outlet or not concerned:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPROVAL", "没有这项待复核的申请")
        return messages.GetApprovalResponse(approval=approval_of(found, now_ms()))

    async def DecideApproval(  # noqa: N802
        self, request: messages.DecideApprovalRequest, context: Any
    ) -> messages.DecideApprovalResponse:
        """Yes or no."""
        actor = await self._actors.with_right(Right.APPROVE, context)
        now, reason = now_ms(), request.reason.strip()
        if len(reason) > _LONGEST_REASON or not (request.approve or reason):
            raise bad("reason", f"a rejection says why, in 1 to {_LONGEST_REASON} characters")

        async def act(driver: Any) -> messages.DecideApprovalResponse:
            approval, refusal = await decide_approval(
                driver, request.approval_id, actor, now, approve=request.approve, reason=reason
            )
            return messages.DecideApprovalResponse(
                approval=approval_of(approval, now), refusal=refusal_of(refusal) if refusal else None
            )

        return await transact(self._engine, act)


def approval_of(approval: Approval, now_ms: int) -> messages.Approval:
    """An approval as it stands."""
    ended = approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED) and approval.over(now_ms)
    state = ApprovalState.EXPIRED if ended else approval.state
    return messages.Approval(
        approval_id=approval.id,
        act=approval.case.right.name,
        detail={key: str(value) for key, value in approval.case.detail.items()},
        holder_id=approval.case.holder or 0,
        card_id=approval.case.card or 0,
        application_id=approval.case.application or 0,
        requested_by_staff_id=approval.requested_by,
        terminal=approval.terminal,
        outlet=approval.outlet,
        state=state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        decided_by_staff_id=approval.decided_by or 0,
        reason=approval.reason,
        create_time_ms=approval.create_ms,
        expire_time_ms=approval.expire_ms,
    )
