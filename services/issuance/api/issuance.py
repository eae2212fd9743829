"""IssuanceService: one stream a card, between a terminal and the handlers."""

import asyncio
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Any, Final, TypeVar

import grpc
import structlog

from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceServicer
from services.common.errors import Code, DomainError
from services.common.grpc.reading import bad
from services.issuance import metrics
from services.issuance.adapters.card_service import Declined
from services.issuance.api.actors import Actors
from services.issuance.domain.apdu import response_of
from services.issuance.domain.effects import Answers, Trouble
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.domain.rights import Right
from services.issuance.domain.stage import Stage
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

log = structlog.get_logger()

N = TypeVar("N", bound=IntEnum)

_MOST_ATR: Final = 33
_MOST_ANSWER: Final = 258
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

    def __init__(self, actors: Actors, personalise: Personalise, authority: str) -> None:
        """`authority`: who issues the cards, for the plastic."""
        self._actors = actors
        self._personalise = personalise
        self._authority = authority

    async def Personalise(  # noqa: N802 - gRPC takes a coroutine that writes as well as a generator
        self, request_iterator: AsyncIterator[messages.PersonaliseRequest], context: Any
    ) -> None:
        """One card."""
        actor = await self._actors.with_right(Right.ISSUE, context)
        terminal = _Terminal(context, self._authority)
        first = await terminal.receive(_BEGIN_SECONDS)
        if first.WhichOneof("what") != "begin" or first.HasField("at"):
            raise bad("what", "the first message begins")
        metrics.IN_FLIGHT.inc()
        try:
            finished = await self._personalise(_begin(first.begin), actor, terminal)
        finally:
            metrics.IN_FLIGHT.dec()
        metrics.COMMANDS.inc(finished.commands)
        reason = finished.refusal.reason if isinstance(finished.refusal, Declined) else finished.refusal or ""
        metrics.ISSUES.labels(finished.outcome.name, reason).inc()
        log.info("card_issue_ended", outcome=finished.outcome.name, reason=reason, card=finished.card, serial=finished.serial)
        await terminal.finish(finished)


class _Terminal:
    """The other end of one stream."""

    def __init__(self, context: Any, authority: str) -> None:
        self._context = context
        self._authority = authority
        self._at = messages.Position()
        self._stage = Stage.CARD_READ

    async def receive(self, patience_seconds: float) -> messages.PersonaliseRequest:
        """The next message. Raises DomainError when none comes."""
        try:
            async with asyncio.timeout(patience_seconds):
                message = await self._context.read()
        except TimeoutError:
            raise DomainError(Code.DEADLINE_EXCEEDED, "TERMINAL_SILENT", "终端没有应答，请重新放入同一张卡再试") from None
        if message is grpc.aio.EOF:
            raise DomainError(Code.FAILED_PRECONDITION, "STREAM_CUT", "连接已中断，请重新放入同一张卡再试")
        assert isinstance(message, messages.PersonaliseRequest)
        return message

    async def ask(self, at: Position, stage: Stage, what: Asked) -> Said:
        """Its answer to this very step. Raises DomainError."""
        self._at = messages.Position(record_id=at.record, epoch=at.epoch, step=at.step)
        self._stage = stage
        await self._context.write(self._asking(what))
        message = await self.receive(_PATIENCE_SECONDS[type(what)])
        if message.at != self._at:
            raise DomainError(Code.FAILED_PRECONDITION, "WRONG_POSITION", "应答不属于这一步，请重新放入同一张卡再试")
        return _said(message, _ANSWERS[type(what)])

    async def finish(self, finished: Finished) -> None:
        """The last message."""
        self._at.step += 1
        ended = messages.Finished(
            outcome=finished.outcome,  # type: ignore[arg-type]  # numbers agree, a test holds it
            refusal=_refusal(finished.refusal),
            card_id=finished.card,
            blank_serial=finished.serial,
            commands=finished.commands,
        )
        await self._context.write(self._message(finished=ended))

    def _asking(self, what: Asked) -> messages.PersonaliseResponse:
        match what:
            case Run(commands):
                run = [messages.ChipCommand(apdu=one.apdu, expected=one.expected) for one in commands]
                return self._message(commands=messages.ChipCommands(commands=run))
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
        return messages.PersonaliseResponse(at=self._at, stage=stage, **what)


def _begin(begin: messages.BeginPersonalising) -> Begin:
    if not 0 < len(begin.atr) <= _MOST_ATR:
        raise bad("atr", f"1 to {_MOST_ATR} bytes are wanted")
    if begin.application_id < 0:
        raise bad("application_id", "it is a number from 1, or 0")
    return Begin(begin.application_id, begin.atr, begin.blank_serial, begin.printer_ready)


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
            return _named("outcome", PrintOutcome, message.printed.outcome)
        case "appearance":
            return _named("looks", Looks, message.appearance.looks)
        case _:
            said = message.handed_over
            return HandedOver(said.presented, said.new_pin)


def answers_of(said: messages.ChipResponses) -> Answers:
    """What a chip answered. Raises DomainError for what no chip can answer."""
    responses = [response_of(raw) if len(raw) <= _MOST_ANSWER else None for raw in said.responses]
    found = tuple(response for response in responses if response is not None)
    if len(found) != len(responses):
        raise bad("responses", f"each has 2 to {_MOST_ANSWER} bytes")
    return Answers(found, _named("trouble", Trouble, said.trouble) if said.trouble else None)


def _named(field: str, kind: type[N], number: int) -> N:
    try:
        return kind(number)
    except ValueError:
        raise bad(field, "there is none of that number") from None


def _refusal(refusal: Refusal | Declined | None) -> messages.Refusal | None:
    match refusal:
        case None:
            return None
        case Declined(reason, message):
            return messages.Refusal(reason=reason, message=message)
        case reason:
            return messages.Refusal(reason=reason, message=sentence(reason))
