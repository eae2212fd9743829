"""IssuanceService: one stream a card, between a terminal and the handlers."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import structlog

from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceServicer
from services.common.errors import DomainError
from services.common.grpc.reading import bad
from services.issuance import metrics
from services.issuance.adapters.card_service import Declined
from services.issuance.api.actors import Actors
from services.issuance.api.chip_answers import atr_of, checked_of, refusal_of, update_of
from services.issuance.api.lines import ChipLine, Line, answers_of, commands_of, named_of
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.rights import Right
from services.issuance.domain.stage import Stage
from services.issuance.handlers.check_card import CheckCard
from services.issuance.handlers.dialogue import (
    Asked,
    Begin,
    Finished,
    GivenUp,
    HandedOver,
    HandOver,
    Look,
    Looks,
    Position,
    Print,
    PrintOutcome,
    Run,
    Said,
)
from services.issuance.handlers.personalise import Personalise
from services.issuance.handlers.update_card import UpdateCard

log = structlog.get_logger()

_GIVE_UP: Final = {
    messages.GIVE_UP_REASON_APPLICANT_LEFT: Refusal.APPLICANT_LEFT,
    messages.GIVE_UP_REASON_CARD_BROKEN: Refusal.CARD_BROKEN,
    messages.GIVE_UP_REASON_CLERK: Refusal.CLERK_STOPPED,
}
_PATIENCE_SECONDS: Final = {Run: 30.0, Print: 300.0, Look: 600.0, HandOver: 900.0}
"""Chips and printers answer, or their terminal says that they do not; people take their time."""
_ANSWERS: Final = {Run: "responses", Print: "printed", Look: "appearance", HandOver: "handed_over"}
_BEGIN_SECONDS: Final = 30.0


class IssuanceService(IssuanceServiceServicer):
    """Reads messages, asks the handlers, writes answers."""

    def __init__(self, actors: Actors, personalise: Personalise, update: UpdateCard, check: CheckCard, authority: str) -> None:
        """`authority`: who issues the cards, for the plastic."""
        self._actors = actors
        self._personalise = personalise
        self._update = update
        self._check = check
        self._authority = authority

    async def Personalise(  # noqa: N802 - gRPC takes a coroutine that writes as well as a generator
        self, request_iterator: AsyncIterator[messages.PersonaliseRequest], context: Any
    ) -> None:
        """One card."""
        actor = await self._actors.with_right(Right.ISSUE, context)
        terminal = _Terminal(context, partial(self._actors.check, actor), self._authority)
        first = await terminal.first(_BEGIN_SECONDS)
        metrics.IN_FLIGHT.inc()
        try:
            finished = await self._personalise(_begin(first.begin), actor, terminal)
        except DomainError as error:
            metrics.ISSUES.labels("CUT", error.reason).inc()
            raise
        finally:
            metrics.IN_FLIGHT.dec()
        metrics.COMMANDS.inc(finished.commands)
        reason = finished.refusal.reason if isinstance(finished.refusal, Declined) else finished.refusal or ""
        metrics.ISSUES.labels(finished.outcome.name, reason).inc()
        log.info("card_issue_ended", outcome=finished.outcome.name, reason=reason, card=finished.card, serial=finished.serial)
        await terminal.finish(finished)

    async def UpdateCard(  # noqa: N802
        self, request_iterator: AsyncIterator[messages.UpdateCardRequest], context: Any
    ) -> None:
        """One card that was issued."""
        actor = await self._actors.with_right(Right.UPDATE_CARD, context)
        line = ChipLine[messages.UpdateCardRequest](context, partial(self._actors.check, actor), messages.UpdateCardResponse)
        updated = await self._update(update_of((await line.first(_BEGIN_SECONDS)).begin), actor, line)
        await line.end(
            updated=messages.Updated(
                done=updated.done,
                refusal=refusal_of(updated.refusal),
                countersignature_id=updated.countersignature,
            )
        )

    async def CheckCard(  # noqa: N802
        self, request_iterator: AsyncIterator[messages.CheckCardRequest], context: Any
    ) -> None:
        """What is on this chip."""
        actor = await self._actors.with_right(Right.CHECK_CARD, context)
        line = ChipLine[messages.CheckCardRequest](context, partial(self._actors.check, actor), messages.CheckCardResponse)
        begin = (await line.first(_BEGIN_SECONDS)).begin
        await line.end(checked=checked_of(await self._check(atr_of(begin.atr), actor, line)))


class _Terminal(Line[messages.PersonaliseRequest]):
    """The other end of one stream."""

    def __init__(self, context: Any, check: Callable[[], None], authority: str) -> None:
        super().__init__(context, check)
        self._authority = authority
        self._stage = Stage.CARD_READ

    async def ask(self, at: Position, stage: Stage, what: Asked) -> Said:
        """Its answer to this very step. Raises DomainError."""
        self._stage = stage
        self.move_to(at)
        message = await self.exchange(self._asking(what), _PATIENCE_SECONDS[type(what)])
        return _said(message, _ANSWERS[type(what)])

    async def finish(self, finished: Finished) -> None:
        """The last message."""
        self.at.step += 1
        ended = messages.Finished(
            outcome=finished.outcome,  # type: ignore[arg-type]  # numbers agree, a test holds it
            refusal=refusal_of(finished.refusal),
            card_id=finished.card,
            blank_serial=finished.serial,
            commands=finished.commands,
        )
        await self.send(self._message(finished=ended))

    def _asking(self, what: Asked) -> messages.PersonaliseResponse:
        match what:
            case Run(commands):
                return self._message(commands=commands_of(commands))
            case Print(order):
                data = order.data
                face = messages.CardFace(
                    name=data.name,
                    social_security_number=data.social_security_number,
                    card_number=data.card_number,
                    issue_date=data.issue_date.isoformat(),
                    expiry_date=data.expiry_date.isoformat(),
                    photo=order.photo,
                    authority=self._authority,
                    temporary_card=order.temporary,
                )
                return self._message(print=messages.Print(face=face))
            case Look():
                return self._message(look_at_card=messages.LookAtCard())
            case HandOver(card, old):
                return self._message(hand_over=messages.HandOver(card_id=card, old_card_wanted=old))

    def _message(self, **what: Any) -> messages.PersonaliseResponse:
        stage: Any = self._stage  # the numbers agree, a test holds it
        return messages.PersonaliseResponse(at=self.at, stage=stage, **what)


def _begin(begin: messages.BeginPersonalising) -> Begin:
    if begin.application_id < 0:
        raise bad("application_id", "it is a number from 1, or 0")
    return Begin(begin.application_id, atr_of(begin.atr), begin.blank_serial, begin.printer_ready)


def _said(message: messages.PersonaliseRequest, wanted: str) -> Said:
    what = message.WhichOneof("what")
    if what == "given_up":
        reason = _GIVE_UP.get(message.given_up.reason)
        if reason is None:
            raise bad("reason", "it must be named")
        return GivenUp(reason)
    if what != wanted:
        raise bad("what", f"{wanted} is wanted, or given_up")
    match what:
        case "responses":
            return answers_of(message.responses)
        case "printed":
            return named_of("outcome", PrintOutcome, message.printed.outcome)
        case "appearance":
            return named_of("looks", Looks, message.appearance.looks)
        case _:
            said = message.handed_over
            return HandedOver(said.presented, said.new_pin)
