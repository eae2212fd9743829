"""Bring fees and remainders into the ledger, under request ids that follow from what is asked: nothing is posted twice.

Run by the elected process, and at once by whoever has just noted something. While payments is away, what was noted waits.
"""

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.card import metrics
from services.card.adapters import audit, money
from services.card.adapters.applications import lock_application, move_application
from services.card.adapters.cards import lock_card, read_cards_of
from services.card.adapters.money import Due, Fee, HandOut
from services.card.adapters.payments_desk import Away, NotTakenError, PaymentsDesk
from services.card.domain.actor import TIMER
from services.card.domain.application import Step, advance
from services.card.domain.fee import AFTER, FeeSource, FeeState, Move, next_move
from services.card.domain.refusal import Refusal
from services.card.domain.remainder import PayTo, Remainder, Standing, standing
from services.card.handlers.once import transact
from services.common.clock import now_ms
from services.common.database import driver_of, driver_session
from services.common.peer import Subject
from services.common.points import AtPoint, pass_by

_MOST: Final = 200
_HELD: Final = "card-fees-held"
"""Fees for cards that are not there yet."""
_EARNED: Final = "card-fees"
_LEFT: Final = "card-remainders-held"
"""What was left on accounts of cancelled cards, until it is handed out in cash."""
_BANK: Final = "bank_settlement"
_NOT_TAKEN_SECONDS: Final = 60.0
_HELD_SECONDS: Final = 600.0
"""While money of a cancelled card is held, or a temporary card uses it."""
_DECLINED_SECONDS: Final = 3600.0
"""An account may be frozen for long."""
_DAY_SECONDS: Final = 24 * 3600.0
"""Nothing is left, but something may come; or a fee cannot be given back."""

log = structlog.get_logger()


class SettleMoney:
    """A duty, and the same for one fee or remainder at once."""

    def __init__(self, engine: AsyncEngine, payments: PaymentsDesk | None, at: AtPoint = pass_by) -> None:
        self._engine = engine
        self._payments = payments
        self._at = at

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round; False while there is more to do."""
        driver = await driver_of(connection)
        handed = await money.hand_outs_due(driver, _MOST)
        fees, remainders = await money.fees_due(driver, _MOST), await money.remainders_due(driver, _MOST)
        try:
            for one in handed:
                await self._settle(Due.HAND_OUT, one.id, self._post_hand_out(one))
            for fee in fees:
                await self._settle(Due.FEE, fee.application, self._settle_fee(fee))
            for remainder in remainders:
                await self._settle(Due.REMAINDER, remainder.card, self._pay(remainder))
        except Away:
            handed, fees, remainders = [], [], []
        for what, waiting in (await money.count_waiting(driver)).items():
            metrics.MONEY_WAITING.labels(what).set(waiting)
        return max(len(handed), len(fees), len(remainders)) < _MOST

    async def fee_of(self, application: int) -> None:
        """At once, if payments is there; otherwise it waits."""
        async with driver_session(self._engine) as driver:
            fee = await money.read_fee(driver, application)
        if fee:
            with suppress(Away):
                await self._settle(Due.FEE, application, self._settle_fee(fee))

    async def remainder_of(self, card: int) -> Remainder | None:
        """As far as it comes at once; None: nothing is to be paid out."""
        async with driver_session(self._engine) as driver:
            remainder = await money.read_remainder(driver, card)
        if remainder is None or remainder.done:
            return remainder
        with suppress(Away):
            await self._settle(Due.REMAINDER, card, self._pay(remainder))
        async with driver_session(self._engine) as driver:
            return await money.read_remainder(driver, card)

    async def _settle(self, what: Due, number: int, settling: Awaitable[None]) -> None:
        """One of them; what payments does not take is put off, and keeps no other one back. Raises Away."""
        try:
            await settling
        except NotTakenError as error:
            _put_off(what, number, error.code)
            async with driver_session(self._engine) as driver:
                await money.put_off(driver, what, number, _NOT_TAKEN_SECONDS)

    async def _settle_fee(self, fee: Fee) -> None:
        while move := next_move(fee.state, completed=fee.completed, in_vain=fee.in_vain):
            declined = await self._post(_fee_request(fee, move), *_fee_accounts(fee, move), fee.amount_fen)
            await self._at(f"{move.name} posted")
            if declined and move is Move.TAKE:
                await self._decline(fee)
                return
            if declined:
                await self._keep(fee, move, declined)
                return
            await self._note(fee, move)
            await self._at(f"{move.name} noted")
            metrics.FEES.labels(move.name, "DONE").inc()
            fee = fee._replace(state=AFTER[move])

    async def _note(self, fee: Fee, move: Move) -> None:
        """It was posted; and what came back to the account of a cancelled card is paid out with the rest."""

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            if await money.move_fee(driver, fee, AFTER[move]) and move is Move.RETURN and fee.source is FeeSource.PURSE:
                await money.reopen_remainder(driver, fee.holder)

        await transact(self._engine, act)

    async def _keep(self, fee: Fee, move: Move, why: str) -> None:
        """It cannot come where it belongs, as into a closed account: it stays, is seen, and is tried again another day."""

        async def act(driver: "asyncpg.Connection[Any]") -> None:
            if await money.keep_fee(driver, fee, _DAY_SECONDS):
                detail: dict[str, str | int] = {"move": move.name, "why": why, "attempt": fee.attempt}
                await audit.record(
                    driver, TIMER, "fee.kept", holder=fee.holder, application=fee.application, detail=detail
                )  # fmt: skip

        await transact(self._engine, act)
        metrics.FEES.labels(move.name, "DECLINED").inc()
        _put_off(Due.FEE, fee.application, why)

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
        """What is there goes out, attempt by attempt, until a look at the purse finds nothing more that may be paid."""
        left: Remainder | None = remainder
        while left and (decided := await self._decide(left)):
            left = await self._pay_out(decided)

    async def _decide(self, remainder: Remainder) -> Remainder | None:
        """With what this attempt pays, by what is there and by the holder's cards; None: nothing is to be paid now."""
        if remainder.amount_fen:
            return remainder
        balance_fen, held_fen = await self._purse(remainder.holder)

        async def act(driver: "asyncpg.Connection[Any]") -> Remainder | None:
            await lock_card(driver, remainder.card)
            cards = await read_cards_of(driver, [remainder.holder])
            match standing(cards[remainder.holder]):
                case Standing.OVER:
                    await money.end_remainders(driver, remainder.holder, TIMER)
                    return None
                case Standing.WAITS:
                    await money.put_off(driver, Due.REMAINDER, remainder.card, _HELD_SECONDS)
                    return None
            if balance_fen > held_fen:
                return await money.decide_amount(driver, remainder, balance_fen - held_fen)
            done = held_fen == 0
            await money.rest(driver, remainder, done=done, again_in_seconds=_DAY_SECONDS if done else _HELD_SECONDS)
            return None

        decided = await transact(self._engine, act)
        if decided:
            await self._at("remainder decided")
        return decided

    async def _pay_out(self, decided: Remainder) -> Remainder | None:
        """One attempt; answers how it stands afterwards. None: it was declined, and another one is made later."""
        request, amount_fen = f"remainder-{decided.card}-{decided.attempt}", decided.amount_fen or 0
        declined = await self._post(request, decided.holder, _BANK if decided.pay_to is PayTo.BANK else _LEFT, amount_fen)
        await self._at("remainder posted")

        async def act(driver: "asyncpg.Connection[Any]") -> Remainder | None:
            if declined:
                await money.end_attempt(driver, decided, 0, again_in_seconds=_DECLINED_SECONDS)
                return None
            if await money.end_attempt(driver, decided, amount_fen):
                detail: dict[str, str | int] = {"paid_fen": amount_fen, "attempt": decided.attempt}
                await audit.record(driver, TIMER, "remainder.paid", holder=decided.holder, card=decided.card, detail=detail)
            return await money.read_remainder(driver, decided.card)

        after = await transact(self._engine, act)
        if declined:
            _put_off(Due.REMAINDER, decided.card, declined)
        return after

    async def _post_hand_out(self, handed: HandOut) -> None:
        """It lies in the till no more."""
        if declined := await self._post(f"hand-out-{handed.id}", _LEFT, cash_of(handed.terminal), handed.amount_fen):
            raise NotTakenError(declined)
        async with driver_session(self._engine) as driver:
            await money.mark_posted(driver, handed)

    async def _post(self, request_id: str, debit: str | int, credit: str | int, amount_fen: int) -> str:
        if self._payments is None:
            raise Away
        return await self._payments.post(request_id, debit, credit, amount_fen)

    async def _purse(self, holder: int) -> tuple[int, int]:
        if self._payments is None:
            raise Away
        return await self._payments.purse_of(holder)


def cash_of(terminal: str) -> str:
    """The name of a window's cash account; what it has received it owes."""
    return Subject.parse(terminal).cash_account


def _put_off(what: Due, number: int, why: str) -> None:
    log.warning("money_put_off", what=what.value, number=number, why=why)
    metrics.MONEY_PUT_OFF.labels(what, why).inc()


def _fee_request(fee: Fee, move: Move) -> str:
    return f"fee-{fee.application}-{move.value}" + (f"-{fee.attempt}" if fee.attempt > 1 else "")


def _fee_accounts(fee: Fee, move: Move) -> tuple[str | int, str | int]:
    """From where to where: debit, credit."""
    match move:
        case Move.TAKE:
            return _source(fee, fee.terminal), _HELD
        case Move.RETURN:
            return _HELD, _source(fee, fee.return_terminal)
        case Move.EARN:
            return _HELD, _EARNED


def _source(fee: Fee, terminal: str) -> str | int:
    match fee.source:
        case FeeSource.CASH:
            return cash_of(terminal)
        case FeeSource.BANK:
            return _BANK
    return fee.holder
