"""A window that makes cards: it carries commands to the chip, prints, and asks the clerk. It has no keys."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import grpc

from onecard.card.v1 import cards_pb2 as cards
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceStub
from sdk.asking import new_request_id
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError, reason_of
from sdk.window.devices.printer import CardFace, CardPrinter, Printed
from sdk.window.devices.reader import CardGoneError, CardReader, CardSilentError, ChipError
from sdk.window.terminal import Terminal

CARD_SECONDS: Final = 60.0
"""How long a card is awaited in the reader."""
LONGEST_SECONDS: Final = 3600.0
"""Of a whole conversation; people take their time in it."""

_CUT: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""The same card is inserted again."""
_ANY: Final = {0x6100, 0x6C00}
"""Status words that stand for all that begin with the byte."""
_TROUBLE: Final = {CardGoneError: messages.CHIP_TROUBLE_CARD_GONE, CardSilentError: messages.CHIP_TROUBLE_SILENT}
_PRINTED: Final = {
    Printed.DONE: messages.PRINT_OUTCOME_DONE,
    Printed.FAILED_BEFORE: messages.PRINT_OUTCOME_NOT_BEGUN,
    Printed.UNKNOWN: messages.PRINT_OUTCOME_UNKNOWN,
}

Progress: TypeAlias = Callable[[messages.Stage], None]


class GivenUpError(Exception):
    """What a clerk's answer raises when it does not go on: the applicant left, the card broke, or the clerk stops."""

    def __init__(self, reason: messages.GiveUpReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Counter(Protocol):
    """What a person at the counter is asked while a card is made. Each may raise GivenUpError."""

    def look(self) -> messages.CardLooks:
        """Was the card in the printer printed? Nobody else can tell."""

    def hand_over(self, card_id: int, *, old_card_wanted: bool) -> messages.HandedOver:
        """Give the card to its holder: who took it, what was shown, and the PIN if one was keyed in."""


@dataclass(frozen=True, slots=True)
class Issued:
    """How the making of a card ended."""

    outcome: messages.IssueOutcome
    refusal: messages.Refusal | None
    card_id: int
    """0: none was begun."""
    blank_serial: str
    commands: int
    """For the chip, in this stream."""

    @property
    def done(self) -> bool:
        """The holder has it, enabled now or by itself in a moment."""
        return self.outcome in (messages.ISSUE_OUTCOME_ISSUED, messages.ISSUE_OUTCOME_WAITING_TO_BE_ENABLED)


class Issuance(Terminal):
    """Makes, changes and checks cards at the terminal where somebody is signed in.

    A stream that was cut raises OutcomeUnknownError: insert the same card again and call the same again. NotAcceptedError: the
    platform refuses the question.
    """

    TOKEN = "x-onecard-shift"  # noqa: S105 - its name, no token

    @cached_property
    def _issuance(self) -> IssuanceServiceStub:
        return IssuanceServiceStub(self._channel)

    def personalise(
        self,
        application_id: int,
        reader: CardReader,
        printer: CardPrinter,
        counter: Counter,
        *,
        blank_serial: str = "",
        progress: Progress = lambda stage: None,
        card_seconds: float = CARD_SECONDS,
    ) -> Issued:
        """即时制卡 with the card that lies in the reader; application 0: go on with whatever it was begun for.

        `blank_serial`: as printed on the plastic, where it can be read. Raises ChipError when no card comes.
        """
        with _Inserted(reader, card_seconds) as atr:
            begin = messages.BeginPersonalising(
                application_id=application_id, atr=atr, blank_serial=blank_serial, printer_ready=printer.ready().ready
            )
            for asked, answer in self._talk(self._issuance.Personalise, messages.PersonaliseRequest(begin=begin)):
                progress(asked.stage)
                what = asked.WhichOneof("what")
                if what == "finished":
                    return _issued(asked.finished)
                answer(messages.PersonaliseRequest(at=asked.at, **_answer(what, asked, reader, printer, counter)))
        raise AssertionError("a stream ends with its result")

    def check(self, reader: CardReader, *, card_seconds: float = CARD_SECONDS) -> messages.Checked:
        """What is on the chip in the reader, and does the registry agree? Raises ChipError when no card comes."""
        with _Inserted(reader, card_seconds) as atr:
            begin = messages.CheckCardRequest(begin=messages.BeginCheck(atr=atr))
            for asked, answer in self._talk(self._issuance.CheckCard, begin):
                if asked.WhichOneof("what") == "checked":
                    checked: messages.Checked = asked.checked
                    return checked
                answer(messages.CheckCardRequest(at=asked.at, responses=transmit(asked.commands, reader)))
        raise AssertionError("a stream ends with its result")

    def reload_pin(
        self,
        reader: CardReader,
        card_identifier: str,
        new_pin: str,
        presented: cards.Presented,
        *,
        request_id: str = "",
        card_seconds: float = CARD_SECONDS,
    ) -> messages.Updated:
        """Another PIN on the chip, as its holder keys it in. Waits for a second person: then call it again with that id."""
        begin = messages.BeginUpdate(
            request_id=request_id, card_identifier=card_identifier, new_pin=new_pin, presented=presented
        )
        return self._update(reader, begin, card_seconds)

    def renew_validity(
        self,
        reader: CardReader,
        card_identifier: str,
        presented: cards.Presented,
        *,
        request_id: str = "",
        card_seconds: float = CARD_SECONDS,
    ) -> messages.Updated:
        """The dates on the chip, as the registry has them now. Waits for a second person."""
        begin = messages.BeginUpdate(request_id=request_id, card_identifier=card_identifier, validity=True, presented=presented)
        return self._update(reader, begin, card_seconds)

    def _update(self, reader: CardReader, begin: messages.BeginUpdate, card_seconds: float) -> messages.Updated:
        begin.request_id = begin.request_id or new_request_id()
        with _Inserted(reader, card_seconds) as atr:
            begin.atr = atr
            for asked, answer in self._talk(self._issuance.UpdateCard, messages.UpdateCardRequest(begin=begin)):
                if asked.WhichOneof("what") == "updated":
                    updated: messages.Updated = asked.updated
                    return updated
                answer(messages.UpdateCardRequest(at=asked.at, responses=transmit(asked.commands, reader)))
        raise AssertionError("a stream ends with its result")

    def _talk(self, call: Any, begin: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        """Everything that is asked, each with the way of its answer; left early, the stream ends."""
        said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        said.put(begin)
        asked = call(iter(said.get, None), timeout=LONGEST_SECONDS, metadata=self._asking.metadata)
        try:
            for message in asked:
                yield message, said.put
            raise OutcomeUnknownError("", "the stream ended without a result")
        except grpc.RpcError as error:
            raise _ended(error) from None
        finally:
            said.put(None)
            asked.cancel()


class _Inserted:
    """A card in the reader, with power for the time of the block."""

    def __init__(self, reader: CardReader, seconds: float) -> None:
        self._reader = reader
        self._seconds = seconds

    def __enter__(self) -> bytes:
        return self._reader.connect(self._seconds)

    def __exit__(self, *_: object) -> None:
        self._reader.disconnect()


def transmit(run: messages.ChipCommands, reader: CardReader) -> messages.ChipResponses:
    """Pass commands through, until the first answer that was not expected."""
    answers = messages.ChipResponses()
    for command in run.commands:
        try:
            response = reader.transmit(command.apdu)
        except ChipError as error:
            answers.trouble = _TROUBLE.get(type(error), messages.CHIP_TROUBLE_READER)
            break
        answers.responses.append(response)
        if not _expected(response, command.expected):
            break
    return answers


def _expected(response: bytes, statuses: Any) -> bool:
    if len(response) < 2:
        return False
    status = int.from_bytes(response[-2:])
    return status in statuses or (status & 0xFF00 in _ANY and status & 0xFF00 in statuses)


def _answer(what: str, asked: Any, reader: CardReader, printer: CardPrinter, counter: Counter) -> dict[str, Any]:
    try:
        match what:
            case "commands":
                return {"responses": transmit(asked.commands, reader)}
            case "print":
                return {"printed": messages.Printed(outcome=_print(asked.print.face, printer))}
            case "look_at_card":
                return {"appearance": messages.Appearance(looks=counter.look())}
            case "hand_over":
                ready = asked.hand_over
                return {"handed_over": counter.hand_over(ready.card_id, old_card_wanted=ready.old_card_wanted)}
    except GivenUpError as given_up:
        return {"given_up": messages.GivenUp(reason=given_up.reason)}
    raise OutcomeUnknownError("", f"this program is too old: it is asked for {what or 'something unknown'}")


def _print(face: messages.CardFace, printer: CardPrinter) -> messages.PrintOutcome:
    """What it was given lives until it is printed."""
    try:
        return _PRINTED[printer.print(CardFace.of(face))]
    except ValueError:
        return messages.PRINT_OUTCOME_NOT_BEGUN


def _issued(finished: messages.Finished) -> Issued:
    refusal = finished.refusal if finished.HasField("refusal") else None
    return Issued(finished.outcome, refusal, finished.card_id, finished.blank_serial, finished.commands)


def _ended(error: Any) -> Exception:
    code, details = error.code(), error.details() or ""
    reason = reason_of(error)
    if (reason != "SUPERSEDED" and code in _CUT) or reason in ("STREAM_CUT", "WRONG_POSITION"):
        return OutcomeUnknownError("", f"{reason or code.name}: {details}")
    return NotAcceptedError(reason or code.name, details)
