"""A hall of windows in one process: virtual chips, a printer and clerks that take no time, so many streams at once.

Against the empty stream it does the same: there each chip is the one of the script, challenge by challenge.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import msgspec
import typer
import uvloop

from bench.calls import Answered
from bench.plan import CALLS_A_CONNECTION
from bench.programs.caller import credentials_of
from onecard.card.v1.cards_pb2 import PARTY_HOLDER_IN_PERSON, Presented
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceStub
from sdk.window.issuance import transmit
from services.card.api.actors import SHIFT_KEY
from services.common.garbage import collect_garbage_seldom
from simulation.chips.card import Chip
from simulation.chips.factory import Factory
from simulation.chips.kind import read_kinds
from simulation.chips.reader import Slot

KIND: Final = "ssc3"
_CARD_NUMBER: Final = (0xEF05, 7)
"""Where it stands on the chip: the last that is written."""
_DONE: Final = (messages.ISSUE_OUTCOME_ISSUED, messages.ISSUE_OUTCOME_WAITING_TO_BE_ENABLED)
"""The second one is enabled by itself."""
_PRESENTED: Final = Presented(party=PARTY_HOLDER_IN_PERSON, identity_verified=True)


class Script(msgspec.Struct, frozen=True):
    """One card's making, as it went."""

    blank: int
    """Whose it was."""
    drawn: list[bytes]
    """By its chip."""
    said: list[bytes]
    """By the service, a message each."""


class Work(msgspec.Struct, frozen=True):
    """Which cards are made of which blanks."""

    factory: str
    """The file of its keys."""
    city: str
    token: str
    """Of the clerk who is signed in."""
    first_blank: int
    applications: list[int]
    chip_seconds: float = 0.0
    """What each command takes the chip."""
    script: Script | None = None
    """For the empty stream: all chips are this one."""


class Issued(msgspec.Struct, frozen=True):
    """What came of it."""

    cards: list[Answered]
    """In the order in which they were finished."""
    chips: list[float]
    """Seconds for which each card's chip was waited for, in the same order."""
    numbers: set[bytes]
    """Card numbers on the chips, as they are written there."""
    commands: int
    messages: int
    """Of the service."""
    cpu_seconds: float
    """Of this process, chips and all."""
    again: int
    """How often a card was put in again, because the service said so."""
    script: Script
    """Of the first card."""


class _Hall:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._factory = Factory.keep(Path(work.factory), work.city)
        self._kind = read_kinds()[KIND]
        self._metadata = ((SHIFT_KEY, work.token),)
        self._numbers: set[bytes] = set()
        self._left = zip(count(work.first_blank), work.applications, strict=False)
        self._cards: list[Answered] = []
        self._chips: list[float] = []
        self._commands = self._messages = self._again = 0
        self._first: Script | None = None

    async def window(self, stub: Any) -> None:
        """One card after the other, until all are made."""
        for blank, application in self._left:
            await self._make(stub, blank, application)

    def issued(self, cpu_seconds: float) -> Issued:
        """All of them."""
        assert self._first is not None, "a card was made"
        return Issued(
            self._cards,
            self._chips,
            self._numbers,
            self._commands,
            self._messages,
            cpu_seconds,
            self._again,
            self._first,
        )

    def _chip(self, blank: int, drawn: list[bytes]) -> Chip:
        script = self._work.script
        (made,) = self._factory.make(self._kind, script.blank if script else blank, 1)
        chip = made.chip
        chip.randomness = _again(script.drawn) if script else _kept(chip.randomness, drawn)
        return chip

    async def _make(self, stub: Any, blank: int, application: int) -> None:
        """Put in again as long as the service says so, as a clerk does."""
        drawn: list[bytes] = []
        said: list[bytes] = []
        chip = self._chip(blank, drawn)
        start, began, waited = time.time(), time.perf_counter(), 0.0
        while True:
            finished, for_the_chip = await self._stream(stub, chip, application, said)
            waited += for_the_chip
            if finished.outcome != messages.ISSUE_OUTCOME_TRY_AGAIN:
                break
            self._again += 1
        if finished.outcome not in _DONE:
            raise AssertionError(f"a card was not issued: {finished.outcome} {finished.refusal.reason}")
        self._cards.append(Answered(start, time.perf_counter() - began))
        self._chips.append(waited)
        self._numbers.add(chip.records[_CARD_NUMBER])
        if self._first is None:
            self._first = Script(blank, drawn, said)

    async def _stream(
        self, stub: Any, chip: Chip, application: int, said: list[bytes]
    ) -> tuple[messages.Finished, float]:  # fmt: skip
        """How it ended, and how many seconds the chip took."""
        slot, waited = Slot(chip_seconds=0), 0.0
        slot.insert(chip)
        call = stub.Personalise(metadata=self._metadata)
        begin = messages.BeginPersonalising(application_id=application, atr=slot.connect(1), printer_ready=True)
        await call.write(messages.PersonaliseRequest(begin=begin))
        while (asked := await call.read()) is not grpc.aio.EOF:
            self._messages += 1
            if self._first is None:
                said.append(asked.SerializeToString())
            answer: dict[str, Any]
            match asked.WhichOneof("what"):
                case "commands":
                    at = time.perf_counter()
                    answers = transmit(asked.commands, slot)
                    if self._work.chip_seconds:
                        rest = len(answers.responses) * self._work.chip_seconds - (time.perf_counter() - at)
                        await asyncio.sleep(max(0.0, rest))
                        waited += time.perf_counter() - at
                    self._commands += len(answers.responses)
                    answer = {"responses": answers}
                case "print":
                    answer = {"printed": messages.Printed(outcome=messages.PRINT_OUTCOME_DONE)}
                case "look_at_card":
                    answer = {"appearance": messages.Appearance(looks=messages.CARD_LOOKS_GOOD)}
                case "hand_over":
                    answer = {"handed_over": messages.HandedOver(presented=_PRESENTED)}
                case _:
                    break
            await call.write(messages.PersonaliseRequest(at=asked.at, **answer))
        await call.done_writing()
        if await call.code() is not grpc.StatusCode.OK:
            raise AssertionError(f"a stream ended with {await call.code()}: {await call.details()}")
        return asked.finished, waited


def _again(drawn: Sequence[bytes]) -> Callable[[int], bytes]:
    """What was drawn once, in the same order."""
    left = iter(drawn)
    return lambda _: next(left)


def _kept(draw: Callable[[int], bytes], drawn: list[bytes]) -> Callable[[int], bytes]:
    """The same, and it is known afterwards."""

    def kept(length: int) -> bytes:
        drawn.append(draw(length))
        return drawn[-1]

    return kept


async def _work(address: str, in_flight: int, work: Work, credentials: grpc.ChannelCredentials | None) -> Issued:
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
    channels = [
        grpc.aio.secure_channel(address, credentials, options) if credentials else grpc.aio.insecure_channel(address, options)
        for _ in range(max(1, in_flight // CALLS_A_CONNECTION))
    ]
    for channel in channels:
        await channel.channel_ready()
    hall, before = _Hall(work), time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(in_flight):
            group.create_task(hall.window(IssuanceServiceStub(channels[number % len(channels)])))
    issued = hall.issued(time.process_time() - before)
    for channel in channels:
        await channel.close()
    return issued


def main(
    address: str,
    in_flight: int,
    work: Annotated[Path, typer.Argument(help="MessagePack")],
    result: Path,
    certificate: Annotated[Path | None, typer.Option(help="of the window; with --key and --authority: TLS")] = None,
    key: Annotated[Path | None, typer.Option()] = None,
    authority: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Make all cards of a work, so many at once, and write what came of it to a file."""
    wanted = msgspec.msgpack.decode(work.read_bytes(), type=Work)
    collect_garbage_seldom()
    issued = uvloop.run(_work(address, in_flight, wanted, credentials_of(certificate, key, authority)))
    result.write_bytes(msgspec.msgpack.encode(issued))


if __name__ == "__main__":
    typer.run(main)
