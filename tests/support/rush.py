"""A rush hour at the tills: 64 payments in flight for as long as it lasts. Afterwards every verdict is asked for by its id."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from onecard.payments.v1.payments_pb2 import DECISION_APPROVED, PAYMENT_STATUS_DECLINED, Receipt
from services.payments.handlers.check_books import check_books
from tests.support.api import Api
from tests.support.client import Client
from tests.support.edge import reason_of
from tests.support.office import new_id
from tests.support.town import BUS, CAMPUS, FIRST_ACCOUNT, TERMINALS

AT_ONCE: Final = 64
UNKNOWN: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""How a call ends whose outcome its caller does not know. Any other error is a fault."""


@dataclass(slots=True)
class Asked:
    """One request of a till: a payment, a hold or, when it names a payment, a refund."""

    till: Client
    request_id: str
    card: int
    fen: int
    capture: bool
    refunds: str = ""
    receipt: Receipt | None = None
    """None while nobody knows what became of it."""

    async def ask(self) -> Receipt:
        """For the first time or again."""
        if self.refunds:
            return await self.till.refund(self.refunds, self.fen, self.request_id)
        return await self.till.authorize(self.card, self.fen, self.request_id, capture=self.capture)

    @property
    def taken_fen(self) -> int:
        """What it took from the card, by its receipt."""
        if self.receipt is None or self.receipt.decision != DECISION_APPROVED:
            return 0
        return -self.fen if self.refunds else self.fen if self.capture else 0

    @property
    def held_fen(self) -> int:
        approved = self.receipt is not None and self.receipt.decision == DECISION_APPROVED
        return self.fen if approved and not self.capture and not self.refunds else 0


@dataclass(slots=True)
class Rush:
    """Tills and cards of one town, and all that was asked."""

    api: Api
    cards: Sequence[int]
    asked: list[Asked] = field(default_factory=list)
    unknown: Counter[grpc.StatusCode] = field(default_factory=Counter)
    found: int = 0
    """Of how many unknown outcomes there was a verdict after all."""
    in_flight: int = 0
    _tills: list[Client] = field(default_factory=list)
    _besides: list[int] = field(default_factory=list)
    _over: bool = False

    @property
    def answered(self) -> int:
        return sum(asked.receipt is not None for asked in self.asked)

    @asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        """While this is entered 64 clerks ask one thing after the other; at the end each waits for its last answer."""
        self._tills = [self.api.till(n % TERMINALS, (CAMPUS, BUS)[n // TERMINALS % 2]) for n in range(2 * TERMINALS)]
        await asyncio.gather(*(asyncio.wait_for(till.channel.channel_ready(), 20) for till in self._tills))
        clerks = [asyncio.create_task(self._work(self._tills[n % len(self._tills)])) for n in range(AT_ONCE)]
        try:
            yield
        finally:
            self._over = True
            await asyncio.gather(*clerks)

    async def _work(self, till: Client) -> None:
        while not self._over:
            card, fen = random.choice(self.cards), random.randint(1, 300)
            payment = Asked(till, new_id("rush"), card, fen, capture=random.random() < 0.8)
            await self._ask(payment)
            if payment.taken_fen and payment.receipt and random.random() < 0.2:
                fen = random.randint(1, fen)
                await self._ask(Asked(till, new_id("rush"), card, fen, False, refunds=payment.receipt.payment_id))

    async def _ask(self, asked: Asked) -> None:
        self.asked.append(asked)
        self.in_flight += 1
        try:
            asked.receipt = await asked.ask()
        except grpc.aio.AioRpcError as error:
            if error.code() not in UNKNOWN and not _limited(error):
                raise
            self.unknown[error.code()] += 1
            await asyncio.sleep(0.05)
        finally:
            self.in_flight -= 1

    def paid_besides(self, receipts: Sequence[Receipt]) -> None:
        """What was paid with the rush's own cards, one after the other, by somebody else."""
        self._besides = [receipt.amount.amount_fen * (receipt.decision == DECISION_APPROVED) for receipt in receipts]

    async def exactly(self) -> None:
        """Every verdict is read back by its id, each approved request counts once, and the books are exact."""
        fresh = {till.issued: self.api.client("", till.issued) for till in self._tills}
        for asked in self.asked:
            asked.till = fresh[asked.till.issued]
        some_at_once = asyncio.Semaphore(AT_ONCE)

        async def read_back(asked: Asked) -> None:
            async with some_at_once:
                news = await _read_back(asked)
                self.found += news

        await asyncio.gather(*(read_back(asked) for asked in self.asked))
        await self._counts_once()
        books = await check_books(self.api.engine)
        assert books.balance, books.problem

    async def _counts_once(self) -> None:
        taken = Counter(dict(zip(self.cards, self._besides, strict=False)))
        held: Counter[int] = Counter()
        for asked in self.asked:
            taken[asked.card] += asked.taken_fen
            held[asked.card] += asked.held_fen
        rows = await self.api.rows(
            "select id, credits_posted_fen - debits_posted_fen, debits_pending_fen from payments.account where id = any(:ids)",
            ids=[FIRST_ACCOUNT + card for card in self.cards],
        )
        for account, balance_fen, held_fen in rows:
            card = account - FIRST_ACCOUNT
            assert (balance_fen, held_fen) == (self.api.town.opened_fen[card] - taken[card], held[card])


async def _read_back(asked: Asked) -> bool:
    """What is stored under its id is what was answered; where nothing was, it is asked again and then stays so.

    Answers whether there was a verdict that its till never heard of.
    """
    found, asked_again_ms = None, time.time_ns() // 1_000_000
    if not asked.refunds:
        try:
            found = await asked.till.payment(asked.request_id)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            assert asked.receipt is None, "an answer that nothing is stored of"
    receipt = await asked.ask()
    assert asked.receipt in (None, receipt), "another answer under the same id"
    if found is not None:
        declined = receipt.decision != DECISION_APPROVED
        assert (found.payment_id, found.status == PAYMENT_STATUS_DECLINED) == (receipt.payment_id, declined)
        assert found.decide_time_ms == receipt.decide_time_ms, "found, and then decided again"
    news = asked.receipt is None and receipt.decide_time_ms < asked_again_ms
    asked.receipt = receipt
    return news


def _limited(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and reason_of(error) == "RATE_LIMITED"
