"""What runs out: holds are let go, and what is left in void purses goes back to its fund.

The ids of these operations are derived from what they end, so two sweepers at once, or one that died, do it once.
"""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.payments.adapters.requests import expire, post
from services.payments.domain.operation import Answered, Entry, Operation
from services.payments.domain.tap import Terminal
from services.payments.domain.transfer import CNY
from services.payments.handlers.operate import Operate
from services.payments.handlers.register_merchants import ensure_service

log = structlog.get_logger()

_AT_ONCE: Final = 500
_RUN_OUT: Final = text(f"""
select id from payments.payment where status = 1 and expire_time <= now() order by expire_time limit {_AT_ONCE}""")  # noqa: S608  # constants
# With the version of the purse in its id, a posting that came too late to find the money leaves the way free for the next.
_VOID: Final = text(f"""
select id, fund_account, credits_posted_fen - debits_posted_fen - debits_pending_fen as left_fen, version
from payments.account
where void_after <= now() and status = 1 and credits_posted_fen - debits_posted_fen - debits_pending_fen > 0
order by void_after limit {_AT_ONCE}""")  # noqa: S608  # constants


class Sweep:
    """Ends what has run out; to be called again and again."""

    def __init__(self, engine: AsyncEngine, operate: Operate) -> None:
        self._engine = engine
        self._operate = operate
        self._ledger: Terminal | None = None

    async def holds(self, connection: AsyncConnection) -> int:
        """Let go holds whose time is over; returns how many. A capture that was committed before wins."""
        ledger = await self._itself()
        payments = (await connection.scalars(_RUN_OUT)).all()
        return await self._ask("holds", [expire(ledger, payment.bytes) for payment in payments])

    async def purses(self, connection: AsyncConnection) -> int:
        """Send what is left in void purses back to their funds; returns of how many."""
        ledger = await self._itself()
        operations: list[Operation] = []
        for purse, fund, left_fen, version in await connection.execute(_VOID):
            entries = Entry(purse, debit=True, amount_fen=left_fen), Entry(fund, debit=False, amount_fen=left_fen)
            name = f"void:{purse}:{version}"
            operations.append(post(ledger, name, entries, CNY, event_time_ms=0, may_overdraw=False))
        return await self._ask("purses", operations)

    async def _itself(self) -> Terminal:
        """The ledger as its own caller."""
        if self._ledger is None:
            async with self._engine.begin() as connection:
                self._ledger = await ensure_service(connection, "ledger")
        return self._ledger

    async def _ask(self, what: str, operations: Sequence[Operation]) -> int:
        if not operations:
            return 0
        answers = await self._operate(operations)
        done = sum(isinstance(one, Answered) and one.ruling is not None and not one.ruling.reason for one in answers)
        log.info("swept", what=what, asked=len(operations), done=done)
        return done
