"""Shifts in PostgreSQL: periods of a place from one close to the next, what was counted, and what the ledger of blanks says."""

from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import UNFINISHED, BlankState, Verb
from services.issuance.domain.shift import (
    Balance,
    Count,
    Differences,
    Held,
    Move,
    Shown,
    balance,
    differences,
    told_otherwise,
)

_PERIOD: Final = "select period, opening from issuance.place where name = $1 for no key update"
_FLOWS: Final = """
select verb, from_state, from_place, to_state, to_place, count(*)
from (
    select verb, from_state, from_place, to_state, to_place from issuance.blank_entry
    where from_place = $1 and period = $2
    union all
    select verb, from_state, from_place, to_state, to_place from issuance.blank_entry
    where to_place = $1 and from_place <> $1 and period = $2) e
group by 1, 2, 3, 4, 5"""
_HELD: Final = """
select count(*) filter (where state between 3 and 6), count(*) filter (where state = 9), count(*) filter (where state = 7),
    coalesce(array_agg(serial order by serial) filter (where state = any($2::int[])), '{}')
from issuance.blank where place = $1"""
_COUNT: Final = """
insert into issuance.shift_count (place, period, staff, shift, unused, spoiled, lying, cash_fen)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning id"""
_COUNTED: Final = """
select c.place, c.period, c.staff, c.unused, c.spoiled, c.lying, c.cash_fen, b.balance::text,
    c.id = (select max(id) from issuance.shift_count where place = c.place and period = c.period)
from issuance.shift_count c left join issuance.shift_books b on b.shift_count = c.id where c.id = $1"""
_EARLIER: Final = """
select c.unused, c.spoiled, c.lying, c.cash_fen, b.balance::text
from issuance.shift_count c join issuance.shift_books b on b.shift_count = c.id
where c.place = $1 and c.period = $2 and c.id < $3 order by c.id"""
_BOOKS: Final = "insert into issuance.shift_books (shift_count, balance) values ($1, $2::jsonb) on conflict do nothing"
_CLOSE: Final = """
insert into issuance.shift_close (shift_count, place, period, staff, second_staff, reason, cash_difference_fen, posted)
values ($1, $2, $3, $4, nullif($5::bigint, 0), $6, $7::bigint, $7::bigint = 0)"""
_NEXT: Final = "update issuance.place set period = period + 1, opening = $2 where name = $1"
_TO_POST: Final = """
select id, attempt, place, cash_difference_fen from issuance.shift_close
where not posted and declined = '' and ($1 = '' or place = $1) order by id limit 100"""
_DECLINED: Final = """
update issuance.shift_close set declined = $3, attempt = attempt + 1, next_time = now() + make_interval(secs => $4)
where id = $1 and attempt = $2"""
_AGAIN: Final = "update issuance.shift_close set declined = '' where not posted and declined <> '' and next_time <= now()"
_WAITING: Final = """
select count(*), count(*) filter (where declined <> ''),
    coalesce(sum(cash_difference_fen) filter (where declined <> ''), 0)::bigint
from issuance.shift_close where not posted and ($1 = '' or place = $1)"""
_POSTED: Final = "update issuance.shift_close set posted = true where id = $1"


class Books(msgspec.Struct, frozen=True):
    """What was shown to a count, as it is stored."""

    opening: int
    received: int
    issued: int
    spoiled: int
    transferred: int
    returned: int
    missing: int
    on_hand: int
    unfinished: list[str]
    lying: int
    spoiled_held: int
    cash_fen: int

    @property
    def held(self) -> Held:
        """What was there."""
        return Held(self.on_hand - self.lying, self.spoiled_held, self.lying, tuple(self.unfinished))


class Counted(NamedTuple):
    """A count, and what was shown to it."""

    place: str
    period: int
    staff: int
    found: Count
    books: Books | None
    newest: bool
    """Of its period."""
    otherwise: tuple[Shown, ...] = ()
    """Counts of this period before it, whoever counted, that said something else and did not agree."""


class ToPost(NamedTuple):
    """A difference in cash that payments has not posted yet, as far as is known."""

    id: int
    attempt: int
    place: str
    difference_fen: int

    @property
    def request_id(self) -> str:
        """Follows from what is asked: so nothing is posted twice. What was declined under one is asked under another."""
        return f"shift-cash-{self.id}" + (f"-{self.attempt}" if self.attempt > 1 else "")


class Waiting(NamedTuple):
    """Differences in cash that payments does not have."""

    number: int
    declined: int
    """Of these."""
    declined_fen: int
    """What they come to: the till holds it, and its account does not know."""


async def lock_period(driver: "asyncpg.Connection[Any]", place: str) -> tuple[int, int]:
    """The present period of a place, and what was on hand when it began; until the end nothing moves there."""
    row = await driver.fetchrow(_PERIOD, place)
    assert row is not None, "a place is added before its shift is counted"
    return row[0], row[1]


async def read_balance(driver: "asyncpg.Connection[Any]", place: str, period: int, opening: int) -> Balance:
    """How a place stands by the books."""
    rows = await driver.fetch(_FLOWS, place, period)
    moves = [Move(Verb(verb), BlankState(f), from_, BlankState(t), to, times) for verb, f, from_, t, to, times in rows]
    unused, spoiled, lying, unfinished = await driver.fetchrow(_HELD, place, sorted(UNFINISHED))  # type: ignore[misc]
    return balance(place, opening, moves, Held(unused, spoiled, lying, tuple(unfinished)))


async def add_count(driver: "asyncpg.Connection[Any]", actor: Actor, period: int, count: Count) -> int:
    """What somebody counted, whatever the books say."""
    number: int = await driver.fetchval(
        _COUNT,
        actor.terminal,
        period,
        actor.staff,
        actor.shift,
        count.unused,
        count.spoiled,
        count.lying,
        count.cash_fen,
    )
    return number


async def read_count(driver: "asyncpg.Connection[Any]", number: int) -> Counted | None:
    """One of them."""
    row = await driver.fetchrow(_COUNTED, number)
    if row is None:
        return None
    place, period, staff, unused, spoiled, lying, cash_fen, books, newest = row
    shown = msgspec.json.decode(books, type=Books) if books else None
    count = Count(unused, spoiled, lying, cash_fen)
    earlier = [_shown(*row) for row in await driver.fetch(_EARLIER, place, period, number)]
    otherwise = told_otherwise(count, [one for one in earlier if not one.differed.agree])
    return Counted(place, period, staff, count, shown, newest, tuple(otherwise))


async def keep_books(driver: "asyncpg.Connection[Any]", number: int, books: Books) -> None:
    """What is shown to a count; the first one stays."""
    await driver.execute(_BOOKS, number, msgspec.json.encode(books).decode())


async def close_period(
    driver: "asyncpg.Connection[Any]",
    number: int,
    counted: Counted,
    books: Books,
    actor: Actor,
    second: int,
    reason: str,
    found: Differences,
) -> None:
    """The next one begins with what is on hand; a difference in cash is noted, and posted after that."""
    args = (number, counted.place, counted.period, actor.staff, second, reason, found.cash_fen)
    await driver.execute(_CLOSE, *args)
    await driver.execute(_NEXT, counted.place, books.on_hand)


async def to_post(driver: "asyncpg.Connection[Any]", place: str = "") -> list[ToPost]:
    """Of one place, or of all, what was not declined."""
    return [ToPost(*row) for row in await driver.fetch(_TO_POST, place)]


async def waiting_at(driver: "asyncpg.Connection[Any]", place: str = "") -> Waiting:
    """At one place, or at all."""
    return Waiting(*(await driver.fetch(_WAITING, place))[0])


async def mark_declined(driver: "asyncpg.Connection[Any]", asked: ToPost, reason: str, again_in_seconds: float) -> None:
    """Payments has said no to this attempt; another one is made later."""
    await driver.execute(_DECLINED, asked.id, asked.attempt, reason, again_in_seconds)


async def begin_again(driver: "asyncpg.Connection[Any]") -> None:
    """What was declined long ago is to be posted once more."""
    await driver.execute(_AGAIN)


async def mark_posted(driver: "asyncpg.Connection[Any]", posted: ToPost) -> None:
    """Payments has it."""
    await driver.execute(_POSTED, posted.id)


def _shown(unused: int, spoiled: int, lying: int, cash_fen: int, books: str) -> Shown:
    count, told = Count(unused, spoiled, lying, cash_fen), msgspec.json.decode(books, type=Books)
    return Shown(count, differences(count, told.held, told.cash_fen))
