"""From a blank in the reader to an enabled card in its holder's hand; a cut at any byte is resumed by inserting it again.

docs/decisions/0017-issue-and-switch.md has the saga. The chip is read before anything is held; a blank is held before the card
service begins; everything that cannot be taken back is written before it is asked for.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from onecard.card.v1.production_pb2 import CompleteIssueRequest
from services.common.errors import Code, DomainError
from services.common.points import AtPoint, pass_by
from services.issuance.adapters.card_service import Away, Declined
from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, BlankState, Verb
from services.issuance.domain.effects import Refused, Spoil, VaultRefused, Verified
from services.issuance.domain.journal import Owing
from services.issuance.domain.order import Order
from services.issuance.domain.personalise import personalise
from services.issuance.domain.probe import probe
from services.issuance.domain.product import Product, product_of
from services.issuance.domain.record import OPEN, Debt, Record, RecordState, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import (
    Begin,
    CardService,
    Finished,
    HandedOver,
    HandOver,
    IssueOutcome,
    Journal,
    Look,
    Looks,
    Print,
    PrintOutcome,
    Terminal,
    Vault,
)
from services.issuance.handlers.drive import GaveUp, Stream
from services.issuance.handlers.tell import tell_completed, tell_failed, tell_later, tell_made

_MOST_TRIES: Final = 5
"""Of taking a record, when others take it too."""
_S = RecordState
_HOPELESS: Final = frozenset({Refusal.VALUE_NOT_CARRIED, Refusal.VALUE_TOO_LONG, Refusal.VALUE_MALFORMED})
"""No blank will do for this application."""
_BAD_IDENTIFIER: Final = frozenset({"CARD_IDENTIFIER_USED", "CARD_IDENTIFIER_OF_ANOTHER_CITY"})
_LEFT_ALONE: Final = frozenset(
    {Refusal.PRODUCT_UNKNOWN, Refusal.NOT_A_SOCIAL_SECURITY_CARD, Refusal.IDENTIFIER_UNREADABLE, Refusal.STATUS_UNEXPECTED}
)
"""Of a card of which nothing is known: there is nothing to try again."""


class Personalise:
    """Makes cards. One call is one stream."""

    def __init__(
        self, journal: Journal, card: CardService, vault: Vault, products: Sequence[Product], at: AtPoint = pass_by
    ) -> None:
        self._journal = journal
        self._card = card
        self._vault = vault
        self._products = products
        self._at = at

    async def __call__(self, begin: Begin, actor: Actor, terminal: Terminal) -> Finished:
        """How it ended. Raises DomainError when the stream does: its card is inserted again, here or elsewhere."""
        stream = Stream(self._journal, terminal, self._at)
        return await _Making(self, stream, begin, actor).run()


class _Making:
    """One stream from its first message to its last."""

    def __init__(self, to: Personalise, stream: Stream, begin: Begin, actor: Actor) -> None:
        self._journal, self._card, self._vault = to._journal, to._card, to._vault
        self._products, self._at = to._products, to._at
        self._stream = stream
        self._begin = begin
        self._actor = actor
        self._told: Debt | None = None
        """What the card service was told, and is written with what follows."""

    async def run(self) -> Finished:
        product = product_of(self._begin.atr, self._products)
        if product is None:
            return self._finish(IssueOutcome.REFUSED, Refusal.PRODUCT_UNKNOWN)
        try:
            probed = await self._stream.drive(probe(product))
        except GaveUp as gave_up:
            return self._finish(IssueOutcome.REFUSED, gave_up.reason)
        if isinstance(probed, Refused):
            again = IssueOutcome.REFUSED if probed.reason in _LEFT_ALONE else IssueOutcome.TRY_AGAIN
            return self._finish(again, probed.reason)
        taken = await self._take(probed.card_identifier, product)
        if isinstance(taken, Refusal):
            return self._finish(IssueOutcome.REFUSED, taken)
        self._stream.take(taken)
        await self._at("record taken")
        try:
            return await self._make(product)
        except Away:
            return await self._try_again(Refusal.CARD_SERVICE_AWAY)
        except GaveUp as gave_up:
            return await self._give_up(gave_up.reason)

    async def _take(self, identifier: str, product: Product) -> Taken | Refusal:
        """The record of the card in the reader: the one that it was begun for, or a new one."""
        for _ in range(_MOST_TRIES):
            blank = await self._journal.find(identifier)
            if refusal := self._unfit(blank, product):
                return refusal
            assert blank is not None, "it is fit"
            record = await self._journal.record(blank.record) if blank.record else None
            if record and record.state in OPEN:
                taken = await self._resume(record)
            else:
                taken = await self._reserve(blank)
            if taken is not None:
                return taken
        return Refusal.SUPERSEDED

    def _unfit(self, blank: Blank | None, product: Product) -> Refusal | None:
        if blank is None:
            return Refusal.UNKNOWN_BLANK
        if self._begin.blank_serial not in ("", blank.serial):
            return Refusal.SERIAL_DIFFERS
        return None if blank.product == product.code else Refusal.PRODUCT_DIFFERS

    async def _resume(self, record: Record) -> Taken | Refusal | None:
        if self._begin.application not in (0, record.application):
            return Refusal.BLANK_OF_ANOTHER
        if record.state in (_S.WITHDRAWING, _S.SPOILING):
            return Refusal.NUMBER_NOT_RETIRED
        if record.state < _S.PRINT_RELEASED and not self._begin.printer_ready:
            return Refusal.PRINTER_NOT_READY
        return await self._journal.take(record, self._actor)

    async def _reserve(self, blank: Blank) -> Taken | Refusal | None:
        application = self._begin.application
        if blank.state is BlankState.ASSIGNED:
            if not application:
                return Refusal.APPLICATION_NEEDED
            if not self._begin.printer_ready:
                return Refusal.PRINTER_NOT_READY
            if other := await self._journal.open_of(application):
                retiring = other.state in (_S.WITHDRAWING, _S.SPOILING)
                return Refusal.NUMBER_NOT_RETIRED if retiring else Refusal.APPLICATION_HAS_BLANK
        return await self._journal.reserve(blank, application, self._actor)

    async def _make(self, product: Product) -> Finished:
        """On from wherever it was cut."""
        state = self._stream.taken.record.state
        if state in (_S.COMPLETING, _S.WAITING):
            return await self._complete_again()
        order = await (self._begin_production() if state is _S.RESERVED else self._order())
        if isinstance(order, Declined) and state is _S.RESERVED:
            return await self._not_begun(order)
        if isinstance(order, Declined | Refusal):
            return await self._try_again(order)
        if state in (_S.RESERVED, _S.TOUCHED) and (ended := await self._write_chip(product, order)):
            return ended
        if state < _S.PRINTED and (ended := await self._print(order, looks=state is _S.PRINT_RELEASED)):
            return ended
        return await self._hand_over(order)

    async def _begin_production(self) -> Order | Declined | Refusal:
        taken = self._stream.taken
        record, identifier = taken.record, taken.blank.card_identifier
        order = await self._card.begin(f"begin-{record.id}", record.application, identifier, self._actor)
        await self._at("production begun")
        return self._same(order)

    async def _order(self) -> Order | Declined | Refusal:
        return self._same(await self._card.order_of(self._stream.taken.record.application, self._actor))

    def _same(self, order: Order | Declined) -> Order | Declined | Refusal:
        """Of the card in the reader."""
        other = isinstance(order, Order) and order.data.card_identifier != self._stream.taken.blank.card_identifier
        return Refusal.ORDER_DIFFERS if other else order

    async def _not_begun(self, declined: Declined) -> Finished:
        """The blank goes back, unless its identifier is good for nothing."""
        if declined.reason in _BAD_IDENTIFIER:
            await self._stream.write(_S.SPOILED, verb=Verb.SPOIL, reason=declined.reason, tells=IssueOutcome.SPOILED)
            return self._finish(IssueOutcome.SPOILED, declined)
        await self._stream.write(_S.RELEASED, verb=Verb.RELEASE, tells=IssueOutcome.RELEASED)
        return self._finish(IssueOutcome.RELEASED, declined)

    async def _write_chip(self, product: Product, order: Order) -> Finished | None:
        """None: it is whole, and its keys are ours."""
        taken = self._stream.taken
        lease = await self._vault.open(taken, product)
        if isinstance(lease, VaultRefused):
            return await self._try_again(Refusal.KEYS_NOT_GIVEN)
        try:
            challenge = secrets.token_bytes(product.challenge_bytes)
            result = await self._stream.drive(personalise(product, order.data, taken.past, challenge), lease)
        finally:
            await lease.close()
        match result:
            case Verified():
                await self._release_print(order)
                return None
            case Spoil(reason):
                return await self._spoil(reason)
            case Refused(reason) if reason in _HOPELESS and self._stream.taken.record.state is _S.RESERVED:
                return await self._withdraw(reason)
            case Refused(reason):
                return await self._try_again(reason)

    async def _release_print(self, order: Order) -> None:
        """Written before it is asked for: from then on nobody but a person who looks can tell."""
        verified = self._stream.taken.blank.state is BlankState.VERIFIED
        verb = None if verified else Verb.VERIFY
        await self._stream.write(_S.PRINT_RELEASED, verb=verb, stage=Stage.VERIFIED, card=order.card)

    async def _print(self, order: Order, *, looks: bool) -> Finished | None:
        """None: it is printed. It is never asked for twice by itself."""
        if self._stream.taken.record.state is _S.VERIFIED:
            await self._release_print(order)
        while True:
            if looks:
                seen = await self._stream.ask(Look())
                if seen is Looks.SPOILED:
                    return await self._spoil(Refusal.PRINT_SPOILED)
                if seen is Looks.GOOD:
                    break
            printed = await self._stream.ask(Print(order))
            await self._at("print answered")
            if printed is PrintOutcome.DONE:
                break
            if printed is PrintOutcome.NOT_BEGUN:
                await self._stream.write(_S.VERIFIED)
                return self._finish(IssueOutcome.TRY_AGAIN, Refusal.NOT_PRINTED)
            looks = True
        await self._stream.write(
            _S.PRINTED,
            verb=Verb.PRINT,
            stage=Stage.PRINTED,
            card=order.card,
            owes=Owing(Debt.MADE),
            tells=IssueOutcome.LYING,
        )
        return None

    async def _hand_over(self, order: Order) -> Finished:
        if refused := await self._tell_made():
            return await self._lie(refused)
        said = await self._stream.ask(HandOver(order.card, order.old_card_wanted))
        if not isinstance(said, HandedOver):
            raise _senseless()
        if refused := await self._tell_made():
            return await self._lie(refused)
        what = CompleteIssueRequest(presented=said.presented, new_pin=said.new_pin)
        owing = Owing(Debt.COMPLETE, what.SerializeToString())
        number = await self._stream.write(_S.COMPLETING, stage=Stage.HANDED_OVER, owes=owing, paid=self._told)
        return await self._complete(number, what)

    async def _complete_again(self) -> Finished:
        """The holder has taken it, and nobody knows whether the card service has heard of it."""
        owed = await self._journal.owed_completion(self._stream.taken.record)
        if owed is None:
            return self._finish(IssueOutcome.WAITING_TO_BE_ENABLED, Refusal.COMPLETE_AT_WINDOW)
        number, what = owed
        await self._tell_made()
        return await self._complete(number, CompleteIssueRequest.FromString(what))

    async def _complete(self, number: int, what: CompleteIssueRequest) -> Finished:
        if self._told:  # otherwise the one comes before the other
            try:
                return self._finish(*await tell_completed(self._stream, self._card, number, what))
            except Away:
                pass
        await tell_later(self._stream)
        return self._finish(IssueOutcome.WAITING_TO_BE_ENABLED)

    async def _tell_made(self) -> Declined | None:
        """The card lies at its outlet; where the card service is away, it is told with the completion or by itself."""
        if self._told:
            return None
        account = await self._journal.account_of(self._stream.serial)
        try:
            declined = await tell_made(self._stream, self._card, account)
        except Away:
            return None
        await self._at("production ended")
        self._told = Debt.MADE
        return declined

    async def _lie(self, refused: Refusal | Declined | None) -> Finished:
        """It stays at the outlet; what the card service was told is written."""
        if self._told:
            reason = refused.reason if isinstance(refused, Declined) else ""
            await self._stream.write(_S.PRINTED, paid=self._told, answer=reason)
        return self._finish(IssueOutcome.LYING, refused)

    async def _give_up(self, reason: Refusal) -> Finished:
        match self._stream.taken.record.state:
            case _S.RESERVED:
                return await self._withdraw(reason)
            case _S.TOUCHED | _S.VERIFIED | _S.PRINT_RELEASED:
                return await self._spoil(reason)
            case _:
                return await self._lie(reason)

    async def _withdraw(self, reason: Refusal) -> Finished:
        """Nothing was written: the blank goes back, unless the registry has used its identifier."""
        await self._stream.write(_S.WITHDRAWING, owes=Owing(Debt.FAILED))
        return await self._fail(IssueOutcome.RELEASED, reason)

    async def _spoil(self, reason: Refusal) -> Finished:
        """The blank is spoiled first, and its number retired before another one can be reserved."""
        spoiled = IssueOutcome.SPOILED
        await self._stream.write(_S.SPOILING, verb=Verb.SPOIL, reason=reason, owes=Owing(Debt.FAILED), tells=spoiled)
        return await self._fail(spoiled, reason)

    async def _fail(self, expected: IssueOutcome, reason: Refusal) -> Finished:
        """`expected`: where the card service is away, and is told later."""
        try:
            return self._finish(await tell_failed(self._stream, self._card), reason)
        except Away:
            return self._finish(expected, reason)

    async def _try_again(self, reason: Refusal | Declined) -> Finished:
        await self._stream.settle()
        lying = self._stream.taken.record.state is _S.PRINTED
        return self._finish(IssueOutcome.LYING if lying else IssueOutcome.TRY_AGAIN, reason)

    def _finish(self, outcome: IssueOutcome, refusal: Refusal | Declined | None = None) -> Finished:
        stream = self._stream
        card = stream.taken.record.card if stream.serial else 0
        return Finished(outcome, refusal, card, stream.serial, stream.commands)


def _senseless() -> DomainError:
    return DomainError(Code.INVALID_ARGUMENT, "ANSWER_SENSELESS", "that is no answer to what was asked")
