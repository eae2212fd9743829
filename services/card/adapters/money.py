"""Fees and remainders in PostgreSQL, each as far as it has come."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.adapters import audit
from services.card.domain.actor import Actor
from services.card.domain.fee import FeeSource, FeeState
from services.card.domain.remainder import PayTo, Remainder
from services.common.clock import instant

_ADD_FEE: Final = """
insert into card.fee (application, amount_fen, source, state, terminal, create_time, update_time)
select n.application, n.amount, n.source, $4, $5, $6, $6 from unnest($1::bigint[], $2::int[], $3::smallint[])
    as n(application, amount, source)"""
# In cash it is given back where somebody hands it out.
_IN_VAIN: Final = "(a.state in (8, 10) and (f.source <> 1 or f.return_terminal is not null))"
_UNDER_WAY: Final = "(f.state = 1 or (f.state = 2 and (a.state = 7 or " + _IN_VAIN + ")))"
_FEE: Final = (
    """
select f.application, a.holder, f.amount_fen, f.source, f.state, f.terminal, coalesce(f.return_terminal, ''), f.attempt,
    a.state = 7, """
    + _IN_VAIN
    + " from card.fee f join card.application a on a.id = f.application"
)
_FEE_OF: Final = _FEE + " where f.application = $1"
_FEES_DUE: Final = _FEE + " where " + _UNDER_WAY + " and f.next_time <= now() order by f.application limit $1"
_MOVE_FEE: Final = "update card.fee set state = $3, update_time = now() where application = $1 and state = $2"
_KEEP_FEE: Final = """
update card.fee set attempt = attempt + 1, next_time = now() + make_interval(secs => $4)
where application = $1 and state = $2 and attempt = $3"""
_ADD_REMAINDER: Final = """
insert into card.remainder (card, holder, pay_to, watch_until) values ($1, $2, $3, $4)"""
_REMAINDER: Final = "select card, holder, pay_to, attempt, amount_fen, paid_fen, done from card.remainder"
_REMAINDER_OF: Final = _REMAINDER + " where card = $1"
_REMAINDERS_DUE: Final = _REMAINDER + " where next_time <= now() order by next_time limit $1"
_DECIDE: Final = """
update card.remainder set amount_fen = $3, done = false where card = $1 and attempt = $2 and amount_fen is null"""
_END_ATTEMPT: Final = """
update card.remainder set attempt = attempt + 1, amount_fen = null, paid_fen = paid_fen + $3,
    next_time = now() + make_interval(secs => $4)
where card = $1 and attempt = $2"""
_REST: Final = """
update card.remainder set done = $3, next_time = case
    when not $3 or now() + make_interval(secs => $4) <= watch_until then now() + make_interval(secs => $4) end
where card = $1 and attempt = $2 and amount_fen is null"""
# What was decided is posted yet: it may have been already.
_END: Final = """
update card.remainder set done = true, next_time = null
where holder = $1 and next_time is not null and amount_fen is null returning card"""
# Another attempt, so that nobody closes it who looked at the purse before.
_REOPEN: Final = """
update card.remainder set done = false, next_time = now(), attempt = attempt + 1
where card = (select max(card) from card.remainder where holder = $1) and amount_fen is null
    and not exists (select from card.card where holder = $1 and kind = 1 and social in (1, 2, 3, 4))"""
_RETURN_AT: Final = """
update card.fee f set return_terminal = $2 from card.application a
where a.id = f.application and {} and a.state in (8, 10)
    and f.source = 1 and f.state in (1, 2) and f.return_terminal is null
returning f.amount_fen"""
_RETURN_ONE_AT: Final = _RETURN_AT.format("f.application = $1")
_RETURN_ALL_AT: Final = _RETURN_AT.format("a.holder = $1")
_HAND_OUT: Final = """
with waiting as (
    select card, paid_fen - handed_fen as amount_fen from card.remainder
    where holder = $1 and pay_to = 1 and handed_fen < paid_fen for no key update),
handed as (
    update card.remainder r set handed_fen = r.handed_fen + w.amount_fen from waiting w where r.card = w.card)
insert into card.hand_out (card, amount_fen, terminal) select card, amount_fen, $2 from waiting returning amount_fen"""
_HAND_OUTS_DUE: Final = """
select id, amount_fen, terminal from card.hand_out where not posted and next_time <= now() order by id limit $1"""
_WAITING: Final = f"""
select (select count(*) from card.fee f join card.application a on a.id = f.application where {_UNDER_WAY}),
    (select count(*) from card.remainder where not done),
    (select count(*) from card.hand_out where not posted),
    (select count(*) from card.fee where state = 2 and attempt > 1),
    (select count(*) from card.fee f join card.application a on a.id = f.application
        where f.source = 1 and f.state in (1, 2) and f.return_terminal is null and a.state in (8, 10))
    + (select count(*) from card.remainder where pay_to = 1 and handed_fen < paid_fen)"""  # noqa: S608 - our own condition


class Due(StrEnum):
    """What payments is asked about."""

    FEE = "fee"
    REMAINDER = "remainder"
    HAND_OUT = "hand_out"


_PUT_OFF: Final = {
    Due.FEE: "update card.fee set next_time = now() + make_interval(secs => $2) where application = $1",
    Due.REMAINDER: """
update card.remainder set next_time = now() + make_interval(secs => $2) where card = $1 and next_time is not null""",
    Due.HAND_OUT: "update card.hand_out set next_time = now() + make_interval(secs => $2) where id = $1",
}


class Fee(NamedTuple):
    """A fee, and how the application that it belongs to has ended, if it has."""

    application: int
    holder: int
    amount_fen: int
    source: FeeSource
    state: FeeState
    terminal: str
    return_terminal: str
    """Where it was handed out; empty: nowhere, or it is not given back in cash."""
    attempt: int
    """Of giving it back, or of earning it: payments declined those before."""
    completed: bool
    in_vain: bool
    """There will be no card; and if it was paid in cash, it was handed out."""


class HandOut(NamedTuple):
    """Cash of a remainder that went over the counter."""

    id: int
    amount_fen: int
    terminal: str


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


async def keep_fee(driver: "asyncpg.Connection[Any]", fee: Fee, again_in_seconds: float) -> bool:
    """It stays where it is until another attempt. False: somebody else was quicker."""
    kept = await driver.execute(_KEEP_FEE, fee.application, fee.state, fee.attempt, again_in_seconds)
    return bool(kept == "UPDATE 1")


async def put_off(driver: "asyncpg.Connection[Any]", what: Due, number: int, seconds: float) -> None:
    """Payments is not asked about it before."""
    await driver.execute(_PUT_OFF[what], number, seconds)


async def add_remainder(driver: "asyncpg.Connection[Any]", card: int, holder: int, pay_to: PayTo, watch_until_ms: int) -> None:
    """Note that what is left is to be paid out, in the transaction that cancels the card."""
    await driver.execute(_ADD_REMAINDER, card, holder, pay_to, instant(watch_until_ms))


async def read_remainder(driver: "asyncpg.Connection[Any]", card: int) -> Remainder | None:
    """Of a card that was cancelled."""
    row = await driver.fetchrow(_REMAINDER_OF, card)
    return _remainder(row) if row else None


async def remainders_due(driver: "asyncpg.Connection[Any]", limit: int) -> list[Remainder]:
    """Those that may be paid out, or looked at again."""
    return [_remainder(row) for row in await driver.fetch(_REMAINDERS_DUE, limit)]


async def decide_amount(driver: "asyncpg.Connection[Any]", remainder: Remainder, amount_fen: int) -> Remainder | None:
    """What this attempt will pay, kept before it is posted; whoever was first has decided it. None: it is over already."""
    await driver.execute(_DECIDE, remainder.card, remainder.attempt, amount_fen)
    kept = await read_remainder(driver, remainder.card)
    return kept if kept and kept.attempt == remainder.attempt and kept.amount_fen else None


async def end_attempt(
    driver: "asyncpg.Connection[Any]", remainder: Remainder, paid_fen: int, *, again_in_seconds: float = 0.0
) -> bool:
    """This attempt is over; counted once, whoever ends it. False: somebody else has."""
    ended = await driver.execute(_END_ATTEMPT, remainder.card, remainder.attempt, paid_fen, again_in_seconds)
    return bool(ended == "UPDATE 1")


async def rest(driver: "asyncpg.Connection[Any]", remainder: Remainder, *, done: bool, again_in_seconds: float) -> None:
    """Nothing can be paid now: it is looked at again, once it is done only as long as late money is awaited."""
    await driver.execute(_REST, remainder.card, remainder.attempt, done, again_in_seconds)


async def end_remainders(driver: "asyncpg.Connection[Any]", holder: int, actor: Actor) -> None:
    """A locked holder has a card again: what is on the account stays there."""
    for (card,) in await driver.fetch(_END, holder):
        await audit.record(driver, actor, "remainder.ended", holder=holder, card=card)


async def reopen_remainder(driver: "asyncpg.Connection[Any]", holder: int) -> None:
    """Money has come to the account of somebody whose card was cancelled, and who has none."""
    await driver.execute(_REOPEN, holder)


async def hand_out_fee(driver: "asyncpg.Connection[Any]", application: int, terminal: str) -> int:
    """Of an application that has come to nothing: what goes over the counter there, in fen. It is posted next."""
    return await driver.fetchval(_RETURN_ONE_AT, application, terminal) or 0


async def hand_out_fees(driver: "asyncpg.Connection[Any]", holder: int, terminal: str) -> int:
    """All that wait for a locked holder; what goes over the counter there, in fen."""
    return sum(row[0] for row in await driver.fetch(_RETURN_ALL_AT, holder, terminal))


async def hand_out_remainders(driver: "asyncpg.Connection[Any]", holder: int, terminal: str) -> int:
    """All that was taken from a locked holder's purse to be paid in cash; what goes over the counter there, in fen."""
    return sum(row[0] for row in await driver.fetch(_HAND_OUT, holder, terminal))


async def hand_outs_due(driver: "asyncpg.Connection[Any]", limit: int) -> list[HandOut]:
    """Those that payments has not posted."""
    return [HandOut(*row) for row in await driver.fetch(_HAND_OUTS_DUE, limit)]


async def mark_posted(driver: "asyncpg.Connection[Any]", handed: HandOut) -> None:
    """Payments has it."""
    await driver.execute("update card.hand_out set posted = true where id = $1", handed.id)


async def count_waiting(driver: "asyncpg.Connection[Any]") -> dict[str, int]:
    """What payments is still to be asked about; fees that it declined to give back; and what waits for somebody to take it."""
    row = await driver.fetchrow(_WAITING)
    assert row is not None, "it counts"
    return dict(zip((*Due, "fee_kept", "to_hand_out"), row, strict=True))


def _fee(row: Iterable[Any]) -> Fee:
    application, holder, amount, source, state, *rest = row
    return Fee(application, holder, amount, FeeSource(source), FeeState(state), *rest)


def _remainder(row: Iterable[Any]) -> Remainder:
    card, holder, pay_to, *rest = row
    return Remainder(card, holder, PayTo(pay_to), *rest)
