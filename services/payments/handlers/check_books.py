"""Check the books against themselves: what accounts say against what transfers say, verdicts against both."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_CURRENCY: Final = {156: "CNY"}

_IMBALANCE: Final = text("""
select currency, (sum(debits_fen) - sum(credits_fen))::bigint
from (select currency, debits_posted_fen as debits_fen, credits_posted_fen as credits_fen from payments.account
      union all
      select a.currency, c.debits_fen, c.credits_fen
      from payments.accrual c join payments.account a on a.id = c.account_id) books
group by currency""")

_FIRST_DIFFERENCE: Final = text("""
with moved as (
    select id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen
    from (select debit_account as id, amount_fen as debits_fen, 0 as credits_fen from payments.transfer
          union all select credit_account, 0, amount_fen from payments.transfer) sides
    group by id
), accrued as (
    select account_id as id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen
    from payments.accrual group by account_id
)
select id, a.debits_posted_fen + coalesce(c.debits_fen, 0), coalesce(m.debits_fen, 0),
       a.credits_posted_fen + coalesce(c.credits_fen, 0), coalesce(m.credits_fen, 0)
from payments.account a full join moved m using (id) left join accrued c using (id)
where (a.debits_posted_fen + coalesce(c.debits_fen, 0), a.credits_posted_fen + coalesce(c.credits_fen, 0))
      is distinct from (coalesce(m.debits_fen, 0), coalesce(m.credits_fen, 0))
order by id limit 1""")

_FIRST_BATCH: Final = text("""
with v as (select batch, count(*) as n, sum(fare_fen) as fare, sum(charged_fen) as charged
           from payments.verdict group by batch),
     t as (select batch, count(*) as n, sum(amount_fen) filter (where sequence > 0 and code <> 4) as fare,
                  sum(amount_fen) filter (where code = 1) as charged
           from payments.transfer group by batch)
select number
from payments.batch b full join v on v.batch = b.number full join t on t.batch = coalesce(b.number, v.batch)
where b.verdicts is distinct from coalesce(v.n, 0) or b.transfers is distinct from coalesce(t.n, 0)
   or coalesce(v.fare, 0) <> coalesce(t.fare, 0) or coalesce(v.charged, 0) <> coalesce(t.charged, 0)
order by 1 limit 1""")

_COUNTS: Final = text("""
select (select count(*) from payments.batch), (select count(*) from payments.verdict), (select count(*) from payments.transfer),
       (select count(*) from payments.account)""")


@dataclass(frozen=True, slots=True)
class Books:
    """What a check found. It names the first thing that is wrong."""

    imbalance_fen: dict[str, int]
    batches: int
    verdicts: int
    transfers: int
    accounts: int
    problem: str = ""

    @property
    def balance(self) -> bool:
        """Whether everything holds."""
        return not self.problem and not any(self.imbalance_fen.values())


async def imbalance_fen(connection: AsyncConnection) -> dict[str, int]:
    """Debits minus credits over all accounts, by currency; cheap enough to be asked every few seconds."""
    rows = await connection.execute(_IMBALANCE)
    return {_CURRENCY[currency]: imbalance for currency, imbalance in rows}


async def check_books(engine: AsyncEngine) -> Books:
    """Everything, on one snapshot: reads the whole journal, so it takes time with its length."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            await connection.execute(text("set local transaction_timeout = 0"))
            imbalance = await imbalance_fen(connection)
            batches, verdicts, transfers, accounts = (await connection.execute(_COUNTS)).one()
            problem = ""
            if (row := (await connection.execute(_FIRST_DIFFERENCE)).first()) is not None:
                problem = (
                    f"account {row[0]}: debits {row[1]} fen by its row, {row[2]} by its transfers; "
                    f"credits {row[3]} fen by its row, {row[4]} by its transfers"
                )
            elif (row := (await connection.execute(_FIRST_BATCH)).first()) is not None:
                problem = f"batch {row[0]}: its verdicts, its transfers and its own counts do not agree"
    return Books(imbalance, batches, verdicts, transfers, accounts, problem)
