"""Change what may be changed on a card that was issued: with its holder there, and a second person's signature."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.cards_pb2 import PARTY_GUARDIAN, PARTY_HOLDER_IN_PERSON, SOCIAL_STATUS_NORMAL, Presented
from services.common.clock import now_ms
from services.common.database import driver_session
from services.common.errors import DomainError
from services.common.points import AtPoint, pass_by
from services.issuance.adapters import audit, countersignatures
from services.issuance.adapters.card_service import Away, Declined
from services.issuance.domain import update_card as conversations
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import BlankState
from services.issuance.domain.effects import Refused, VaultRefused
from services.issuance.domain.product import Product, product_of
from services.issuance.domain.record import Record, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.countersign import Word, second_person
from services.issuance.handlers.dialogue import Journal, Registry, Terminal, Vault
from services.issuance.handlers.drive import Stream
from services.issuance.handlers.once import Digests, Once, transact

ACT: Final = "UPDATE_CARD"
BEGUN: Final = "card.update_begun"
"""In the audit. Where no end follows, its stream was cut: the journal of the record says how far the card had come."""
ENDED: Final = "card.update"
"""With its outcome: DONE, or why not."""
_METHOD: Final = "UpdateCard"
_MAY_ASK: Final = frozenset({PARTY_HOLDER_IN_PERSON, PARTY_GUARDIAN})


@dataclass(frozen=True, slots=True)
class Update:
    """What is asked for."""

    request_id: str
    content: bytes = field(repr=False)
    """By which a repeat is known: without the PIN."""
    atr: bytes
    card_identifier: str
    presented: Presented = field(repr=False)
    new_pin: str | None = field(repr=False)
    """None: the validity."""

    @property
    def what(self) -> str:
        """For the second person."""
        return conversations.VALIDITY if self.new_pin is None else conversations.PIN


@dataclass(frozen=True, slots=True)
class Updated:
    """How it ended."""

    done: bool = False
    refusal: Refusal | Declined | None = None
    countersignature: int = 0


_Found: TypeAlias = tuple[Record, Product]


class UpdateCard:
    """One call is one stream."""

    def __init__(
        self,
        engine: AsyncEngine,
        known_by: Digests,
        journal: Journal,
        registry: Registry,
        vault: Vault,
        products: Sequence[Product],
        at: AtPoint = pass_by,
    ) -> None:
        """`known_by`: a request holds the document of whoever asks for it."""
        self._engine = engine
        self._journal = journal
        self._registry = registry
        self._vault = vault
        self._products = products
        self._at = at
        self._known_by = known_by
        self._once = Once(engine, known_by, at)

    async def __call__(self, update: Update, actor: Actor, terminal: Terminal) -> Updated:
        """A request that was carried out hears so again. Raises DomainError."""
        known = await self._once.heard(actor.terminal, update.request_id, _METHOD, update.content, bool)
        if known is not None:
            return Updated(known)
        found = await self._find(update)
        if isinstance(found, Refusal):
            return Updated(refusal=found)
        record, product = found
        try:
            if not_now := await self._not_now(update, actor):
                return Updated(refusal=not_now)
        except Away:
            return Updated(refusal=Refusal.CARD_SERVICE_AWAY)
        word = await transact(self._engine, lambda driver: self._word(driver, update, record, actor))
        if word.refusal:
            return Updated(refusal=word.refusal, countersignature=word.number)
        detail = _detail(update, record, word)

        async def note(outcome: str) -> None:
            async with driver_session(self._engine) as driver:
                await audit.record(driver, actor, ENDED, number=record.id, detail=detail | {"outcome": outcome})

        try:
            refusal = await self._try(update, record, product, actor, terminal, word.number)
        except DomainError as error:
            await note(error.reason)
            raise
        if refusal:
            await note(refusal.reason if isinstance(refusal, Declined) else refusal.name)
            return Updated(refusal=refusal)

        async def done(driver: "asyncpg.Connection[Any]") -> bool:
            await countersignatures.use(driver, word.number)
            await audit.record(driver, actor, ENDED, number=record.id, detail=detail | {"outcome": "DONE"})
            return True

        return Updated(await self._once(actor.terminal, update.request_id, _METHOD, update.content, bool, done))

    async def _try(
        self, update: Update, record: Record, product: Product, actor: Actor, terminal: Terminal, approval: int
    ) -> Refusal | Declined | None:
        """None: the card has it."""
        try:
            taken = await self._journal.take(record, actor)
            if not isinstance(taken, Taken):
                return taken or Refusal.SUPERSEDED
            return await self._change(update, Stream(self._journal, terminal, self._at), taken, product, approval)
        except Away:
            return Refusal.CARD_SERVICE_AWAY

    async def _find(self, update: Update) -> _Found | Refusal:
        product = product_of(update.atr, self._products)
        if product is None:
            return Refusal.PRODUCT_UNKNOWN
        if update.new_pin is not None and product.pin is None:
            return Refusal.NO_PIN_ON_CARD
        if update.new_pin is not None and product.pin and not product.pin.takes(update.new_pin):
            return Refusal.PIN_MALFORMED
        blank = await self._journal.find(update.card_identifier)
        if blank is None or not blank.record:
            return Refusal.CARD_UNKNOWN
        if blank.product != product.code:
            return Refusal.PRODUCT_DIFFERS
        record = await self._journal.record(blank.record)
        if record is None or blank.state is not BlankState.HANDED_OVER or record.state is not RecordState.ISSUED:
            return Refusal.BLANK_PRINTED if blank.state is BlankState.PRINTED else Refusal.CARD_NOT_GOOD
        return record, product

    async def _not_now(self, update: Update, actor: Actor) -> Refusal | None:
        presented = update.presented
        if presented.party not in _MAY_ASK or not presented.identity_verified:
            return Refusal.IDENTITY_NOT_VERIFIED
        card = await self._registry.summary_by(update.card_identifier, actor)
        if card is None:
            return Refusal.CARD_UNKNOWN
        return None if card.social == SOCIAL_STATUS_NORMAL else Refusal.CARD_NOT_GOOD

    async def _word(self, driver: "asyncpg.Connection[Any]", update: Update, record: Record, actor: Actor) -> Word:
        """The vault looks at it, too; it is used up when the card has it. That it begins is written before anything is done."""
        detail = {"what": update.what, "record": str(record.id), "serial": record.serial}
        word = await second_person(driver, self._known_by(_METHOD, update.content), ACT, detail, actor, now_ms(), use=False)
        if word.refusal is None:
            await audit.record(driver, actor, BEGUN, number=record.id, detail=_detail(update, record, word))
        return word

    async def _change(
        self, update: Update, stream: Stream, taken: Taken, product: Product, approval: int
    ) -> Refusal | Declined | None:
        stream.take(taken)
        actor, identifier = taken.actor, update.card_identifier
        order = None if update.new_pin is not None else await self._registry.order_by(identifier, actor)
        if isinstance(order, Declined):
            return order
        lease = await self._vault.open_issued(taken.record, identifier, product, actor.staff, actor.terminal, approval)
        if isinstance(lease, VaultRefused):
            return Refusal.KEYS_NOT_GIVEN
        if order:
            conversation = conversations.renew_validity(product, order.data, taken.past)
        else:
            conversation = conversations.reload_pin(product, identifier, update.new_pin or "", taken.past)
        try:
            result = await stream.drive(conversation, lease)
        finally:
            await lease.close()
        await stream.settle()
        return result.reason if isinstance(result, Refused) else None


def _detail(update: Update, record: Record, word: Word) -> dict[str, str | int]:
    """For the audit."""
    return {"what": update.what, "serial": record.serial, "second": word.second}
