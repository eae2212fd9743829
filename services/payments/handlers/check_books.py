"""Check the books against themselves: accounts against transfers and holds, verdicts against both, batches against all."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_CURRENCY: Final = {156: "CNY", 999: "places"}

_IMBALANCE: Final = text("""
select currency, (sum(debits_fen) - sum(credits_fen))::bigint, (sum(debits_pending_fen) - sum(credits_pending_fen))::bigint
from (select currency, debits_posted_fen as debits_fen, credits_posted_fen as credits_fen, debits_pending_fen,
             credits_pending_fen
      from payments.account
      union all
      select a.currency, c.debits_fen, c.credits_fen, 0, c.credits_pending_fen
      from payments.accrual c join payments.account a on a.id = c.account_id) books
group by currency order by currency""")

# Transfers of partitions that were detached are carried in sums. An accrual is not on its account's row yet.
_POSTED: Final = text("""
with moved as (
    select id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen
    from (select debit_account as id, amount_fen as debits_fen, 0 as credits_fen from payments.transfer
          union all select credit_account, 0, amount_fen from payments.transfer
          union all select account_id, debits_fen, credits_fen from payments.carried) sides
    group by id
), accrued as (
    select account_id as id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen
    from payments.accrual group by account_id
)
select id, coalesce(a.debits_posted_fen, 0) + coalesce(c.debits_fen, 0), coalesce(m.debits_fen, 0),
       coalesce(a.credits_posted_fen, 0) + coalesce(c.credits_fen, 0), coalesce(m.credits_fen, 0)
from payments.account a full join moved m using (id) left join accrued c using (id)
where (coalesce(a.debits_posted_fen, 0) + coalesce(c.debits_fen, 0),
       coalesce(a.credits_posted_fen, 0) + coalesce(c.credits_fen, 0))
      is distinct from (coalesce(m.debits_fen, 0), coalesce(m.credits_fen, 0))
order by id limit 1""")

# A purse of a live payment holds what is not captured yet, and the payee is promised it.
_PENDING: Final = text("""
with live as (
    select p.payee, part.account_id, part.held_fen - part.captured_fen as fen
    from payments.payment p
    cross join lateral unnest(p.part_accounts, p.held_fen, p.captured_fen) as part(account_id, held_fen, captured_fen)
    where p.status = 1
), held as (
    select id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen
    from (select account_id as id, fen as debits_fen, 0 as credits_fen from live
          union all select payee, 0, fen from live) sides
    group by id
), accrued as (
    select account_id as id, sum(credits_pending_fen) as credits_fen from payments.accrual group by account_id
)
select id, coalesce(a.debits_pending_fen, 0), coalesce(h.debits_fen, 0),
       coalesce(a.credits_pending_fen, 0) + coalesce(c.credits_fen, 0), coalesce(h.credits_fen, 0)
from payments.account a full join held h using (id) left join accrued c using (id)
where (coalesce(a.debits_pending_fen, 0), coalesce(a.credits_pending_fen, 0) + coalesce(c.credits_fen, 0))
      is distinct from (coalesce(h.debits_fen, 0), coalesce(h.credits_fen, 0))
order by id limit 1""")

# Purses hang on their holder's lock, who must know that there are some.
_PURSES: Final = text("""
select coalesce(a.id, p.owner), coalesce(a.purses, 0), coalesce(p.n, 0)
from (select id, purses from payments.account where kind = 1) a
full join (select owner, count(*)::int as n from payments.account where kind = 6 group by owner) p on p.owner = a.id
where coalesce(a.purses, 0) <> coalesce(p.n, 0)
order by 1 limit 1""")

# Verdicts behind a terminal's mark may be folded away, transfers of a detached partition are in the archive: what is left of
# such batches is not compared. What a tap pays has a sequence; an online operation's transfers have none.
_BATCHES: Final = text("""
with b as (
    select number, verdicts, operations, transfers,
           number <= coalesce((select max(through_batch) from payments.folded), 0) as folded,
           exists (select from payments.detached d where d.from_time <= now and now < d.to_time) as detached
    from payments.batch
), v as (
    select batch, count(*) as n, sum(fare_fen) as fare, sum(charged_fen) as charged from payments.verdict group by batch
), o as (
    select batch, count(*) as n, sum(moved_fen) as moved from payments.operation group by batch
), t as (
    select batch, count(*) as n,
           sum(amount_fen) filter (where sequence > 0 and code in (1, 2, 3)) as fare,
           sum(amount_fen) filter (where sequence > 0 and code = 1) as charged,
           sum(amount_fen) filter (where sequence = 0) as moved
    from payments.transfer group by batch
)
select coalesce(b.number, v.batch, o.batch, t.batch)
from b full join v on v.batch = b.number full join o on o.batch = b.number full join t on t.batch = b.number
where b.number is null
   or not folded and b.verdicts <> coalesce(v.n, 0)
   or b.operations <> coalesce(o.n, 0)
   or not detached and b.transfers <> coalesce(t.n, 0)
   or not detached and coalesce(o.moved, 0) <> coalesce(t.moved, 0)
   or not folded and not detached
      and (coalesce(v.fare, 0), coalesce(v.charged, 0)) <> (coalesce(t.fare, 0), coalesce(t.charged, 0))
order by 1 limit 1""")

_COUNTS: Final = text("""
select (select count(*) from payments.batch), (select count(*) from payments.verdict),
       (select count(*) from payments.operation), (select count(*) from payments.transfer),
       (select count(*) from payments.account)""")


class Imbalance(NamedTuple):
    """Debits minus credits over all accounts of a currency."""

    currency: str
    posted_fen: int
    pending_fen: int


@dataclass(frozen=True, slots=True)
class Books:
    """What a check found. It names the first thing that is wrong."""

    imbalances: tuple[Imbalance, ...]
    batches: int
    verdicts: int
    operations: int
    transfers: int
    accounts: int
    problem: str = ""

    @property
    def imbalance_fen(self) -> dict[str, int]:
        """Of what is posted, by currency."""
        return {imbalance.currency: imbalance.posted_fen for imbalance in self.imbalances}

    @property
    def balance(self) -> bool:
        """Whether everything holds."""
        return not self.problem and not any(i.posted_fen or i.pending_fen for i in self.imbalances)


async def read_imbalances(connection: AsyncConnection) -> list[Imbalance]:
    """By currency; it reads every account, but none of the journal."""
    rows = await connection.execute(_IMBALANCE)
    return [Imbalance(_CURRENCY.get(currency, str(currency)), *fen) for currency, *fen in rows]


async def check_books(engine: AsyncEngine) -> Books:
    """Everything, on one snapshot: reads the whole journal, so it takes time with its length."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            await connection.execute(text("set local transaction_timeout = 0"))
            imbalances = await read_imbalances(connection)
            batches, verdicts, operations, transfers, accounts = (await connection.execute(_COUNTS)).one()
            problem = ""
            for query, sentence in _QUESTIONS:
                if (row := (await connection.execute(query)).first()) is not None:
                    problem = sentence.format(*row)
                    break
    return Books(tuple(imbalances), batches, verdicts, operations, transfers, accounts, problem)


_QUESTIONS: Final[list[tuple[TextClause, str]]] = [
    (
        _POSTED,
        "account {0}: debits {1} fen by its row, {2} by its transfers; credits {3} fen by its row, {4} by its transfers",
    ),
    (
        _PENDING,
        "account {0}: pending debits {1} fen by its row, {2} by live holds;"
        " pending credits {3} fen by its row, {4} by live holds",
    ),
    (_PURSES, "account {0}: {1} purses by its row, {2} by their own rows"),
    (_BATCHES, "batch {0}: its verdicts, its operations, its transfers and its own counts do not agree"),
]
