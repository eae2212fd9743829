"""Look a holder up: everything there is, written down before it is shown."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_IDENTIFY
from services.card.adapters import views
from services.card.adapters.electronic import spend_token
from services.card.adapters.electronic_tokens import ElectronicTokens, number_of
from services.card.adapters.payments_desk import Away, Money, PaymentsDesk
from services.card.adapters.people import document_digests
from services.card.adapters.sealing import Sealing
from services.card.adapters.staff import lock_staff
from services.card.adapters.views import HolderRows
from services.card.domain.actor import Actor, Role
from services.card.domain.card import Card, SocialStatus
from services.card.domain.document import Document
from services.card.domain.electronic import TokenPurpose, unusable
from services.card.domain.person import LookupField
from services.card.domain.refusal import sentence
from services.card.domain.settings import StaffRules
from services.common.clock import now_ms
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


@dataclass(frozen=True, slots=True)
class ShownToken:
    """Shown by an electronic card; good for one view."""

    text: str


By: TypeAlias = Document | CardIdentifier | CardNumber | HolderNumber | ShownToken

_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of a holder; what is personal is still sealed."""

    rows: HolderRows
    money: Money | None
    payments_away: bool


class ViewHolder:
    """One statement to the registry, and one question to payments beside or behind it."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        rules: StaffRules,
        payments: PaymentsDesk | None,
        tokens: ElectronicTokens,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._rules = rules
        self._payments = payments
        self._tokens = tokens

    async def __call__(self, by: By, actor: Actor, purpose: str, *, masked: bool, with_money: bool) -> Seen:
        """Raises DomainError when there is nobody, or when the hotline has looked at too many."""
        async with driver_session(self._engine) as driver:
            if Role.HOTLINE in actor.roles:
                async with driver.transaction():
                    await self._refuse_too_many(driver, actor)
                    rows = await self._find(driver, by, actor, purpose, masked=masked)
            else:
                rows = await self._find(driver, by, actor, purpose, masked=masked)
        if rows is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_HOLDER", "没有查到持卡人，请核对号码")
        if not with_money or (card := _paying_card(rows)) is None:
            return Seen(rows, None, payments_away=False)
        try:
            return Seen(rows, await self._ask(card), payments_away=False)
        except Away:
            return Seen(rows, None, payments_away=True)

    async def _refuse_too_many(self, driver: "asyncpg.Connection[Any]", actor: Actor) -> None:
        await lock_staff(driver, [actor.number])  # so that views at once are counted one after the other
        if await views.count_acts(driver, actor, "holder.view", _HOUR) >= self._rules.hotline_views_per_hour:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "TOO_MANY_VIEWS", "本小时查询次数已达上限，请稍后再试")

    async def _ask(self, card: Card) -> Money | None:
        if self._payments is None:
            raise Away
        return await self._payments.money_of(card.card_identifier)

    async def _find(
        self, driver: "asyncpg.Connection[Any]", by: By, actor: Actor, purpose: str, *, masked: bool
    ) -> HolderRows | None:
        seen_by = (actor, purpose, masked)
        match by:
            case ShownToken():
                return await self._by_token(driver, by.text, *seen_by)
            case CardIdentifier():
                return await views.view_by_identifier(driver, self._sealing, by.text, *seen_by)
            case HolderNumber():
                return await views.view_by_id(driver, self._sealing, by.number, *seen_by)
            case CardNumber():
                digests = self._sealing.digests(LookupField.CARD_NUMBER, by.text)
            case Document():
                digests = document_digests(self._sealing, by)
        return await views.view_by_digests(driver, self._sealing, digests, *seen_by)

    async def _by_token(
        self, driver: "asyncpg.Connection[Any]", token: str, actor: Actor, purpose: str, masked: bool
    ) -> HolderRows | None:
        """The token is used in the transaction of the view; who uses it a second time sees nothing."""
        found = await self._tokens.find(token)
        if found is None or found.purpose != TOKEN_PURPOSE_IDENTIFY or found.expire_time_ms <= now_ms():
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_TOKEN", "身份码无效或已过期，请刷新后重新出示")
        async with driver.transaction():
            if not await spend_token(driver, number_of(token), found.expire_time_ms):
                raise DomainError(Code.FAILED_PRECONDITION, "TOKEN_SPENT", "身份码已使用过，请刷新后重新出示")
            rows = await views.view_by_identifier(driver, self._sealing, found.card_identifier, actor, purpose, masked)
            card = next((c for _, c in rows.cards if c.card_identifier == found.card_identifier), None) if rows else None
            if card and (refusal := unusable(card, TokenPurpose.IDENTIFY)):
                raise DomainError(Code.FAILED_PRECONDITION, refusal.name, sentence(refusal))
        return rows


def _paying_card(rows: HolderRows) -> Card | None:
    """Any card of a holder leads to the same account; one that was enabled is known to payments."""
    return next((card for _, card in rows.cards if card.social is not SocialStatus.SEALED), None)
