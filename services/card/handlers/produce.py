"""The saga of a card's making: it begins with numbers that are never used again, and ends at the outlet, or in vain.

docs/decisions/0017-issue-and-switch.md has its table of steps. The switch itself is the enabling, in `change_card`.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from services.card.adapters import audit
from services.card.adapters.applications import Application, lock_application, move_application
from services.card.adapters.bank_batches import give_account
from services.card.adapters.cards import NewCard, add_card, draw_numbers, find_card, lock_card, read_cards_of, store_card
from services.card.adapters.money import read_fee
from services.card.adapters.people import Holder, add_lookups, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.application import Applicant, ApplicationKind, ApplicationState, Step, advance, no_room
from services.card.domain.card import Card, CardKind, FinancialStatus, Production
from services.card.domain.card_number import card_identifier, card_number, city_of
from services.card.domain.fee import may_be_made
from services.card.domain.life_cycle import Party, Shown, Verb, decide
from services.card.domain.names import Carrier
from services.card.domain.person import Field, LookupField
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.handle_application import Handled
from services.common.clock import day_of
from services.common.errors import Code, DomainError

_ON_THE_CARD = 1 << Carrier.CHIP | 1 << Carrier.PRINTER
_SUCCEEDS = frozenset({ApplicationKind.REISSUE, ApplicationKind.REPLACE})


async def begin_production(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    number: int,
    step: Step,
    actor: Actor,
    now_ms: int,
    blank: str = "",
) -> Handled:
    """Step 1: a new card, sealed and in production, beside the one whose place it is to take.

    `step`: the bank accepted, or the card is made at once. `blank`: the card identifier of the blank that is made for it, which
    no card has ever had; empty: one is drawn. Asked again, it makes no second card. Where the applicant has got or lost a card
    meanwhile, none is made, and an application that was at the bank ends.
    """
    application = await _locked(driver, number)
    to = advance(application.state, step)
    if isinstance(to, Refusal):
        return Handled(number, to)
    holder = (await read_holders(driver, sealing, [application.holder]))[application.holder]
    cards = (await read_cards_of(driver, [holder.id])).get(holder.id, ())
    applicant = Applicant(holder.person(), tuple(cards))
    if refusal := no_room(application.kind, applicant):
        if step is Step.BANK_ACCEPT:
            await _bar(driver, application, refusal, actor, now_ms)
        return Handled(number, refusal)
    if step is Step.START_INSTANT and application.not_carried & _ON_THE_CARD:
        return Handled(number, Refusal.NAME_NOT_CARRIED)
    fee = await read_fee(driver, number)
    if fee and not may_be_made(fee.source, fee.state):
        return Handled(number, Refusal.FEE_NOT_SETTLED)
    if blank and city_of(blank) != settings.city.code:
        return Handled(number, Refusal.CARD_IDENTIFIER_OF_ANOTHER_CITY)
    if blank and await find_card(driver, blank) is not None:  # and who comes at the same moment meets the unique index
        return Handled(number, Refusal.CARD_IDENTIFIER_USED)
    predecessor = applicant.live_card() if application.kind in _SUCCEEDS else None
    card = await _add_card(driver, sealing, settings, application, holder, predecessor, blank, actor, now_ms)
    await move_application(driver, application, step, to, actor, now_ms, card=card)
    await audit.record(driver, actor, "card.begin", holder=application.holder, card=card, application=number)
    return Handled(number)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a card at its making."""

    made: bool
    """Otherwise its numbers are retired: it could not be made, or was spoiled before anybody had it."""
    bank_account: str = field(repr=False, default="")
    """The one that the bank accepted beforehand, with the box of the blank; empty: none."""
    card_identifier: str = ""
    """Of which card this is said; empty: of whichever is being made."""


async def end_production(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    number: int,
    outcome: Outcome,
    actor: Actor,
    now_ms: int,
) -> Handled:
    """Step 2: the card lies at its outlet; or nothing comes of it: its numbers are retired, the application waits again.

    Whoever was slow, and speaks of a blank that the application has nothing to do with any more, ends no other card.
    """
    application = await _locked(driver, number)
    step, verb = (Step.PRODUCE, Verb.PRODUCE) if outcome.made else (Step.FAIL, Verb.ABANDON)
    to = advance(application.state, step)
    if isinstance(to, Refusal):
        return Handled(number, to)
    card = await lock_card(driver, application.card or 0)
    assert card is not None, "an application in production has its card"
    if outcome.card_identifier and outcome.card_identifier != card.card_identifier:
        return Handled(number, Refusal.ANOTHER_CARD_BEGUN)
    if application.state is ApplicationState.AT_OUTLET and not outcome.card_identifier:
        return Handled(number, Refusal.ALREADY_MADE)
    today = day_of(now_ms)
    after = decide(settings.life, card, verb, Shown(Party.ISSUANCE, now_ms, today))
    assert isinstance(after, Card), "card and application go together"
    await store_card(driver, after, verb, Party.ISSUANCE, actor, now_ms)
    if outcome.bank_account and card.kind is CardKind.ORDINARY:
        holder = (await read_holders(driver, sealing, [card.holder]))[card.holder]
        await give_account(driver, card.id, holder.cipher.seal(Field.BANK_ACCOUNT, outcome.bank_account.encode()))
    await move_application(driver, application, step, to, actor, now_ms)
    act = "card.produce" if outcome.made else "card.abandon"
    await audit.record(driver, actor, act, holder=card.holder, card=card.id, application=number)
    return Handled(number)


async def _locked(driver: "asyncpg.Connection[Any]", number: int) -> Application:
    application = await lock_application(driver, number)
    if application is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_APPLICATION", "没有这笔申请")
    return application


async def _bar(
    driver: "asyncpg.Connection[Any]", application: Application, refusal: Refusal, actor: Actor, now_ms: int
) -> None:
    """Nothing is waited for any more: the application ends, and what was paid for it goes back."""
    to = advance(application.state, Step.BAR)
    assert not isinstance(to, Refusal), "it is at the bank"
    await move_application(driver, application, Step.BAR, to, actor, now_ms, cause=refusal)
    await audit.record(driver, actor, "application.bar", holder=application.holder, application=application.id)


async def _add_card(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    application: Application,
    holder: Holder,
    predecessor: Card | None,
    blank: str,
    actor: Actor,
    now_ms: int,
) -> int:
    (drawn,) = await draw_numbers(driver, 1)
    printed = card_number(drawn.number_serial)
    temporary = application.kind is ApplicationKind.TEMPORARY
    today = day_of(now_ms)
    # A leap day has its tenth birthday on 28 February.
    last = min(today.replace(day=28), today) if (today.month, today.day) == (2, 29) else today
    new = NewCard(
        drawn.card,
        holder.id,
        blank or card_identifier(settings.city.code, drawn.serial, sealing.identifier_mac),
        holder.cipher.seal(Field.CARD_NUMBER, printed.encode()),
        CardKind.TEMPORARY if temporary else CardKind.ORDINARY,
        FinancialStatus.NONE if temporary else FinancialStatus.INACTIVE,
        Production.BATCHED,
        application.id,
        predecessor.id if predecessor else None,
        today,
        today + timedelta(settings.life.temporary_card_days)
        if temporary
        else last.replace(year=last.year + settings.card.years),
    )
    await add_card(driver, new, actor, now_ms)
    await add_lookups(driver, holder.id, sealing.digests(LookupField.CARD_NUMBER, printed))
    return new.id
