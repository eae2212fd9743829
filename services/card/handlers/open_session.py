"""Open a holder's session: somebody shows who they are, and for minutes may act for themselves at that terminal."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit
from services.card.adapters.holder_sessions import begin_session, end_session, is_kiosk
from services.card.adapters.people import document_digests, find_holders, read_holders
from services.card.adapters.sealing import Sealing
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.document import Document
from services.card.domain.electronic import TokenPurpose
from services.card.domain.holder_session import Proof, Way
from services.card.domain.refusal import Refusal
from services.card.domain.settings import SessionRules
from services.card.handlers.electronic import ElectronicCards
from services.card.handlers.find_card import find_shown
from services.card.handlers.once import transact
from services.card.handlers.pins import Pins
from services.card.handlers.view_holder import CardIdentifier, CardNumber
from services.common.database import driver_session
from services.common.errors import Code, DomainError
from services.common.peer import Peer

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A holder is known at a terminal."""

    token: str = field(repr=False)
    expire_time_ms: int
    holder: int


async def begin(
    driver: "asyncpg.Connection[Any]", rules: SessionRules, proof: Proof, peer: Peer, now_ms: int
) -> Opened:  # fmt: skip
    """A session on a proof, in the transaction in which the proof was found good."""
    token, until_ms = secrets.token_urlsafe(32), now_ms + rules.minutes * _MINUTE_MS
    number = await begin_session(driver, token, proof, peer, now_ms, until_ms)
    actor = Actor(ActorKind.HOLDER, proof.holder, shift=number, terminal=peer.subject.uri)
    await audit.record(
        driver, actor, "session.begin", holder=proof.holder or None, card=proof.card, detail={"way": proof.way.name}
    )  # fmt: skip
    return Opened(token, until_ms, proof.holder)


class OpenSession:
    """By a card and its PIN, where nobody learns whether there is such a card; or by what a kiosk's reader has read."""

    def __init__(
        self, engine: AsyncEngine, sealing: Sealing, rules: SessionRules, pins: Pins, electronic: ElectronicCards
    ) -> None:
        self._engine = engine
        self._sealing = sealing
        self._rules = rules
        self._pins = pins
        self._electronic = electronic

    async def by_pin(self, by: CardIdentifier | CardNumber, pin: str, peer: Peer, now_ms: int) -> Opened | Refusal:
        """The session, or why not."""
        async with driver_session(self._engine) as driver:
            card = await find_shown(driver, self._sealing, by)
        judged = await self._pins.judge(card, pin)
        terminal = Actor(ActorKind.TERMINAL, terminal=peer.subject.uri)

        async def act(driver: "asyncpg.Connection[Any]") -> Opened | Refusal:
            found = await self._pins.settle(driver, judged, terminal, now_ms)
            if isinstance(found, Refusal):
                return found
            return await begin(driver, self._rules, Proof(found.holder, Way.CARD_AND_PIN, found.id), peer, now_ms)

        return await transact(self._engine, act)

    async def by_electronic_card(
        self, by: CardIdentifier | CardNumber, password: str, peer: Peer, now_ms: int
    ) -> Opened | Refusal:  # fmt: skip
        """The same by the electronic card's password."""
        judged = await self._electronic.judge(by, password)
        terminal = Actor(ActorKind.TERMINAL, terminal=peer.subject.uri)

        async def act(driver: "asyncpg.Connection[Any]") -> Opened | Refusal:
            found = await self._electronic.settle(driver, judged, TokenPurpose.IDENTIFY, terminal, now_ms)
            if isinstance(found, Refusal):
                return found
            return await begin(driver, self._rules, Proof(found.holder, Way.ELECTRONIC_CARD, found.id), peer, now_ms)

        return await transact(self._engine, act)

    async def by_reading(self, document: Document, name: str, peer: Peer, now_ms: int) -> Opened | Refusal:
        """The session of whoever's document was read, also of a newcomer; or why not. Raises DomainError where no kiosk is."""
        digests = document_digests(self._sealing, document)

        async def act(driver: "asyncpg.Connection[Any]") -> Opened | Refusal:
            if not await is_kiosk(driver, peer.serial):
                raise DomainError(Code.PERMISSION_DENIED, "NOT_A_KIOSK", "本终端未登记为自助终端，不能读取证件办理")
            proof = Proof(0, Way.IDENTITY_READER, reading=digests[-1].digest)
            if found := set((await find_holders(driver, digests)).values()):
                (holder,) = (await read_holders(driver, self._sealing, found)).values()
                if holder.person().name != name:
                    return Refusal.PERSON_DIFFERS
                proof = Proof(holder.id, Way.IDENTITY_READER)
            return await begin(driver, self._rules, proof, peer, now_ms)

        return await transact(self._engine, act)

    async def end(self, actor: Actor, now_ms: int) -> None:
        """The holder goes."""

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            assert actor.shift is not None, "a holder acts in a session"
            await end_session(driver, actor.shift, now_ms)
            await audit.record(driver, actor, "session.end", holder=actor.number or None)

        await transact(self._engine, act)
