"""Hand a refused application in again: with another photo, for another account, or with a form that was put right."""

from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from services.card.adapters.applications import begin_again, lock_application
from services.card.adapters.cards import read_cards_of
from services.card.adapters.people import lock_holder
from services.card.adapters.photos import newest_photos
from services.card.adapters.sealing import Sealing
from services.card.adapters.work_calendar import due_ms
from services.card.domain.actor import Actor
from services.card.domain.application import Step, advance
from services.card.domain.bank_file import Product
from services.card.domain.names import cannot_carry, carriers, prints_with
from services.card.domain.particulars import Particulars
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.bring_up_to_date import bring_up_to_date
from services.card.handlers.correct_identity import Correction, correct_identity
from services.card.handlers.handle_application import Handled, handle_application, store_photo, what_is_in_the_way
from services.card.handlers.submit import CheckedPhoto
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class Resubmission:
    """What is different when a refused application is handed in again."""

    photo: CheckedPhoto | None = field(default=None, repr=False)
    class_2_account: bool = False
    correction: Correction | None = None
    """The person as the form says now, whoever that is; None: as before."""
    particulars: Particulars | None = None
    """As the form says now; None: there is none."""


async def resubmit(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    number: int,
    again: Resubmission,
    actor: Actor,
    now_ms: int,
) -> Handled:
    """Its time begins anew; or why not. Raises DomainError when there is no such application."""
    application = await lock_application(driver, number)
    if application is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    to = advance(application.state, Step.RESUBMIT)
    refusal = to if isinstance(to, Refusal) else await what_is_in_the_way(driver, sealing, application)
    if refusal is None and again.photo is None and not await newest_photos(driver, [application.holder]):
        refusal = Refusal.PHOTO_AWAITED
    if refusal is None and again.correction:
        refusal = await _put_right(driver, sealing, replace(again.correction, holder=application.holder), actor, now_ms)
    if refusal:
        return Handled(number, refusal)
    await handle_application(driver, sealing, number, Step.RESUBMIT, actor, now_ms)
    if again.photo:
        await store_photo(driver, sealing, number, again.photo, now_ms)
    holder = await lock_holder(driver, sealing, application.holder)
    if again.particulars:
        await bring_up_to_date(driver, holder, again.particulars, actor, now_ms)
    beyond = carriers(cannot_carry(holder.person().name, prints_with(settings.printing.charset)))
    product = Product.CLASS_2 if again.class_2_account else Product.CLASS_1
    await begin_again(driver, number, product, beyond, due_ms(settings.application, application.mode, now_ms))
    return Handled(number)


async def _put_right(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, correction: Correction, actor: Actor, now_ms: int
) -> Refusal | None:
    """Who never had a card is known by this form alone; whoever had one is corrected before a second person."""
    had_card = bool(await read_cards_of(driver, [correction.holder]))
    corrected = await correct_identity(driver, sealing, correction, actor, now_ms, approved=not had_card)
    if corrected.refusal is Refusal.NOTHING_TO_CORRECT:
        return None
    return Refusal.CORRECTION_NEEDED if had_card else corrected.refusal
