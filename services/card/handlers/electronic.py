"""The electronic card in its holder's hand: its password, tried and counted, and the one-time tokens that it shows."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card import metrics
from services.card.adapters import audit
from services.card.adapters.cards import lock_card
from services.card.adapters.electronic import Try, count_failures, forget_failures, read_password, take_try
from services.card.adapters.electronic_tokens import ElectronicTokens
from services.card.adapters.passwords import Passwords, StoredPassword
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.card import Card
from services.card.domain.electronic import TokenPurpose, unusable
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, change_card
from services.card.handlers.find_card import find_shown
from services.card.handlers.once import transact
from services.card.handlers.pins import guessable, holder_of_card
from services.card.handlers.view_holder import CardIdentifier, CardNumber
from services.common.database import driver_session


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a password was right when it was looked at. It counts once it is settled under the lock."""

    card: int
    taken: Try | None
    right: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, for whoever holds the electronic card."""

    token: str = field(repr=False)
    expire_time_ms: int


class ElectronicCards:
    """A password is judged between two transactions: a failure counts in the first, a success in the second."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealing: Sealing,
        settings: CitySettings,
        passwords: Passwords,
        tokens: ElectronicTokens,
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._passwords = passwords
        self._tokens = tokens

    async def store(self, card: int, password: str) -> StoredPassword | Refusal:
        """What is to be kept of a new password, or that it is too weak. Raises DomainError when there is no such card.

        It is bound to the holder, because the electronic card goes on with the next physical one.
        """
        async with driver_session(self._engine) as driver:
            holder = await holder_of_card(driver, self._sealing, card)
            if await guessable(driver, holder, password):
                return Refusal.PASSWORD_TOO_WEAK
        return await self._passwords.store(str(holder.id), password)

    async def judge(self, by: CardIdentifier | CardNumber, password: str) -> Judged:
        """Look at a password. The try is counted as a failure, and that is committed, before anything is looked at."""
        async with driver_session(self._engine) as driver:
            card = await find_shown(driver, self._sealing, by)
            taken = await take_try(driver, card, self._settings.electronic.wrong_passwords)
        right = taken is not None and await self._passwords.matches(str(taken.holder), password, taken.stored)
        return Judged(card, taken, right)

    async def settle(
        self, driver: "asyncpg.Connection[Any]", judged: Judged, purpose: TokenPurpose, actor: Actor, now_ms: int
    ) -> Card | Refusal:
        """The card, locked, whose electronic one may be used so; or why not. After too many failures it is locked."""
        card = await lock_card(driver, judged.card)
        if card is None:
            return Refusal.PASSWORD_WRONG
        right = judged.taken and judged.right and judged.taken.stored == await read_password(driver, card.id)
        if judged.taken and not right:
            await audit.record(driver, actor, "electronic.wrong_password", holder=card.holder, card=card.id)
        if card.electronic_locked:
            return Refusal.ELECTRONIC_LOCKED
        if right:
            await forget_failures(driver, card.id)
            return unusable(card, purpose) or card
        if await count_failures(driver, card.id) < self._settings.electronic.wrong_passwords:
            return Refusal.PASSWORD_WRONG
        lock = Change(card.id, Verb.LOCK_ELECTRONIC, Party.SYSTEM)
        await change_card(driver, self._sealing, self._settings, lock, actor, now_ms)
        return Refusal.ELECTRONIC_LOCKED

    async def issue(
        self, by: CardIdentifier | CardNumber, password: str, purpose: TokenPurpose, actor: Actor, now_ms: int
    ) -> Issued | Refusal:
        """A token that is good once, and for so long; the one before it dies. Raises DomainError while Redis is away."""
        judged = await self.judge(by, password)

        async def act(driver: "asyncpg.Connection[Any]") -> Card | Refusal:
            found = await self.settle(driver, judged, purpose, actor, now_ms)
            if isinstance(found, Card):
                detail = {"purpose": purpose.name}
                await audit.record(driver, actor, "electronic.token", holder=found.holder, card=found.id, detail=detail)
            return found

        found = await transact(self._engine, act)
        if isinstance(found, Refusal):
            metrics.ELECTRONIC_TOKENS.labels(purpose.name, found.name).inc()
            return found
        token, seconds = secrets.token_urlsafe(32), self._settings.electronic.token_seconds
        until_ms = await self._tokens.leave(token, found.card_identifier, purpose, seconds, now_ms)
        metrics.ELECTRONIC_TOKENS.labels(purpose.name, "ISSUED").inc()
        return Issued(token, until_ms)
