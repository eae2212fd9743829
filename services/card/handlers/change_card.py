"""Do something to a card: lock it, decide by the table, save it with history and event. Enabling a successor is the switch."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import asyncpg

from services.card import metrics
from services.card.adapters import audit
from services.card.adapters.applications import lock_application, move_application
from services.card.adapters.cards import application_of, lock_card, store_card
from services.card.adapters.money import add_remainder
from services.card.adapters.people import read_holders
from services.card.adapters.sealing import Sealing, encode_papers
from services.card.domain.actor import Actor
from services.card.domain.application import Papers, Step, advance
from services.card.domain.card import LIVE, Card, CardKind
from services.card.domain.life_cycle import Need, Party, Shown, Verb, decide
from services.card.domain.person import Field
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo
from services.card.domain.settings import CitySettings
from services.common.clock import SHANGHAI, instant
from services.common.errors import Code, DomainError

_STEPS = {Verb.COLLECT: Step.COLLECT, Verb.ENABLE: Step.ENABLE}
"""What stands on the timeline of the application that the card was made for."""


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
    if card is None:
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
    shown = Shown(change.party, now_ms, _today(now_ms), change.needs_met)
    after = decide(settings.life, card, change.verb, shown)
    if isinstance(after, Refusal):
        metrics.CARD_VERBS.labels(change.verb.name, "REFUSED", after.name).inc()
        return Changed(card.id, card.version, card.holder, after)
    if change.verb is Verb.ENABLE and card.predecessor:
        await _end_predecessor(driver, settings, card.predecessor, card.id, actor, now_ms)
    papers = await _seal(driver, sealing, card, change.papers) if change.papers else None
    await store_card(driver, after, change.verb, change.party, actor, now_ms, reason=change.reason, papers=papers)
    if change.pay_to and card.kind is CardKind.ORDINARY:
        await add_remainder(driver, card.id, card.holder, change.pay_to, actor.terminal)
    if step := _STEPS.get(change.verb):
        await _step(driver, card, step, actor, now_ms)
    detail: dict[str, str | int] = {"verb": change.verb.name, "party": change.party.name, "version": after.version}
    await audit.record(driver, actor, "card.change", holder=card.holder, card=card.id, detail=detail)
    metrics.CARD_VERBS.labels(change.verb.name, "DONE", "").inc()
    return Changed(card.id, after.version, card.holder)


async def _seal(driver: "asyncpg.Connection[Any]", sealing: Sealing, card: Card, papers: Papers) -> bytes:
    holder = (await read_holders(driver, sealing, [card.holder]))[card.holder]
    return holder.cipher.seal(Field.PAPERS, encode_papers((card.id, card.version + 1, papers)))


async def _end_predecessor(
    driver: "asyncpg.Connection[Any]", settings: CitySettings, number: int, successor: int, actor: Actor, now_ms: int
) -> None:
    """The switch: the old card is cancelled in the transaction in which its successor becomes normal."""
    predecessor = await lock_card(driver, number)
    if predecessor is None or predecessor.social not in LIVE:
        return
    ended = decide(settings.life, predecessor, Verb.SUPERSEDE, Shown(Party.SYSTEM, now_ms, _today(now_ms)))
    assert isinstance(ended, Card), "a live card can always be superseded"
    await store_card(driver, replace(ended, successor=successor), Verb.SUPERSEDE, Party.SYSTEM, actor, now_ms)


async def _step(driver: "asyncpg.Connection[Any]", card: Card, step: Step, actor: Actor, now_ms: int) -> None:
    application = await application_of(driver, card.id)
    found = await lock_application(driver, application)
    assert found is not None, "each card is made for an application"
    to = advance(found.state, step)
    assert not isinstance(to, Refusal), "card and application go together"
    await move_application(driver, found, step, to, actor, now_ms)


def _today(now_ms: int) -> date:
    return instant(now_ms).astimezone(SHANGHAI).date()
