"""Change somebody's account: lock it together with whoever changes it, decide by the table, end the shift, write it down."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from services.card.adapters import audit, staff
from services.card.domain.actor import Actor, Role
from services.card.domain.refusal import Refusal
from services.card.domain.staff import RIGHTS, STAFF_TABLE, Right, StaffState, StaffVerb, manage, separate
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody works, and what they are trusted with."""

    outlet: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Managed:
    """What became of it."""

    staff: int
    refusal: Refusal | None = None


async def manage_staff(
    driver: "asyncpg.Connection[Any]", number: int, verb: StaffVerb, actor: Actor, now_ms: int, place: Place | None = None
) -> Managed:
    """One verb on one account. Raises DomainError for nobody's number, and for an administrator who is none any more."""
    locked = await staff.lock_staff(driver, {number, actor.number})
    if number not in locked:
        raise unknown_staff()
    member, by = locked[number], locked[actor.number]
    if by.state is not StaffState.ACTIVE or not by.roles & RIGHTS[Right.MANAGE_STAFF]:
        raise DomainError(Code.PERMISSION_DENIED, Refusal.NOT_YOUR_RIGHT.name, "您的账号刚被变更，请重新登录")
    to = manage(verb, member.state, own=number == actor.number)
    if isinstance(to, Refusal):
        return Managed(number, to)
    after = member._replace(state=to)
    if place:
        check_roles(place.roles)
        after = after._replace(outlet=place.outlet, roles=place.roles)
    await staff.store_staff(driver, after)
    if verb is StaffVerb.UNLOCK:
        await staff.unlock(driver, number)
    if ending := STAFF_TABLE[verb][2]:
        await staff.end_shifts(driver, number, ending, now_ms)
    roles = ",".join(sorted(role.name for role in after.roles))
    detail: dict[str, str | int] = {"staff": number, "roles": roles, "outlet": after.outlet}
    await audit.record(driver, actor, f"staff.{verb.name.lower()}", detail=detail)
    return Managed(number)


def check_roles(roles: frozenset[Role]) -> None:
    """Raises DomainError for none at all, and for two administrations in one hand."""
    if not roles or not separate(roles):
        message = "数据库、安全、审计管理员三种岗位不能由同一人兼任，且至少选择一个岗位"
        raise DomainError(Code.INVALID_ARGUMENT, "ROLES_NOT_SEPARATE", message)


def unknown_staff() -> DomainError:
    """Nobody has this number."""
    return DomainError(Code.NOT_FOUND, "UNKNOWN_STAFF", "没有这个人员账号")
