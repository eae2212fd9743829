"""An approval: a second person's word on one exact request, good once, while both are at work (社会保险经办条例 Art. 37-38)."""

from dataclasses import dataclass
from enum import IntEnum

from services.card.domain.actor import Actor
from services.card.domain.refusal import Refusal
from services.card.domain.staff import Right


class ApprovalState(IntEnum):
    """How far it has come. The numbers are stored and travel: never changed, never used again."""

    PENDING = 1
    APPROVED = 2
    REJECTED = 3
    USED = 4
    EXPIRED = 5


@dataclass(frozen=True, slots=True)
class Case:
    """What a request is about. Nothing in it is personal."""

    right: Right
    detail: dict[str, str | int]
    """For the second person: what is to be done, in words and numbers of the act."""
    holder: int | None = None
    card: int | None = None
    application: int | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """What was asked, and what was said to it."""

    id: int
    case: Case
    handled_by: frozenset[int]
    """Staff accounts that have a part in the case, which is all that was done about its holder lately: none may approve it."""
    requested_by: int
    requested_shift: int
    terminal: str
    outlet: str
    state: ApprovalState
    decided_by: int | None
    reason: str
    expire_ms: int
    create_ms: int
    both_at_work: bool
    """The shifts of who asked, and of who decided, are open."""

    def over(self, now_ms: int) -> bool:
        """Whether it ended with a shift."""
        return self.state is ApprovalState.EXPIRED or now_ms >= self.expire_ms or not self.both_at_work


def decidable(approval: Approval, actor: Actor, now_ms: int) -> Refusal | None:
    """Why somebody who holds the right may not approve or reject it now; None: go on."""
    if approval.state in (ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.USED):
        return Refusal.APPROVAL_DECIDED
    if approval.over(now_ms):
        return Refusal.APPROVAL_EXPIRED
    if actor.number == approval.requested_by:
        return Refusal.OWN_REQUEST
    return Refusal.OWN_CASE if actor.number in approval.handled_by else None


def usable(approval: Approval, actor: Actor, now_ms: int) -> Refusal | None:
    """Why the act is not carried out on it now; None: it may be, and uses it up."""
    if approval.state is ApprovalState.REJECTED:
        return Refusal.APPROVAL_REJECTED
    if approval.state is ApprovalState.USED or approval.over(now_ms) or actor.shift != approval.requested_shift:
        return Refusal.APPROVAL_EXPIRED
    return None if approval.state is ApprovalState.APPROVED else Refusal.APPROVAL_AWAITED
