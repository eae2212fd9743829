"""Bring fees and remainders into the ledger, under request ids that follow from what is asked: nothing is posted twice.

Run by the elected process, and at once by whoever has just noted something. While payments is away, what was noted waits.
"""

from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.card import metrics
from services.card.adapters import audit, money
from services.card.adapters.applications import lock_application, move_application
from services.card.adapters.money import Fee
from services.card.adapters.payments_desk import Away, PaymentsDesk
from services.card.domain.actor import TIMER
from services.card.domain.application import Step, advance
from services.card.domain.fee import AFTER, FeeSource, FeeState, Move, next_move
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo, Remainder
from services.card.handlers.once import transact
from services.common.clock import now_ms
from services.common.database import driver_of, driver_session
from services.common.peer import Subject

_MOST: Final = 200
_HELD: Final = "card-fees-held"
"""Fees for cards that are not there yet."""
_EARNED: Final = "card-fees"
_BANK: Final = "bank_settlement"
_LOOK_AGAIN_SECONDS: Final = 600.0
"""While money of a cancelled card is held."""


class SettleMoney:
    """A duty, and the same for one fee or remainder at once."""

    def __init__(self, engine: AsyncEngine, payments: PaymentsDesk | None) -> None:
        self._engine = engine
        self._payments = payments

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        driver = await driver_of(connection)
        fees, remainders = await money.fees_due(driver, _MOST), await money.remainders_due(driver, _MOST)
        try:
            for fee in fees:
                await self._settle_fee(fee)
            for remainder in remainders:
                await self._pay(remainder)
        except Away:
            fees, remainders = [], []
        waiting_fees, waiting_remainders = await money.count_waiting(driver)
        metrics.MONEY_WAITING.labels("fee").set(waiting_fees)
        metrics.MONEY_WAITING.labels("remainder").set(waiting_remainders)
        return max(len(fees), len(remainders)) < _MOST

    async def fee_of(self, application: int) -> None:
        """At once, if payments is there; otherwise it waits."""
        async with driver_session(self._engine) as driver:
            fee = await money.read_fee(driver, application)
        if fee:
            try:
                await self._settle_fee(fee)
            except Away:
                return

    async def remainder_of(self, card: int) -> Remainder | None:
        """As far as it comes at once; None: nothing is to be paid out."""
        async with driver_session(self._engine) as driver:
            remainder = await money.read_remainder(driver, card)
        if remainder is None or remainder.done:
            return remainder
        try:
            await self._pay(remainder)
        except Away:
            return remainder
        async with driver_session(self._engine) as driver:
            return await money.read_remainder(driver, card)

    async def _settle_fee(self, fee: Fee) -> None:
        while move := next_move(fee.state, completed=fee.completed, in_vain=fee.in_vain):
            declined = await self._post(_fee_request(fee, move), *_fee_accounts(fee, move), fee.amount_fen)
            if declined:
                assert move is Move.TAKE, "only a purse or the bank may not have it"
                await self._decline(fee)
                return
            async with driver_session(self._engine) as driver:
                await money.move_fee(driver, fee, AFTER[move])
            metrics.FEES.labels(move.name, "DONE").inc()
            fee = fee._replace(state=AFTER[move])

    async def _decline(self, fee: Fee) -> None:
        """The applicant could not pay: the application ends, and may be made anew with another source."""

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            application = await lock_application(driver, fee.application)
            assert application is not None, "its fee refers to it"
            if not await money.move_fee(driver, fee, FeeState.DECLINED):
                return
            to = advance(application.state, Step.WITHDRAW)
            if not isinstance(to, Refusal):
                cause = Refusal.FEE_NOT_SETTLED
                await move_application(driver, application, Step.WITHDRAW, to, TIMER, now_ms(), cause=cause)
            await audit.record(driver, TIMER, "fee.declined", holder=fee.holder, application=fee.application)

        await transact(self._engine, act)
        metrics.FEES.labels(Move.TAKE.name, "DECLINED").inc()

    async def _pay(self, remainder: Remainder) -> None:
        """What is there goes out, in one attempt; what is still held is looked at again later."""
        balance_fen, held_fen = await self._purse(remainder.holder)
        if remainder.amount_fen is None and balance_fen - held_fen > 0:
            async with driver_session(self._engine) as driver:
                await money.decide_amount(driver, remainder, balance_fen - held_fen)
                decided = await money.read_remainder(driver, remainder.card)
            assert decided is not None, "it is never removed"
            if decided.attempt != remainder.attempt or decided.amount_fen is None:
                return  # somebody else was quicker
            remainder = decided
        paid_fen, declined = 0, ""
        if remainder.amount_fen:
            request = f"remainder-{remainder.card}-{remainder.attempt}"
            to = cash_of(remainder.terminal) if remainder.pay_to is PayTo.CASH else _BANK
            declined = await self._post(request, remainder.holder, to, remainder.amount_fen)
            paid_fen = 0 if declined else remainder.amount_fen
        done = not declined and held_fen == 0
        again = 0.0 if declined or done else _LOOK_AGAIN_SECONDS

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            await money.end_attempt(driver, remainder, paid_fen, done=done, again_in_seconds=again)
            detail: dict[str, str | int] = {"paid_fen": paid_fen, "attempt": remainder.attempt}
            await audit.record(driver, TIMER, "remainder.paid", holder=remainder.holder, card=remainder.card, detail=detail)

        await transact(self._engine, act)

    async def _post(self, request_id: str, debit: str | int, credit: str | int, amount_fen: int) -> str:
        if self._payments is None:
            raise Away
        return await self._payments.post(request_id, debit, credit, amount_fen)

    async def _purse(self, holder: int) -> tuple[int, int]:
        if self._payments is None:
            raise Away
        return await self._payments.purse_of(holder)


def cash_of(terminal: str) -> str:
    """The name of a window's cash account; what it has received it owes, until its shift hands it over."""
    subject = Subject.parse(terminal)
    return f"cash:{subject.merchant_id}/{subject.terminal_id}"[:59]


def _fee_request(fee: Fee, move: Move) -> str:
    return f"fee-{fee.application}-{move.value}"


def _fee_accounts(fee: Fee, move: Move) -> tuple[str | int, str | int]:
    """From where to where: debit, credit."""
    sources: dict[FeeSource, str | int] = {FeeSource.CASH: cash_of(fee.terminal), FeeSource.BANK: _BANK}
    source = sources.get(fee.source, fee.holder)
    match move:
        case Move.TAKE:
            return source, _HELD
        case Move.RETURN:
            return _HELD, source
        case Move.EARN:
            return _HELD, _EARNED
