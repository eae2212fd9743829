"""A countersignature: a second person's word on one exact request, good once, while both are at work."""

from dataclasses import dataclass
from enum import IntEnum

from services.issuance.domain.actor import Actor
from services.issuance.domain.refusal import Refusal


class SignatureState(IntEnum):
    """How far it has come. The numbers are stored: never changed, never used again."""

    WAITING = 1
    SIGNED = 2
    REJECTED = 3
    USED = 4
    EXPIRED = 5


@dataclass(frozen=True, slots=True)
class Countersignature:
    """What was asked, and what was said to it."""

    id: int
    act: str
    """SPOIL_BLANK, REPORT_MISSING, …"""
    detail: dict[str, str]
    """For the second person: what is to be done, in words and numbers; nothing personal."""
    requested_by: int
    requested_shift: int
    terminal: str
    outlet: str
    state: SignatureState
    decided_by: int
    """0: nobody yet."""
    expire_ms: int
    create_ms: int


def decidable(asked: Countersignature, actor: Actor, now_ms: int) -> Refusal | None:
    """Why somebody who holds the right may not sign or reject it now; None: go on."""
    if asked.state in (SignatureState.SIGNED, SignatureState.REJECTED, SignatureState.USED):
        return Refusal.COUNTERSIGNATURE_DECIDED
    if asked.state is SignatureState.EXPIRED or now_ms >= asked.expire_ms:
        return Refusal.COUNTERSIGNATURE_EXPIRED
    return Refusal.OWN_REQUEST if actor.staff == asked.requested_by else None


def usable(asked: Countersignature | None, actor: Actor, now_ms: int) -> Refusal | None:
    """Why the act is not carried out on it now; None: it may be, and uses it up."""
    if asked is None:
        return Refusal.SECOND_PERSON_NEEDED
    if asked.state is SignatureState.REJECTED:
        return Refusal.COUNTERSIGNATURE_REJECTED
    over = asked.state in (SignatureState.USED, SignatureState.EXPIRED) or now_ms >= asked.expire_ms
    if over or actor.shift != asked.requested_shift:
        return Refusal.SECOND_PERSON_NEEDED
    return None if asked.state is SignatureState.SIGNED else Refusal.COUNTERSIGNATURE_AWAITED
