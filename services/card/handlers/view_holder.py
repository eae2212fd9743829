"""Look a holder up: everything there is, written down before it is shown."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import views
from services.card.adapters.payments_desk import Away, Money, PaymentsDesk
from services.card.adapters.sealing import Sealing
from services.card.adapters.views import HolderRows
from services.card.domain.actor import Actor, Role
from services.card.domain.card import Card, SocialStatus
from services.card.domain.document import Document
from services.card.domain.person import LookupField
from services.card.domain.settings import StaffRules
from services.common.database import driver_session
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class CardIdentifier:
    """Read from a chip."""

    text: str


@dataclass(frozen=True, slots=True)
class CardNumber:
    """Printed on a card."""

    text: str


@dataclass(frozen=True, slots=True)
class HolderNumber:
    """Ours."""

    number: int


By: TypeAlias = Document | CardIdentifier | CardNumber | HolderNumber

_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of a holder; what is personal is still sealed."""

    rows: HolderRows
    money: Money | None
    payments_away: bool


class ViewHolder:
    """One statement to the registry, and one question to payments beside or behind it."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, rules: StaffRules, payments: PaymentsDesk | None) -> None:
        self._engine = engine
        self._sealing = sealing
        self._rules = rules
        self._payments = payments

    async def __call__(self, by: By, actor: Actor, purpose: str, *, masked: bool, with_money: bool) -> Seen:
        """Raises DomainError when there is nobody, or when the hotline has looked at too many."""
        async with driver_session(self._engine) as driver:
            if (
                Role.HOTLINE in actor.roles
                and await views.count_views(driver, actor, _HOUR) >= self._rules.hotline_views_per_hour
            ):
                raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_VIEWS", "本小时查询次数已达上限，请稍后再试")
            rows = await self._find(driver, by, actor, purpose, masked=masked)
        if rows is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_HOLDER", "没有查到持卡人，请核对号码")
        if not with_money or (card := _paying_card(rows)) is None:
            return Seen(rows, None, payments_away=False)
        try:
            return Seen(rows, await self._ask(card), payments_away=False)
        except Away:
            return Seen(rows, None, payments_away=True)

    async def _ask(self, card: Card) -> Money | None:
        if self._payments is None:
            raise Away
        return await self._payments.money_of(card.card_identifier)

    async def _find(
        self, driver: "asyncpg.Connection[Any]", by: By, actor: Actor, purpose: str, *, masked: bool
    ) -> HolderRows | None:
        seen_by = (actor, purpose, masked)
        match by:
            case CardIdentifier():
                return await views.view_by_identifier(driver, self._sealing, by.text, *seen_by)
            case HolderNumber():
                return await views.view_by_id(driver, self._sealing, by.number, *seen_by)
            case CardNumber():
                digests = self._sealing.digests(LookupField.CARD_NUMBER, by.text)
            case Document(citizen=True):
                digests = self._sealing.digests(LookupField.SOCIAL_SECURITY_NUMBER, by.number)
            case Document():
                digests = self._sealing.digests(LookupField.DOCUMENT, str(by.kind.value), by.number)
        return await views.view_by_digests(driver, self._sealing, digests, *seen_by)


def _paying_card(rows: HolderRows) -> Card | None:
    """Any card of a holder leads to the same account; one that was enabled is known to payments."""
    return next((card for _, card in rows.cards if card.social is not SocialStatus.SEALED), None)
