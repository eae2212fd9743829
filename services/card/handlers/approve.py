"""Let a second person look at an act of high risk: the request itself asks for it, and is carried out when it is sent again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import asyncpg

from services.card.adapters import approvals, audit
from services.card.domain.actor import Actor
from services.card.domain.approval import Approval, ApprovalState, Case, decidable, usable
from services.card.domain.refusal import Refusal
from services.card.handlers.change_card import Changed
from services.card.handlers.correct_identity import Corrected
from services.card.handlers.delete_holder import Deleted
from services.card.handlers.submit import Decided
from services.common.errors import Code, DomainError

A = TypeVar("A", Changed, Decided, Corrected, Deleted)


async def behind_second_person(
    driver: "asyncpg.Connection[Any]",
    digests: Sequence[bytes],
    case: Callable[[A], Case],
    actor: Actor,
    now_ms: int,
    act: Callable[[bool], Awaitable[A]],
) -> A:
    """Carry an act out if it was approved; otherwise ask for that, and answer how it stands and under which number.

    `act` is told whether somebody approved. It answers SECOND_PERSON_NEEDED when it lacks nothing else, so that nobody is asked
    about what would be refused anyway. All guards are looked at again under the lock when it is carried out.
    """
    found = await approvals.lock_approval_of(driver, digests, actor.number)
    standing = usable(found, actor, now_ms) if found else Refusal.SECOND_PERSON_NEEDED
    answer = await act(standing is None)
    if answer.refusal is not Refusal.SECOND_PERSON_NEEDED:
        if found and standing is None:
            await approvals.use_approval(driver, found.id)
        return answer
    if found and standing in (Refusal.APPROVAL_AWAITED, Refusal.APPROVAL_REJECTED):
        return replace(answer, refusal=standing, approval=found.id)
    asked = case(answer)
    number = await approvals.add_approval(driver, digests[-1], asked, actor, now_ms)
    await _record(driver, actor, "approval.ask", number, asked)
    return replace(answer, approval=number)


async def decide_approval(
    driver: "asyncpg.Connection[Any]", number: int, actor: Actor, now_ms: int, *, approve: bool, reason: str
) -> tuple[Approval, Refusal | None]:
    """A second person's word, or why it does not count. Raises DomainError when nothing was asked under that number.

    Who has a part in the case is looked at again: since it was asked somebody else may have done something about the holder.
    """
    approval = await approvals.lock_approval(driver, number)
    if approval is None or approval.outlet != actor.outlet:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPROVAL", "没有这项待复核的申请")
    handled_by = approval.handled_by | await approvals.who_handled(driver, approval.case.holder, now_ms)
    if refusal := decidable(replace(approval, handled_by=handled_by), actor, now_ms):
        return approval, refusal
    to = ApprovalState.APPROVED if approve else ApprovalState.REJECTED
    await approvals.decide_approval(driver, number, to, actor, reason)
    await _record(driver, actor, f"approval.{to.name.lower()}", number, approval.case)
    decided = await approvals.read_approval(driver, number)
    assert decided is not None, "it is locked"
    return decided, None


async def _record(driver: "asyncpg.Connection[Any]", actor: Actor, act: str, number: int, case: Case) -> None:
    detail: dict[str, str | int] = {"approval": number, "right": case.right.name}
    await audit.record(
        driver, actor, act, holder=case.holder, card=case.card, application=case.application, detail=detail
    )  # fmt: skip
