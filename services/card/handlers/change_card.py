"""Do something to a card: lock it, decide by the table, save it with history and event. Enabling a successor is the switch."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import asyncpg

from services.card import metrics
from services.card.adapters import audit
from services.card.adapters.applications import lock_application, move_application
from services.card.adapters.cards import application_of, lock_card, not_before, read_cards_of, store_card
from services.card.adapters.consents import given_consents
from services.card.adapters.deletions import unended_applications
from services.card.adapters.electronic import forget_password, hand_on, set_password
from services.card.adapters.money import add_remainder, end_remainders
from services.card.adapters.passwords import StoredPassword
from services.card.adapters.people import read_holders
from services.card.adapters.pins import forget_tries, set_pin
from services.card.adapters.sealing import Sealing, encode_papers
from services.card.domain.actor import Actor
from services.card.domain.application import Papers, Step, advance
from services.card.domain.card import LIVE, Card, CardKind, ElectronicLevel, SocialStatus
from services.card.domain.consent import ConsentKind
from services.card.domain.life_cycle import TABLE, Need, Party, Shown, Verb, decide, takes_along
from services.card.domain.person import Field
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.domain.settings import CitySettings
from services.card.handlers.handle_application import handle_application
from services.common.clock import day_of
from services.common.errors import Code, DomainError

_STEPS = {Verb.COLLECT: Step.COLLECT, Verb.ENABLE: Step.ENABLE}
"""What stands on the timeline of the application that the card was made for."""
_ENDINGS = {Verb.CANCEL: Step.CANCEL, Verb.EXPIRE_CARD: Step.EXPIRE}
"""The same of a card that is not enabled yet: its application ends with it."""
_DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to a card, on whose word, and what was shown for it."""

    card: int
    verb: Verb
    party: Party
    needs_met: frozenset[Need] = frozenset()
    reason: int = 0
    """Of a cancellation."""
    pay_to: PayTo | None = None
    """Of a cancellation: where what is left on the account goes."""
    papers: Papers | None = None
    """Who acts for the holder, and what was shown for it."""
    without_document: bool = False
    """The holder stands there without a document that can be read: for another PIN a second person is asked."""
    pin: StoredPassword | None = field(default=None, repr=False)
    """What is to be kept of the PIN that the holder has chosen."""
    electronic_password: StoredPassword | None = None
    """The same of the electronic card's password."""
    electronic_outlives_loss: bool = False
    """With a report of temporary loss: the holder lets the electronic card be used meanwhile."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of it. Nothing in it is personal."""

    card: int
    version: int
    holder: int = 0
    refusal: Refusal | None = None
    approval: int = 0
    """The number under which a second person is asked; such an answer is not the last word."""


async def change_card(
    driver: "asyncpg.Connection[Any]", sealing: Sealing, settings: CitySettings, change: Change, actor: Actor, now_ms: int
) -> Changed:
    """The card's new version, or why not. Raises DomainError when there is no such card."""
    card = await lock_card(driver, change.card)
    if card is None or not actor.may_touch(card.holder):
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
    needs_met = change.needs_met | await _consented(driver, change.verb, card)
    shown = Shown(
        change.party, now_ms, _today(now_ms), needs_met, change.without_document, change.electronic_outlives_loss
    )  # fmt: skip
    after = decide(settings.life, card, change.verb, shown)
    if isinstance(after, Refusal):
        metrics.CARD_VERBS.labels(change.verb.name, "REFUSED", after.name).inc()
        return Changed(card.id, card.version, card.holder, after)
    if change.verb is Verb.ENABLE and card.predecessor:
        now_ms = await not_before(driver, (card.predecessor, card.id), now_ms)
        after = await _take_over(driver, settings, card.predecessor, after, actor, now_ms)
    papers = await _seal(driver, sealing, card, change.papers) if change.papers else None
    await store_card(driver, after, change.verb, change.party, actor, now_ms, reason=change.reason, papers=papers)
    if change.pin:
        await set_pin(driver, card.id, change.pin, now_ms)
    elif change.verb is Verb.UNLOCK:
        await forget_tries(driver, card.id)
    if change.electronic_password:
        await set_password(driver, card.id, change.electronic_password, now_ms)
    elif card.electronic and after.electronic is ElectronicLevel.NONE:
        await forget_password(driver, card.id, now_ms)
    if change.pay_to and await _was_last(driver, card):
        watch_until_ms = now_ms + settings.remainder.watch_days * _DAY_MS
        await add_remainder(driver, card.id, card.holder, change.pay_to, watch_until_ms)
    elif change.verb is Verb.ENABLE and card.kind is CardKind.ORDINARY:
        await end_remainders(driver, card.holder, actor)
    if step := _STEPS.get(change.verb) or (_ENDINGS.get(change.verb) if card.social is SocialStatus.SEALED else None):
        await _step(driver, card, step, actor, now_ms)
    if change.verb is Verb.CANCEL and takes_along(card):
        await _take_along(driver, sealing, settings, change, card, actor, now_ms)
    detail: dict[str, str | int] = {"verb": change.verb.name, "party": change.party.name, "version": after.version}
    await audit.record(driver, actor, "card.change", holder=card.holder, card=card.id, detail=detail)
    metrics.CARD_VERBS.labels(change.verb.name, "DONE", "").inc()
    return Changed(card.id, after.version, card.holder)


async def _consented(driver: "asyncpg.Connection[Any]", verb: Verb, card: Card) -> frozenset[Need]:
    """What the holder has consented to, where it matters."""
    if Need.FINANCE_CONSENT not in TABLE[verb].needs:
        return frozenset()
    given = (await given_consents(driver, [card.holder])).get(card.holder, frozenset())
    return frozenset({Need.FINANCE_CONSENT}) if ConsentKind.FINANCE in given else frozenset()


async def _seal(driver: "asyncpg.Connection[Any]", sealing: Sealing, card: Card, papers: Papers) -> bytes:
    holder = (await read_holders(driver, sealing, [card.holder]))[card.holder]
    return holder.cipher.seal(Field.PAPERS, encode_papers((card.id, card.version + 1, papers)))


async def _take_over(
    driver: "asyncpg.Connection[Any]", settings: CitySettings, number: int, successor: Card, actor: Actor, now_ms: int
) -> Card:
    """The switch: the old card is cancelled in the transaction in which its successor becomes normal.

    The electronic card goes with the successor from then on.
    """
    predecessor = await lock_card(driver, number)
    if predecessor is None or predecessor.social not in LIVE:
        return successor
    ended = decide(settings.life, predecessor, Verb.SUPERSEDE, Shown(Party.SYSTEM, now_ms, _today(now_ms)))
    assert isinstance(ended, Card), "a live card can always be superseded"
    await store_card(driver, replace(ended, successor=successor.id), Verb.SUPERSEDE, Party.SYSTEM, actor, now_ms)
    await hand_on(driver, predecessor.id, successor.id)
    return replace(successor, electronic=predecessor.electronic, electronic_locked=predecessor.electronic_locked)


async def _was_last(driver: "asyncpg.Connection[Any]", card: Card) -> bool:
    """Whether no card pays from the account any more: a successor that is given up leaves the card before it."""
    if card.kind is not CardKind.ORDINARY:
        return False
    cards = (await read_cards_of(driver, [card.holder]))[card.holder]
    return not any(other.kind is CardKind.ORDINARY and other.social in LIVE for other in cards)


async def _take_along(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    settings: CitySettings,
    change: Change,
    card: Card,
    actor: Actor,
    now_ms: int,
) -> None:
    """What the holder has applied for ends in the same transaction, with the card that lies there for it."""
    for number in await unended_applications(driver, card.holder):
        application = await lock_application(driver, number)
        assert application is not None, "it was just read"
        made = await lock_card(driver, application.card) if application.card else None
        if made and made.social is SocialStatus.SEALED:
            also = replace(change, card=made.id, pay_to=None, papers=None)
            refusal = (await change_card(driver, sealing, settings, also, actor, now_ms)).refusal
        else:
            refusal = (await handle_application(driver, sealing, number, Step.CANCEL, actor, now_ms)).refusal
        assert refusal is None, "it is neither at the bank nor in production"


async def _step(driver: "asyncpg.Connection[Any]", card: Card, step: Step, actor: Actor, now_ms: int) -> None:
    application = await application_of(driver, card.id)
    found = await lock_application(driver, application)
    assert found is not None, "each card is made for an application"
    to = advance(found.state, step)
    assert not isinstance(to, Refusal), "card and application go together"
    await move_application(driver, found, step, to, actor, now_ms)


def _today(now_ms: int) -> date:
    return day_of(now_ms)
