"""What a day of the city brought, and what is owed since when: `payments.day_figure` and `payments.day_opening`."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg

from services.payments.domain.tap import Scene

_FIGURES: Final = "select scene, posted, refused, fare_fen, charged_fen from payments.day_figure where day = $1"

# What accrues and is not on its account's row yet counts too. FUND, HOTLIST_LOSSES: see AccountKind.
_BOOKS: Final = """
with asked as (
    select payable_account as id, min(merchant_id) as merchant, null as fund
    from payments.merchant where scene <> 9 group by payable_account
    union all
    select id, null, name from payments.account where id < 4294967296 and kind in (3, 4)
), sums as (
    select s.id, s.merchant, s.fund, a.debits_posted_fen + coalesce(sum(c.debits_fen), 0)::bigint as debits_fen,
           a.credits_posted_fen + coalesce(sum(c.credits_fen), 0)::bigint as credits_fen
    from asked s join payments.account a using (id) left join payments.accrual c on c.account_id = a.id
    group by s.id, s.merchant, s.fund, a.debits_posted_fen, a.credits_posted_fen
)"""
_OPEN: Final = f"""
{_BOOKS}
insert into payments.day_opening (account_id, day, debits_fen, credits_fen)
select id, $1, debits_fen, credits_fen from sums
on conflict do nothing"""  # noqa: S608  # constants
_PAID_TODAY: Final = f"""
{_BOOKS}
select s.fund, s.debits_fen - o.debits_fen
from sums s join payments.day_opening o on o.account_id = s.id and o.day = $1
where s.fund is not null"""  # noqa: S608  # constants
# What is paid out pays the oldest first. A day's takings are all that came until the next day began.
_UNSETTLED: Final = f"""
{_BOOKS}
select s.id, s.merchant, s.credits_fen - s.debits_fen, min(o.day) filter (where o.closing_fen > s.debits_fen)
from sums s
left join lateral (
    select day, lead(credits_fen, 1, s.credits_fen) over (order by day) as closing_fen
    from payments.day_opening where account_id = s.id
) o on true
where s.merchant is not null
group by s.id, s.merchant, s.credits_fen, s.debits_fen"""  # noqa: S608  # constants
_FORGET: Final = """
delete from payments.day_opening o using unnest($1::bigint[], $2::date[]) as needed(account_id, since)
where o.account_id = needed.account_id and o.day < needed.since"""
_FORGET_OF_FUNDS: Final = """
delete from payments.day_opening o using payments.account a
where a.id = o.account_id and a.kind in (3, 4) and o.day < $1"""

# A payment of places has none of a holder's purses.
_HOLDS: Final = """
select count(*) filter (where money), count(*) filter (where not money), coalesce(sum(fen) filter (where money), 0)::bigint,
       count(*) filter (where expire_time < now() - interval '1 minute')
from (select part_accounts[1] >= 4294967296 as money, amount_fen - captured_total_fen as fen, expire_time
      from payments.payment where status = 1) live"""


class Figures(NamedTuple):
    """Taps of one scene on one day."""

    posted: int = 0
    refused: int = 0
    fare_fen: int = 0
    charged_fen: int = 0

    @property
    def funds_fen(self) -> int:
        """What of the fares holders did not pay."""
        return self.fare_fen - self.charged_fen


class Owed(NamedTuple):
    """What the city owes one merchant."""

    account_id: int
    merchant_id: str
    fen: int
    since: date | None
    """The oldest day of which something is owed."""


class Holds(NamedTuple):
    """Payments that are held at this moment."""

    payments: int
    reservations: int
    fen: int
    overdue: int
    """That ran out more than a minute ago and were not let go."""


async def figures_of(driver: "asyncpg.Connection[Any]", day: date) -> Mapping[Scene, Figures]:
    """By scene; of what is sealed."""
    return {Scene(scene): Figures(*figures) for scene, *figures in await driver.fetch(_FIGURES, day)}


async def open_day(driver: "asyncpg.Connection[Any]", day: date) -> None:
    """Note what merchants and funds had moved; who is noted already stays so."""
    await driver.execute(_OPEN, day)


async def paid_by_funds(driver: "asyncpg.Connection[Any]", day: date) -> Mapping[str, int]:
    """What each fund has paid since a day was opened, in fen."""
    return dict(await driver.fetch(_PAID_TODAY, day))


async def owed_to_merchants(driver: "asyncpg.Connection[Any]") -> Sequence[Owed]:
    """Of every merchant."""
    return [Owed(*row) for row in await driver.fetch(_UNSETTLED)]


async def forget_settled(driver: "asyncpg.Connection[Any]", owed: Sequence[Owed], today: date) -> None:
    """Drop the openings of days that nobody needs any more."""
    needed = [(one.account_id, one.since or today) for one in owed]
    await driver.execute(_FORGET, [account for account, _ in needed], [since for _, since in needed])
    await driver.execute(_FORGET_OF_FUNDS, today)


async def live_holds(driver: "asyncpg.Connection[Any]") -> Holds:
    """It reads those that live, and no others."""
    row = await driver.fetchrow(_HOLDS)
    assert row is not None, "an aggregate always has a row"
    return Holds(*row)
