"""Card PINs: stored so that they cannot be guessed against, tried and counted wherever a card is shown."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card import metrics
from services.card.adapters import audit
from services.card.adapters.cards import lock_card, read_card, read_sealed_numbers
from services.card.adapters.passwords import Passwords, StoredPassword
from services.card.adapters.people import Holder, document_field, read_documents, read_holders
from services.card.adapters.pins import Try, count_tries, forget_tries, read_pin, set_pin, take_try
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor
from services.card.domain.card import Card, SocialStatus
from services.card.domain.holder_session import bars
from services.card.domain.life_cycle import Party, Verb
from services.card.domain.person import Field
from services.card.domain.pin import good_pin
from services.card.domain.refusal import Refusal
from services.card.domain.settings import CitySettings
from services.card.handlers.change_card import Change, Changed, change_card
from services.card.handlers.once import transact
from services.common.database import driver_session
from services.common.errors import Code, DomainError


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a PIN was right when it was looked at. It counts once it is settled under the lock."""

    card: int
    taken: Try | None = field(repr=False)
    right: bool


class Pins:
    """A PIN is judged outside of any transaction, between two: a failure counts in the first, a success in the second."""

    def __init__(self, engine: AsyncEngine, sealing: Sealing, settings: CitySettings, passwords: Passwords) -> None:
        self._engine = engine
        self._sealing = sealing
        self._settings = settings
        self._passwords = passwords

    async def store(self, card: int, pin: str) -> StoredPassword | Refusal:
        """What is to be kept of a new PIN, or that it is too weak. Raises DomainError when there is no such card."""
        async with driver_session(self._engine) as driver:
            holder = await holder_of_card(driver, self._sealing, card)
            if await guessable(driver, holder, pin):
                return Refusal.PIN_TOO_WEAK
        return await self._passwords.store(str(card), pin)

    async def judge(self, card: int, pin: str) -> Judged:
        """Look at a PIN. The try is counted as a failure, and that is committed, before anything is looked at."""
        async with driver_session(self._engine) as driver:
            taken = await take_try(driver, card, self._settings.card.wrong_pins)
        right = taken is not None and await self._passwords.matches(str(card), pin, taken.stored)
        return Judged(card, taken, right)

    async def settle(self, driver: "asyncpg.Connection[Any]", judged: Judged, actor: Actor, now_ms: int) -> Card | Refusal:
        """The card, locked, whose PIN it is; or why not. After too many failures in a row the card is locked for good."""
        card = await lock_card(driver, judged.card)
        if card is None:
            return Refusal.PIN_WRONG
        if refusal := bars(card):
            return refusal
        if judged.taken and judged.right and judged.taken.stored == await read_pin(driver, card.id):
            await forget_tries(driver, card.id)
            metrics.CARD_PINS.labels("RIGHT").inc()
            return card
        if judged.taken:
            await audit.record(driver, actor, "card.wrong_pin", holder=card.holder, card=card.id)
            metrics.CARD_PINS.labels("WRONG").inc()
        if await count_tries(driver, card.id) < self._settings.card.wrong_pins:
            return Refusal.PIN_WRONG
        if card.social is SocialStatus.SEALED:
            return Refusal.PIN_TRIES_USED
        await change_card(driver, self._sealing, self._settings, Change(card.id, Verb.LOCK, Party.SYSTEM), actor, now_ms)
        return Refusal.LOCKED

    async def verify(self, card: int, pin: str, actor: Actor, now_ms: int) -> Refusal | None:
        """None: it is the PIN."""
        judged = await self.judge(card, pin)

        async def act(driver: "asyncpg.Connection[Any]") -> Refusal | None:
            found = await self.settle(driver, judged, actor, now_ms)
            if isinstance(found, Refusal):
                return found
            await audit.record(driver, actor, "card.verify_pin", holder=found.holder, card=found.id)
            return None

        return await transact(self._engine, act)

    async def change(
        self, driver: "asyncpg.Connection[Any]", judged: Judged, pin: StoredPassword, actor: Actor, now_ms: int
    ) -> Changed:
        """Another PIN for whoever knows the present one."""
        found = await self.settle(driver, judged, actor, now_ms)
        if isinstance(found, Refusal):
            return Changed(judged.card, 0, refusal=found)
        await set_pin(driver, found.id, pin, now_ms)
        await audit.record(driver, actor, "card.change_pin", holder=found.holder, card=found.id)
        return Changed(found.id, found.version, found.holder)


async def holder_of_card(driver: "asyncpg.Connection[Any]", sealing: Sealing, card: int) -> Holder:
    """Whose card it is. Raises DomainError when there is no such card."""
    found = await read_card(driver, card)
    holders = await read_holders(driver, sealing, [found.holder]) if found else {}
    if found is None or not (holder := holders.get(found.holder)):
        raise DomainError(Code.NOT_FOUND, "UNKNOWN_CARD", "没有这张卡")
    return holder


async def guessable(driver: "asyncpg.Connection[Any]", holder: Holder, pin: str) -> bool:
    """Whether six digits are too weak for somebody."""
    documents = (await read_documents(driver, [holder.id])).get(holder.id, [])
    cards = await read_sealed_numbers(driver, holder.id)
    person, cipher = holder.person(), holder.cipher
    numbers = [person.social_security_number, person.phone]
    numbers += [cipher.open(document_field(document.number), document.sealed).decode() for document in documents]
    numbers += [cipher.open(Field.CARD_NUMBER, sealed).decode() for sealed in cards.values()]
    return not good_pin(pin, person.birth_date, numbers)
