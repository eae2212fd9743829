"""Go a step with an application: bring its photo, take it back, send it back, hand it in again."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.applications import (
    Application,
    lock_application,
    move_application,
    read_application,
    read_open_applications,
)
from services.card.adapters.cards import read_cards_of
from services.card.adapters.money import hand_out_fee
from services.card.adapters.people import read_holders
from services.card.adapters.photos import NewPhoto, add_photos, newest_photos
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.application import Applicant, Step, advance, in_the_way
from services.card.domain.person import Field
from services.card.domain.refusal import Refusal
from services.card.handlers.submit import CheckedPhoto
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of it."""

    application: int
    refusal: Refusal | None = None
    hand_out_fen: int = 0
    """A fee that was paid in cash: it goes over the counter now."""


async def handle_application(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    number: int,
    step: Step,
    actor: Actor,
    now_ms: int,
    *,
    cause: int = 0,
    remark: str = "",
) -> Handled:
    """A step by the table, or why not. Raises DomainError when there is no such application."""
    application = await lock_application(driver, number)
    if application is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    to = advance(application.state, step)
    if not isinstance(to, Refusal) and step is Step.RESUBMIT:
        to = await what_is_in_the_way(driver, sealing, application) or to
    if isinstance(to, Refusal):
        return Handled(number, to)
    await move_application(driver, application, step, to, actor, now_ms, cause=cause, remark=remark)
    await _record(driver, actor, application, step)
    if step is Step.WITHDRAW and actor.kind is ActorKind.STAFF:
        return Handled(number, hand_out_fen=await hand_out_fee(driver, number, actor.terminal))
    return Handled(number)


async def add_photo(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, number: int, photo: CheckedPhoto, actor: Actor, now_ms: int
) -> Handled:
    """The photo that an application waits for."""
    handled = await handle_application(driver, sealing, number, Step.ADD_PHOTO, actor, now_ms)
    if handled.refusal is None:
        await store_photo(driver, sealing, number, photo, now_ms)
    return handled


async def store_photo(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, number: int, photo: CheckedPhoto, now_ms: int
) -> None:
    """Seal a photo of the applicant behind those that are there."""
    application = await read_application(driver, number)
    assert application is not None, "it is locked"
    holder = (await read_holders(driver, sealing, [application.holder], lock=True))[application.holder]
    newest = (await newest_photos(driver, [holder.id])).get(holder.id, 0)
    sealed = holder.cipher.seal(Field.PHOTO, photo.jpeg)
    await add_photos(driver, [NewPhoto(holder.id, newest + 1, sealed, list(photo.overrides), photo.reason)], now_ms)


async def what_is_in_the_way(driver: "asyncpg.Connection[Any]", sealing: Sealing, application: Application) -> Refusal | None:
    """Meanwhile the applicant may have applied again, or have got a card."""
    holder = application.holder
    person = (await read_holders(driver, sealing, [holder]))[holder].person()
    cards = (await read_cards_of(driver, [holder])).get(holder, [])
    open_application = (await read_open_applications(driver, [holder])).get(holder)
    return in_the_way(application.kind, application.route, Applicant(person, tuple(cards), open_application))


async def _record(driver: "asyncpg.Connection[Any]", actor: Actor, application: Application, step: Step) -> None:
    act = f"application.{step.name.lower()}"
    await audit.record(driver, actor, act, holder=application.holder, application=application.id)
