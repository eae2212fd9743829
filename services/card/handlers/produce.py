"""The saga of a card's making: it begins with numbers that are never used again, and ends at the outlet, or in vain.

docs/decisions/0017-issue-and-switch.md has its table of steps. The switch itself is the enabling, in `change_card`.
"""

from datetime import timedelta
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.applications import Application, lock_application, move_application
from services.card.adapters.cards import NewCard, add_card, draw_numbers, lock_card, read_cards_of, store_card
from services.card.adapters.money import read_fee
from services.card.adapters.people import add_lookups, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import ApplicationKind, Step, advance
from services.card.domain.card import LIVE, Card, CardKind, FinancialStatus, Production
from services.card.domain.card_number import card_identifier, card_number
from services.card.domain.fee import may_be_made
from services.card.domain.life_cycle import Party, Shown, Verb, decide
from services.card.domain.person import Field, LookupField
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.handle_application import Handled
from services.common.clock import SHANGHAI, instant
from services.common.errors import Code, DomainError

_SUCCEEDS = frozenset({ApplicationKind.REISSUE, ApplicationKind.REPLACE})


async def begin_production(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    number: int,
    step: Step,
    actor: Actor,
    now_ms: int,
) -> Handled:
    """Step 1: a new card, sealed and in production, beside the one whose place it is to take.

    `step`: the bank accepted, or the card is made at once. Asked again, it makes no second card.
    """
    application = await _locked(driver, number)
    to = advance(application.state, step)
    if isinstance(to, Refusal):
        return Handled(number, to)
    fee = await read_fee(driver, number)
    if fee and not may_be_made(fee.source, fee.state):
        return Handled(number, Refusal.FEE_NOT_SETTLED)
    card = await _add_card(driver, sealing, settings, application, actor, now_ms)
    await move_application(driver, application, step, to, actor, now_ms, card=card)
    await audit.record(driver, actor, "card.begin", holder=application.holder, card=card, application=number)
    return Handled(number)


async def end_production(
    driver: "asyncpg.Connection[Any]", settings: CitySettings, number: int, actor: Actor, now_ms: int, *, made: bool
) -> Handled:
    """Step 2: the card lies at its outlet; or it could not be made: its numbers are retired, the application waits again."""
    application = await _locked(driver, number)
    step, verb = (Step.PRODUCE, Verb.PRODUCE) if made else (Step.FAIL, Verb.ABANDON)
    to = advance(application.state, step)
    if isinstance(to, Refusal):
        return Handled(number, to)
    card = await lock_card(driver, application.card or 0)
    assert card is not None, "an application in production has its card"
    today = instant(now_ms).astimezone(SHANGHAI).date()
    after = decide(settings.life, card, verb, Shown(Party.ISSUANCE, now_ms, today))
    assert isinstance(after, Card), "card and application go together"
    await store_card(driver, after, verb, Party.ISSUANCE, actor, now_ms)
    await move_application(driver, application, step, to, actor, now_ms)
    act = "card.produce" if made else "card.abandon"
    await audit.record(driver, actor, act, holder=card.holder, card=card.id, application=number)
    return Handled(number)


async def _locked(driver: "asyncpg.Connection[Any]", number: int) -> Application:
    application = await lock_application(driver, number)
    if application is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    return application


async def _add_card(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    application: Application,
    actor: Actor,
    now_ms: int,
) -> int:
    holder = (await read_holders(driver, sealing, [application.holder]))[application.holder]
    (drawn,) = await draw_numbers(driver, 1)
    printed = card_number(drawn.number_serial)
    temporary = application.kind is ApplicationKind.TEMPORARY
    today = instant(now_ms).astimezone(SHANGHAI).date()
    # A leap day has its tenth birthday on 28 February.
    last = min(today.replace(day=28), today) if (today.month, today.day) == (2, 29) else today
    new = NewCard(
        drawn.card,
        holder.id,
        card_identifier(settings.city.code, drawn.serial, sealing.identifier_mac),
        holder.cipher.seal(Field.CARD_NUMBER, printed.encode()),
        CardKind.TEMPORARY if temporary else CardKind.ORDINARY,
        FinancialStatus.NONE if temporary else FinancialStatus.INACTIVE,
        Production.BATCHED,
        application.id,
        await _predecessor(driver, application),
        today,
        today + timedelta(settings.life.temporary_card_days)
        if temporary
        else last.replace(year=last.year + settings.card.years),
    )
    await add_card(driver, new, actor, now_ms)
    await add_lookups(driver, holder.id, sealing.digests(LookupField.CARD_NUMBER, printed))
    return new.id


async def _predecessor(driver: "asyncpg.Connection[Any]", application: Application) -> int | None:
    if application.kind not in _SUCCEEDS:
        return None
    cards = (await read_cards_of(driver, [application.holder])).get(application.holder, [])
    return next((card.id for card in cards if card.kind is CardKind.ORDINARY and card.social in LIVE), None)
