"""Count a shift and close it: what was counted is stored before the books are shown, and cash that differs is posted.

The till is not emptied by it: what was counted stays there, and from then on it is what should be there.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.database import driver_of, driver_session
from services.common.errors import Code, DomainError
from services.issuance import metrics
from services.issuance.adapters import audit
from services.issuance.adapters.blanks import add_place
from services.issuance.adapters.payments_desk import PaymentsAway
from services.issuance.adapters.shifts import (
    Books,
    Counted,
    ToPost,
    add_count,
    begin_again,
    close_period,
    keep_books,
    lock_period,
    mark_declined,
    mark_posted,
    read_balance,
    read_count,
    to_post,
    waiting_at,
)
from services.issuance.domain.actor import Actor
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.domain.shift import Balance, Count, Differences, Flow, closable, differences
from services.issuance.handlers.countersign import second_person
from services.issuance.handlers.once import transact

ACT: Final = "CLOSE_SHIFT"
_DECLINED_SECONDS: Final = 3600.0
"""After so long what payments has declined is asked of it again: somebody may have mended the account."""

log = structlog.get_logger()


class Payments(Protocol):
    """What is asked of payments. Raises PaymentsAway."""

    async def till_fen(self, terminal: str) -> int:
        """What should be in a till."""

    async def post_difference(self, request_id: str, terminal: str, difference_fen: int) -> str:
        """What was counted beyond that, or less; why it was declined, or nothing."""


@dataclass(frozen=True, slots=True)
class Closed:
    """It is; or why not."""

    closed: bool = False
    refusal: Refusal | None = None
    countersignature: int = 0


class CloseShift:
    """Handles the end of shifts; and, as a duty, differences in cash that payments was not told yet."""

    def __init__(self, engine: AsyncEngine, payments: Payments | None) -> None:
        self._engine = engine
        self._payments = payments

    async def __call__(self, connection: AsyncConnection) -> bool:
        """Post what is left over, oldest first; ones trouble is no other till's."""
        driver = await driver_of(connection)
        await begin_again(driver)
        for one in await to_post(driver):
            try:
                await self._post(driver, one)
            except PaymentsAway as away:
                if not away.alone:
                    break
        waiting = await waiting_at(driver)
        metrics.CASH_WAITING.set(waiting.number)
        metrics.CASH_DECLINED.set(waiting.declined)
        return True

    async def count(self, driver: "asyncpg.Connection[Any]", actor: Actor, counted: Count) -> int:
        """Store what was counted; answers its number."""
        await add_place(driver, actor.terminal, actor.outlet)
        period, _ = await lock_period(driver, actor.terminal)
        number = await add_count(driver, actor, period, counted)
        await audit.record(driver, actor, "shift.count", detail={"shift_count": number, "cash_fen": counted.cash_fen})
        return number

    async def books(self, number: int) -> Counted:
        """A stored count with what the books say to it, each time the same. Raises DomainError while payments is away."""
        async with driver_session(self._engine) as driver:
            counted = await read_count(driver, number)
        assert counted is not None, "it was stored a moment ago"
        if counted.books:
            return counted
        cash_fen = await self.till_fen(counted.place)

        async def show(driver: "asyncpg.Connection[Any]") -> Counted:
            period, opening = await lock_period(driver, counted.place)
            if period != counted.period:
                raise DomainError(Code.FAILED_PRECONDITION, Refusal.SHIFT_CLOSED.name, sentence(Refusal.SHIFT_CLOSED))
            await keep_books(driver, number, books_of(await read_balance(driver, counted.place, period, opening), cash_fen))
            shown = await read_count(driver, number)
            assert shown is not None, "it is there"
            return shown

        return await transact(self._engine, show)

    async def till_fen(self, terminal: str) -> int:
        """What should be in a till, once payments has answered to all that was closed before. Raises DomainError without one.

        What was declined is in the till all the same, or lacks there.
        """
        try:
            async with driver_session(self._engine) as driver:
                while True:
                    await self._post_all(driver, terminal)
                    waiting = await waiting_at(driver, terminal)
                    known_fen = await self._desk.till_fen(terminal)
                    if waiting == await waiting_at(driver, terminal):  # nothing was posted while it was read
                        return known_fen + waiting.declined_fen
        except PaymentsAway:
            message = "支付系统暂时没有应答，清点结果已保存，班次未结账；请稍后重新提交"
            raise DomainError(Code.UNAVAILABLE, "PAYMENTS_AWAY", message) from None

    async def close(
        self,
        driver: "asyncpg.Connection[Any]",
        number: int,
        actor: Actor,
        reason: str,
        cash_fen: int,
        digests: list[bytes],
        now_ms: int,
    ) -> Closed:
        """Close on the newest count; `cash_fen`: what should be in the till. Raises DomainError for no count here."""
        await add_place(driver, actor.terminal, actor.outlet)
        period, opening = await lock_period(driver, actor.terminal)
        counted = await read_count(driver, number)
        if counted is None or counted.place != actor.terminal or counted.staff != actor.staff:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_COUNT", "没有这次清点，请先清点空白卡和现金")
        if counted.period != period:
            return Closed(refusal=Refusal.SHIFT_CLOSED)
        books = books_of(await read_balance(driver, actor.terminal, period, opening), cash_fen)
        found = differences(counted.found, books.held, cash_fen)
        moved_since = not counted.newest or books != counted.books
        if refusal := closable(found, counted.otherwise, reason, moved_since=moved_since):
            return Closed(refusal=refusal)
        second = 0
        if found.cash_fen or counted.otherwise:
            detail = {"cash_difference_fen": str(found.cash_fen), "reason": reason, "cash_fen": str(counted.found.cash_fen)}
            if counted.otherwise:
                detail |= {"counted_before": str(len(counted.otherwise)), "differed_then": str(counted.otherwise[0].differed)}
            word = await second_person(driver, digests, ACT, detail, actor, now_ms)
            if word.refusal:
                return Closed(refusal=word.refusal, countersignature=word.number)
            second = word.second
        await close_period(driver, number, counted, books, actor, second, reason, found)
        said: dict[str, str | int] = {"shift_count": number, "period": period, "cash_difference_fen": found.cash_fen}
        said |= {"second": second, "counted_before": len(counted.otherwise)} if second else {}
        await audit.record(driver, actor, "shift.close", detail=said)
        return Closed(closed=True)

    async def post(self, terminal: str) -> None:
        """At once, if payments is there; otherwise it waits."""
        try:
            async with driver_session(self._engine) as driver:
                await self._post_all(driver, terminal)
        except PaymentsAway:
            log.warning("cash_difference_waits")

    @property
    def _desk(self) -> Payments:
        if self._payments is None:
            raise PaymentsAway
        return self._payments

    async def _post_all(self, driver: "asyncpg.Connection[Any]", terminal: str) -> None:
        for one in await to_post(driver, terminal):
            await self._post(driver, one)

    async def _post(self, driver: "asyncpg.Connection[Any]", one: ToPost) -> None:
        if declined := await self._desk.post_difference(one.request_id, one.place, one.difference_fen):
            log.error("cash_difference_declined", number=one.request_id, reason=declined)
            await mark_declined(driver, one, declined, _DECLINED_SECONDS)
        else:
            await mark_posted(driver, one)


def books_of(found: Balance, cash_fen: int) -> Books:
    """What is shown. Raises AssertionError where the ledger of blanks does not add up: then nobody closes anything on it."""
    assert found.holds, "the ledger of blanks does not add up"
    flows = found.flows
    return Books(
        opening=found.opening,
        received=flows[Flow.RECEIVED],
        issued=flows[Flow.ISSUED],
        spoiled=flows[Flow.SPOILED],
        transferred=flows[Flow.TRANSFERRED],
        returned=flows[Flow.RETURNED],
        missing=flows[Flow.MISSING],
        on_hand=found.on_hand,
        unfinished=list(found.held.unfinished),
        lying=found.held.lying,
        spoiled_held=found.held.spoiled,
        cash_fen=cash_fen,
    )


def differences_of(counted: Counted) -> Differences:
    """Between a count and what was shown to it."""
    assert counted.books is not None, "it was shown"
    return differences(counted.found, counted.books.held, counted.books.cash_fen)
