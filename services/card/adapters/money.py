"""Fees and remainders in PostgreSQL, each as far as it has come."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.actor import Actor
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.remainder import PayTo, Remainder
from services.common.clock import instant

_ADD_FEE: Final = """
insert into card.fee (application, amount_fen, source, state, terminal, create_time, update_time)
select n.application, n.amount, n.source, $4, $5, $6, $6 from unnest($1::bigint[], $2::int[], $3::smallint[])
    as n(application, amount, source)"""
_FEE: Final = """
select f.application, a.holder, f.amount_fen, f.source, f.state, f.terminal, a.state = 7, a.state in (8, 10)
from card.fee f join card.application a on a.id = f.application"""
_FEE_OF: Final = _FEE + " where f.application = $1"
_FEES_DUE: Final = _FEE + " where f.state = 1 or (f.state = 2 and a.state in (7, 8, 10)) order by f.application limit $1"
_MOVE_FEE: Final = "update card.fee set state = $3, update_time = now() where application = $1 and state = $2"
_ADD_REMAINDER: Final = "insert into card.remainder (card, holder, pay_to, terminal) values ($1, $2, $3, $4)"
_REMAINDER: Final = "select card, holder, pay_to, terminal, attempt, amount_fen, paid_fen, done from card.remainder"
_REMAINDER_OF: Final = _REMAINDER + " where card = $1"
_REMAINDERS_DUE: Final = _REMAINDER + " where not done and next_time <= now() order by next_time limit $1"
_DECIDE: Final = """
update card.remainder set amount_fen = $3 where card = $1 and attempt = $2 and amount_fen is null and not done"""
_END_ATTEMPT: Final = """
update card.remainder set attempt = attempt + 1, amount_fen = null, paid_fen = paid_fen + $3, done = $4,
    next_time = now() + make_interval(secs => $5)
where card = $1 and attempt = $2 and not done"""
_WAITING: Final = """
select (select count(*) from card.fee f join card.application a on a.id = f.application
        where f.state = 1 or (f.state = 2 and a.state in (7, 8, 10))),
    (select count(*) from card.remainder where not done)"""


class Fee(NamedTuple):
    """A fee, and how the application that it belongs to has ended, if it has."""

    application: int
    holder: int
    amount_fen: int
    source: FeeSource
    state: FeeState
    terminal: str
    completed: bool
    in_vain: bool


class NewFee(NamedTuple):
    """One that is to be taken."""

    application: int
    amount_fen: int
    source: FeeSource


async def add_fees(driver: "asyncpg.Connection[Any]", fees: Sequence[NewFee], actor: Actor, now_ms: int) -> None:
    """Note what is to be taken, in the transaction that accepts the applications."""
    columns = ([f.application for f in fees], [f.amount_fen for f in fees], [f.source for f in fees])
    await driver.execute(_ADD_FEE, *columns, FeeState.TO_TAKE, actor.terminal, instant(now_ms))


async def read_fee(driver: "asyncpg.Connection[Any]", application: int) -> Fee | None:
    """Of an application; None: it costs nothing."""
    row = await driver.fetchrow(_FEE_OF, application)
    return _fee(row) if row else None


async def fees_due(driver: "asyncpg.Connection[Any]", limit: int) -> list[Fee]:
    """Those about which payments is to be asked."""
    return [_fee(row) for row in await driver.fetch(_FEES_DUE, limit)]


async def move_fee(driver: "asyncpg.Connection[Any]", fee: Fee, to: FeeState) -> bool:
    """False: somebody else has moved it."""
    return bool((await driver.execute(_MOVE_FEE, fee.application, fee.state, to)) == "UPDATE 1")


async def add_remainder(driver: "asyncpg.Connection[Any]", card: int, holder: int, pay_to: PayTo, terminal: str) -> None:
    """Note that what is left is to be paid out, in the transaction that cancels the card."""
    await driver.execute(_ADD_REMAINDER, card, holder, pay_to, terminal)


async def read_remainder(driver: "asyncpg.Connection[Any]", card: int) -> Remainder | None:
    """Of a card that was cancelled."""
    row = await driver.fetchrow(_REMAINDER_OF, card)
    return _remainder(row) if row else None


async def remainders_due(driver: "asyncpg.Connection[Any]", limit: int) -> list[Remainder]:
    """Those that may be paid out, or looked at again."""
    return [_remainder(row) for row in await driver.fetch(_REMAINDERS_DUE, limit)]


async def decide_amount(driver: "asyncpg.Connection[Any]", remainder: Remainder, amount_fen: int) -> None:
    """What this attempt will pay, kept before it is posted; whoever was first has decided it."""
    await driver.execute(_DECIDE, remainder.card, remainder.attempt, amount_fen)


async def end_attempt(
    driver: "asyncpg.Connection[Any]", remainder: Remainder, paid_fen: int, *, done: bool, again_in_seconds: float = 0.0
) -> None:
    """This attempt is over; counted once, whoever ends it."""
    await driver.execute(_END_ATTEMPT, remainder.card, remainder.attempt, paid_fen, done, again_in_seconds)


async def count_waiting(driver: "asyncpg.Connection[Any]") -> tuple[int, int]:
    """Fees and remainders about which payments is still to be asked."""
    row = await driver.fetchrow(_WAITING)
    assert row is not None, "it counts"
    return row[0], row[1]


def _fee(row: Iterable[Any]) -> Fee:
    application, holder, amount, source, state, terminal, completed, in_vain = row
    return Fee(application, holder, amount, FeeSource(source), FeeState(state), terminal, completed, in_vain)


def _remainder(row: Iterable[Any]) -> Remainder:
    card, holder, pay_to, terminal, attempt, amount, paid, done = row
    return Remainder(card, holder, PayTo(pay_to), terminal, attempt, amount, paid, done)
