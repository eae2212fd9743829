"""Streams to a terminal: each message belongs to a step, comes in time, and makes sense; or the stream ends by name."""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError

from onecard.issuance.v1 import issuance_pb2 as messages
from services.common.errors import Code, DomainError
from services.common.grpc.reading import bad
from services.issuance.domain.apdu import Command, response_of
from services.issuance.domain.effects import Answers, Trouble
from services.issuance.domain.stage import Stage
from services.issuance.handlers.dialogue import Asked, Position, Run, Said

M = TypeVar("M")
N = TypeVar("N", bound=IntEnum)
CHIP_SECONDS: Final = 30.0
"""A chip answers, or its terminal says that it does not."""
_MOST_ANSWER: Final = 258


class Line(Generic[M]):
    """The other end of one stream; what comes in is M."""

    def __init__(self, context: Any, check: Callable[[], None]) -> None:
        """`check` raises DomainError as soon as whoever began this may not go on; it is asked at each message."""
        self._context = context
        self._check = check
        self.at = messages.Position()

    async def first(self, patience_seconds: float) -> M:
        """How it begins. Raises DomainError."""
        message: Any = await self._receive(patience_seconds)
        if message.WhichOneof("what") != "begin" or message.HasField("at"):
            raise bad("what", "the first message begins")
        first: M = message
        return first

    def move_to(self, at: Position) -> None:
        """What is sent now belongs there, and so does its answer."""
        self.at = messages.Position(record_id=at.record, epoch=at.epoch, step=at.step)

    async def send(self, message: Any) -> None:
        """To the terminal."""
        await self._context.write(message)

    async def exchange(self, message: Any, patience_seconds: float) -> M:
        """The answer to this very step. Raises DomainError."""
        await self.send(message)
        answer: Any = await self._receive(patience_seconds)
        if answer.at != self.at:
            raise DomainError(Code.FAILED_PRECONDITION, "WRONG_POSITION", "应答不属于这一步，请重新放入同一张卡再试")
        answered: M = answer
        return answered

    async def _receive(self, patience_seconds: float) -> Any:
        try:
            async with asyncio.timeout(patience_seconds):
                message = await self._context.read()
        except TimeoutError:
            raise DomainError(Code.DEADLINE_EXCEEDED, "TERMINAL_SILENT", "终端没有应答，请重新放入同一张卡再试") from None
        except DecodeError:
            raise bad("message", "these bytes are none") from None
        if message is grpc.aio.EOF:
            raise DomainError(Code.FAILED_PRECONDITION, "STREAM_CUT", "连接已中断，请重新放入同一张卡再试")
        self._check()
        return message


class ChipLine(Line[M]):
    """A reader alone, with nothing else at the terminal."""

    def __init__(self, context: Any, check: Callable[[], None], response: type[Any]) -> None:
        super().__init__(context, check)
        self._response = response

    async def ask(self, at: Position, stage: Stage, what: Asked) -> Said:
        """What the chip answers. Raises DomainError."""
        assert isinstance(what, Run), "nothing else is asked here"
        self.move_to(at)
        message: Any = await self.exchange(self._response(at=self.at, commands=commands_of(what.commands)), CHIP_SECONDS)
        if message.WhichOneof("what") != "responses":
            raise bad("what", "responses are wanted")
        return answers_of(message.responses)

    async def end(self, **what: Any) -> None:
        """The last message."""
        self.at.step += 1
        await self.send(self._response(at=self.at, **what))


def commands_of(commands: tuple[Command, ...]) -> messages.ChipCommands:
    """A run for the chip."""
    run = [messages.ChipCommand(apdu=one.apdu, expected=one.expected) for one in commands]
    return messages.ChipCommands(commands=run)


def answers_of(said: messages.ChipResponses) -> Answers:
    """What a chip answered. Raises DomainError for what no chip can answer."""
    responses = [response_of(raw) if len(raw) <= _MOST_ANSWER else None for raw in said.responses]
    found = tuple(response for response in responses if response is not None)
    if len(found) != len(responses):
        raise bad("responses", f"each has 2 to {_MOST_ANSWER} bytes")
    return Answers(found, named_of("trouble", Trouble, said.trouble) if said.trouble else None)


def named_of(field: str, kind: type[N], number: int) -> N:
    """What a number stands for. Raises DomainError."""
    try:
        return kind(number)
    except ValueError:
        raise bad(field, "there is none of that number") from None
