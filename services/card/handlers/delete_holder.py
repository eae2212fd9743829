"""Delete a person: nothing is left that says who a number was. The list of deletions outlives the database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onecard.card.v1.holder_deletions_pb2 import HolderDeletion
from services.card.adapters import audit, deletions
from services.card.adapters.applications import lock_application, move_application
from services.card.adapters.cards import read_cards_of, restate_cards, store_card
from services.card.adapters.money import reopen_remainder
from services.card.adapters.payments_desk import Away, PaymentsDesk
from services.card.adapters.people import lock_holder, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import OPERATOR, Actor
from services.card.domain.application import ApplicationState, Step
from services.card.domain.card import Card, SocialStatus
from services.card.domain.life_cycle import Party, Verb, ended
from services.card.domain.refusal import Refusal
from services.card.handlers.once import transact
from services.common.announce import Announcer
from services.common.clock import now_ms as clock
from services.common.database import driver_of
from services.common.errors import Code, DomainError
from services.common.topics import CARD_DELETIONS

_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of it."""

    holder: int
    refusal: Refusal | None = None
    approval: int = 0
    """The number under which a second person is asked; such an answer is not the last word."""


async def delete_holder(
    driver: "asyncpg.Connection[Any]",
    sealing: Sealing,
    payments: PaymentsDesk | None,
    number: int,
    actor: Actor,
    now_ms: int,
    *,
    approved: bool,
) -> Deleted:
    """Forget somebody, or why not. Raises DomainError when there is no such holder, and when payments cannot be asked."""
    holder = await lock_holder(driver, sealing, number)
    cards = (await read_cards_of(driver, [holder.id])).get(holder.id, [])
    if any(card.social is not SocialStatus.CANCELLED for card in cards):
        return Deleted(holder.id, Refusal.LIVE_CARD_FIRST)
    if await deletions.unended_applications(driver, holder.id):
        return Deleted(holder.id, Refusal.APPLICATION_FIRST)
    if await deletions.money_underway(driver, holder.id) or await _has_money(payments, holder.id, cards):
        await reopen_remainder(driver, holder.id)  # what came late is paid out now
        return Deleted(holder.id, Refusal.BALANCE_NOT_SETTLED)
    if not approved:
        return Deleted(holder.id, Refusal.SECOND_PERSON_NEEDED)
    await _forget(driver, holder.id, actor, now_ms)
    return Deleted(holder.id)


class ListDeletions:
    """A duty: brings deletions to the list outside of the database. What is listed twice is listed."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        driver = await driver_of(connection)
        unsent = await deletions.unsent_deletions(driver, _MOST)
        if unsent:
            await self._announcer.send(CARD_DELETIONS, [(str(holder).encode(), value) for holder, value in unsent])
            await deletions.mark_listed(driver, [holder for holder, _ in unsent])
        return len(unsent) < _MOST


async def reapply_deletions(engine: AsyncEngine, sealing: Sealing, listed: Iterable[bytes]) -> int:
    """Forget again whoever is on the list, in a database that was restored. Answers how many were back.

    What the backup brought back of them ends as well: a card that was cancelled later lives again in it.
    """
    back = 0
    for value in listed:
        number = HolderDeletion.FromString(value).holder_id

        async def act(driver: "asyncpg.Connection[Any]", holder: int = number) -> bool:
            if holder not in await read_holders(driver, sealing, [holder], lock=True):
                return False
            now = clock()
            await _end_everything(driver, holder, now)
            await _forget(driver, holder, OPERATOR, now)
            return True

        back += await transact(engine, act)
    return back


async def _forget(driver: "asyncpg.Connection[Any]", holder: int, actor: Actor, now_ms: int) -> None:
    await deletions.forget_holder(driver, holder, now_ms)
    await restate_cards(driver, holder, actor, now_ms)  # so that the birth date is forgotten outside, too
    await audit.record(driver, actor, "holder.delete", holder=holder)


async def _has_money(payments: PaymentsDesk | None, holder: int, cards: Sequence[Card]) -> bool:
    """Asked under the lock, when no card is left by which money could come."""
    if payments is None:
        raise payments_away()
    try:
        if any(await payments.purse_of(holder)):
            return True
        money = await payments.money_of(cards[-1].card_identifier) if cards else None
    except Away:
        raise payments_away() from None
    return money is not None and any(purse.balance.amount_fen for purse in money.balance.purses)


def payments_away() -> DomainError:
    """What needs its word is not done without it."""
    return DomainError(Code.UNAVAILABLE, "PAYMENTS_AWAY", "支付系统暂时无法查询，请稍后再试")


async def _end_everything(driver: "asyncpg.Connection[Any]", holder: int, now_ms: int) -> None:
    for card in (await read_cards_of(driver, [holder])).get(holder, []):
        if card.social is not SocialStatus.CANCELLED:
            await store_card(driver, ended(card), Verb.CANCEL, Party.SYSTEM, OPERATOR, now_ms)
    for number in await deletions.unended_applications(driver, holder):
        application = await lock_application(driver, number)
        assert application is not None, "it was just read"
        await move_application(driver, application, Step.WITHDRAW, ApplicationState.WITHDRAWN, OPERATOR, now_ms)
