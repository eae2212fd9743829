"""Loses card after card at a window while taps flow, and asks and taps with each until it is refused, online and as a tap."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

import grpc
import msgspec
import typer
import uvloop
from aiokafka import AIOKafkaProducer

from bench.programs.caller import credentials_of
from onecard.card.v1.cards_pb2 import PARTY_HOLDER_IN_PERSON, Presented, ReportFormalLossRequest
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.outcomes_pb2 import REASON_CARD_LOST
from onecard.payments.v1.payments_pb2 import AuthorizeRequest
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from sdk.merchant.transaction import BusRide, TerminalKey, sign
from simulation.city import HANDHELD, LINES, stop_id

MERCHANT: Final = LINES[0].merchant_id
EVERY_SECONDS: Final = 0.25
"""Between two losses."""
_ASK_SECONDS: Final = 0.01
_TAP_SECONDS: Final = 0.02
_TAPPED_SECONDS: Final = 2.5
"""How long a lost card is tapped: far longer than it may take to be refused."""
_PATIENCE_SECONDS: Final = 60.0
_IN_PERSON: Final = Presented(party=PARTY_HOLDER_IN_PERSON, identity_verified=True)


class Job(msgspec.Struct, frozen=True):
    """Where to ask and tap, and with which cards."""

    card_api: str
    payments_api: str
    bootstrap: str
    shift: tuple[str, str]
    cards: list[tuple[int, str]]
    """Number and identifier."""
    window: tuple[str, str, str]
    """Certificate, key, and who signed."""
    till: tuple[str, str, str]
    epoch: int
    key: bytes
    """What the till signs with in that epoch."""


class Lost(msgspec.Struct, frozen=True):
    """What was seen of one card."""

    reported: float
    """When its loss was reported, Unix seconds: a moment before it was committed."""
    online: float
    """When the first payment was declined as lost."""
    taps: list[tuple[int, float]]
    """Sequence and instant of each tap, in order; the ledger knows what became of it."""


class Lose(msgspec.Struct, frozen=True):
    """Everything that was seen."""

    lost: list[Lost]
    asked: int
    """Payments that were decided."""
    sent: list[tuple[str, int, int]]
    """(topic, partition, records)."""


class Losing:
    """One life of the program."""

    def __init__(self, job: Job, card: CardServiceStub, payments: PaymentsServiceStub, producer: AIOKafkaProducer) -> None:
        self._job = job
        self._card = card
        self._payments = payments
        self._producer = producer
        self._numbers = count(1)
        self._sequences = count(1)
        self._sent: Counter[tuple[str, int]] = Counter()
        self._asked = 0

    async def run(self) -> Lose:
        """All cards, one every so often."""
        await self._begin()
        tasks = []
        async with asyncio.TaskGroup() as group:
            for number, identifier in self._job.cards:
                tasks.append(group.create_task(self._lose(number, identifier)))
                await asyncio.sleep(EVERY_SECONDS)
        lost = [task.result() for task in tasks]
        return Lose(lost, self._asked, [(*place, records) for place, records in self._sent.items()])

    async def _begin(self) -> None:
        """Payments answers only once the projection of the cards is fresh."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                await self._refused(self._job.cards[0][1])
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def _lose(self, number: int, identifier: str) -> Lost:
        request = ReportFormalLossRequest(request_id=f"lose-{number}", card_id=number, presented=_IN_PERSON)
        reported = time.time()
        answer = await self._card.ReportFormalLoss(request, metadata=(self._job.shift,))
        assert not answer.HasField("refusal"), answer.refusal.reason
        online, taps = await asyncio.gather(self._ask(identifier), self._tap(identifier))
        return Lost(reported, online, taps)

    async def _ask(self, identifier: str) -> float:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not await self._refused(identifier):
            assert time.monotonic() < deadline, "a lost card still pays"
            await asyncio.sleep(_ASK_SECONDS)
        return time.time()

    async def _refused(self, identifier: str) -> bool:
        request = AuthorizeRequest(
            request_id=f"ask-{next(self._numbers)}", card_identifier=identifier, amount=Money(amount_fen=1), capture=True
        )
        answer = await self._payments.Authorize(request)
        self._asked += 1
        lost: bool = answer.receipt.reason == REASON_CARD_LOST
        return lost

    async def _tap(self, identifier: str) -> list[tuple[int, float]]:
        end = time.monotonic() + _TAPPED_SECONDS
        taps = []
        while time.monotonic() < end:
            sequence, now = next(self._sequences), time.time()
            ride = BusRide(
                merchant_id=MERCHANT,
                terminal_id=HANDHELD,
                card_identifier=identifier,
                event_time_ms=int(now * 1000),
                line_id=LINES[0].name,
                stop_id=stop_id(0),
            )
            record = sign(ride, sequence, TerminalKey(self._job.epoch, self._job.key))
            placed = await self._producer.send_and_wait(record.topic, record.record, key=record.key)
            self._sent[placed.topic, placed.partition] += 1
            taps.append((sequence, now))
            await asyncio.sleep(_TAP_SECONDS)
        return taps


def _channel(address: str, shown: Sequence[str]) -> grpc.aio.Channel:
    credentials = credentials_of(*map(Path, shown))
    assert credentials is not None
    return grpc.aio.secure_channel(address, credentials)


async def _work(job: Job) -> Lose:
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap, acks="all")
    await producer.start()
    try:
        async with _channel(job.card_api, job.window) as card, _channel(job.payments_api, job.till) as payments:
            return await Losing(job, CardServiceStub(card), PaymentsServiceStub(payments), producer).run()
    finally:
        await producer.stop()


def main(job: Path, result: Path) -> None:
    """Lose the cards of the job (JSON), and write what was seen."""
    done = uvloop.run(_work(msgspec.json.decode(job.read_bytes(), type=Job)))
    result.write_bytes(msgspec.json.encode(done))


if __name__ == "__main__":
    typer.run(main)
