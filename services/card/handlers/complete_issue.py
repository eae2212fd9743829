"""The holder has the card that was made while they waited: it is collected and enabled in one transaction, or neither.

docs/decisions/0022-issuance-and-card.md says how issuance and the card service meet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from services.card.adapters import audit, shifts
from services.card.adapters.applications import lock_application
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import ApplicationState, Step, advance
from services.card.domain.life_cycle import Verb
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.domain.staff import RIGHTS, Right
from services.card.handlers.change_card import Change, Changed, change_card
from services.common.errors import Code, DomainError

_VERBS = {
    ApplicationState.AT_OUTLET: (Verb.COLLECT, Verb.ENABLE),
    ApplicationState.COLLECTED: (Verb.ENABLE,),
}
"""What is left to do, by how far the application has come."""


class _UndoneError(Exception):
    """One of the verbs was refused: the one before it is taken back."""

    def __init__(self, changed: Changed) -> None:
        self.changed = changed


async def complete_issue(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    number: int,
    change: Change,
    actor: Actor,
    now_ms: int,
) -> Changed:
    """The enabled card, or why nothing was done. `change`: what was shown, and the PIN; its card and its verb do not count.

    Raises DomainError when there is no such application, or when issuance names somebody who was not signed in there.
    """
    application = await lock_application(driver, number)
    if application is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    await _check_shift(driver, actor, application.card or 0)
    verbs = _VERBS.get(application.state)
    if verbs is None or application.card is None:
        return Changed(application.card or 0, 0, application.holder, _too_early_or_late(application.state))
    asked = replace(change, card=application.card)
    try:
        async with driver.transaction():
            changed = await _carry_out(driver, sealing, settings, verbs, asked, actor, now_ms)
    except _UndoneError as undone:
        return undone.changed
    detail: dict[str, str | int] = {"through": "issuance"}
    await audit.record(
        driver,
        actor,
        "card.complete_issue",
        holder=application.holder,
        card=application.card,
        application=number,
        detail=detail,
    )
    return changed


async def _carry_out(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    verbs: Sequence[Verb],
    asked: Change,
    actor: Actor,
    now_ms: int,
) -> Changed:
    """The card after the last of the verbs, with which the PIN is set. Raises _UndoneError."""
    for verb in verbs:
        change = replace(asked, verb=verb, pin=asked.pin if verb is verbs[-1] else None)
        changed = await change_card(driver, sealing, settings, change, actor, now_ms)
        if changed.refusal:
            raise _UndoneError(changed)
    return changed


async def _check_shift(driver: "asyncpg.Connection[Any]", actor: Actor, card: int) -> None:
    """Issuance says who handed the card over: somebody who was signed in there, and while they still are, may do that.

    The shift may have ended since, with a link that was lost: the holder has the card, and it is to be enabled all the same.
    It may be a later one than that in which it was printed, for the card lay at the outlet; one that had ended before the card
    was begun has handed over nothing.
    """
    shift = await shifts.read_shift(driver, actor.shift or 0, card)
    known = shift is not None and (shift.staff, shift.terminal, shift.outlet) == (actor.number, actor.terminal, actor.outlet)
    right = shift is not None and (shift.ended or shift.roles & RIGHTS[Right.CHANGE_CARD]) and not shift.ended_before
    if not known or not right:
        raise DomainError(Code.FAILED_PRECONDITION, "UNKNOWN_SHIFT", "经办人的登录记录不符，请重新登录后再办理")


def _too_early_or_late(state: ApplicationState) -> Refusal:
    match state:
        case ApplicationState.IN_PRODUCTION:
            return Refusal.NOT_AT_OUTLET
        case ApplicationState.COMPLETED:
            return Refusal.ALREADY_ENABLED
    found = advance(state, Step.COLLECT)
    return found if isinstance(found, Refusal) else Refusal.NOT_AT_THIS_STEP
