"""What is on the chip in the reader, and does the registry agree? Nothing personal is ever answered."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from onecard.card.v1.cards_pb2 import CardSummary
from services.common.points import AtPoint, pass_by
from services.issuance.adapters.card_service import Away, Declined
from services.issuance.domain import check_card as conversation
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState
from services.issuance.domain.check_card import CheckedRecord, Proof
from services.issuance.domain.effects import Past, Refused, VaultRefused
from services.issuance.domain.order import Order
from services.issuance.domain.probe import probe
from services.issuance.domain.product import Product, product_of
from services.issuance.domain.record import RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.handlers.dialogue import Journal, Lease, Registry, Terminal, Vault
from services.issuance.handlers.drive import Stream

_IN_ITS_HOLDERS_HAND: Final = frozenset({RecordState.WAITING, RecordState.ISSUED})


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    product: str = ""
    card_identifier: str = ""
    blank: Blank | None = None
    card: CardSummary | None = None
    records: tuple[CheckedRecord, ...] = ()
    proof: Proof = Proof.NOT_ASKED
    agrees: bool = False
    refusal: Refusal | None = None
    """Also beside records: why no key was given for the others."""


class CheckCard:
    """One call is one stream."""

    def __init__(
        self, journal: Journal, registry: Registry, vault: Vault, products: Sequence[Product], at: AtPoint = pass_by
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._vault = vault
        self._products = products
        self._at = at

    async def __call__(self, atr: bytes, actor: Actor, terminal: Terminal) -> Checked:
        """Raises DomainError when the stream ends."""
        stream = Stream(self._journal, terminal, self._at)
        product = product_of(atr, self._products)
        if product is None:
            return Checked(refusal=Refusal.PRODUCT_UNKNOWN)
        probed = await stream.drive(probe(product))
        if isinstance(probed, Refused):
            return Checked(product.code, refusal=probed.reason)
        identifier = probed.card_identifier
        found = Checked(product.code, identifier, await self._journal.find(identifier))
        try:
            card = await self._registry.summary_by(identifier, actor)
            order = await self._registry.order_by(identifier, actor) if card else None
        except Away:
            return replace(found, refusal=Refusal.CARD_SERVICE_AWAY)
        if card is None or order is None or isinstance(order, Declined):
            return replace(found, refusal=Refusal.CARD_UNKNOWN)
        return await self._compare(replace(found, card=card), stream, product, order, actor)

    async def _compare(self, found: Checked, stream: Stream, product: Product, order: Order, actor: Actor) -> Checked:
        given, past = await self._keys(found.blank, stream, product, actor)
        lease, refusal = (None, given) if isinstance(given, Refusal) else (given, None)
        challenge = secrets.token_bytes(product.challenge_bytes)
        check = conversation.check_card(product, order.data, past, challenge, with_keys=lease is not None)
        try:
            result = await stream.drive(check, lease)
        finally:
            if lease:
                await lease.close()
        await stream.settle()
        if isinstance(result, Refused):
            return replace(found, refusal=result.reason)
        return replace(found, records=result.records, proof=result.proof, agrees=result.agrees, refusal=refusal)

    async def _keys(
        self, blank: Blank | None, stream: Stream, product: Product, actor: Actor
    ) -> tuple[Lease | Refusal | None, Past]:
        """Of a card that was handed over; a stream in which one is being made is not disturbed: None."""
        record = await self._journal.record(blank.record) if blank and blank.record else None
        if blank is None or record is None:
            return None, Past()
        if blank.state is not BlankState.HANDED_OVER or record.state not in _IN_ITS_HOLDERS_HAND:
            return None, Past()
        if not await self._journal.note_check(record, actor):
            return Refusal.CHECKED_TOO_OFTEN, Past()
        taken = await self._journal.take(record, actor)
        if not isinstance(taken, Taken):
            return None, Past()
        stream.take(taken)
        lease = await self._vault.open_issued(
            taken.record, blank.card_identifier, product, actor.staff, actor.terminal
        )  # fmt: skip
        return Refusal.KEYS_NOT_GIVEN if isinstance(lease, VaultRefused) else lease, taken.past
