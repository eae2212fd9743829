"""What an account holds, now or as of a time: its row and what has accrued since, less what was posted later."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import SHANGHAI, instant, milliseconds
from services.common.errors import Code, DomainError
from services.payments.domain.account import FIRST_HOLDER_ACCOUNT

_NOW: Final = text("""
select a.id, coalesce(a.name, '') as name, a.currency, a.status, a.guarded, a.overdraft_fen, coalesce(a.purpose, '') as purpose,
       a.void_after, a.debits_posted_fen + coalesce(c.debits_fen, 0)::bigint as debits_fen,
       a.credits_posted_fen + coalesce(c.credits_fen, 0)::bigint as credits_fen, a.debits_pending_fen,
       a.credits_pending_fen + coalesce(c.credits_pending_fen, 0)::bigint as credits_pending_fen
from payments.account a
left join lateral (
    select sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen, sum(credits_pending_fen) as credits_pending_fen
    from payments.accrual where account_id = a.id
) c on not a.guarded
where a.id = :id or a.owner = :id order by a.id""")

# A holder's transfers are found by the index of their account, others by what was posted since.
_HOLDERS_SINCE: Final = text("""
select coalesce(sum(amount_fen) filter (where debit_account = :id), 0)::bigint,
       coalesce(sum(amount_fen) filter (where credit_account = :id), 0)::bigint
from (select debit_account, credit_account, amount_fen from payments.transfer
      where account_id = :holder and id >= payments.first_transfer_id(:since)
      union all
      select debit_account, credit_account, amount_fen from payments.transfer
      where credit_account = :id and credit_account >= 4294967296 and credit_account <> account_id and account_id <> :holder
            and id >= payments.first_transfer_id(:since)) t""")
_SINCE: Final = text("""
select coalesce(sum(amount_fen) filter (where debit_account = :id), 0)::bigint,
       coalesce(sum(amount_fen) filter (where credit_account = :id), 0)::bigint
from payments.transfer
where id >= payments.first_transfer_id(:since) and (debit_account = :id or credit_account = :id)""")

_DETACHED: Final = text("select max(to_time) from payments.detached")


class Balance(NamedTuple):
    """Sums of one account, in fen."""

    account_id: int
    name: str
    currency: int
    status: int
    guarded: bool
    overdraft_fen: int
    purpose: str
    void_after_ms: int
    debits_fen: int
    credits_fen: int
    debits_pending_fen: int
    credits_pending_fen: int

    @property
    def balance_fen(self) -> int:
        """Posted credits minus posted debits."""
        return self.credits_fen - self.debits_fen

    @property
    def available_fen(self) -> int:
        """What may be spent: the balance without what is held."""
        return self.balance_fen - self.debits_pending_fen


async def read_balances(engine: AsyncEngine, account_id: int, as_of_ms: int = 0) -> list[Balance]:
    """The account, then a holder's purses; an empty list for an account that does not exist. One snapshot.

    As of a time: after everything that was posted up to that very millisecond; nothing is known of holds then. Raises
    DomainError for a time whose transfers, or later ones, are in a partition that was detached.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            balances = [_balance(row) for row in await connection.execute(_NOW, {"id": account_id})]
            if as_of_ms:
                await _require_kept(connection, instant(as_of_ms + 1))
                balances = [await _as_of(connection, balance, account_id, as_of_ms) for balance in balances]
    return balances


async def _require_kept(connection: AsyncConnection, since: datetime) -> None:
    detached: datetime | None = await connection.scalar(_DETACHED)
    if detached is not None and since < detached:
        begin = f"{detached.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        message = f"what was posted before {begin} is in the archive: ask for that time or a later one"
        raise DomainError(Code.FAILED_PRECONDITION, "ARCHIVED", message)


def _balance(row: Row[Any]) -> Balance:
    void_after_ms = milliseconds(row.void_after) if row.void_after is not None else 0
    return Balance(
        row.id, row.name, row.currency, row.status, row.guarded, row.overdraft_fen, row.purpose, void_after_ms,
        row.debits_fen, row.credits_fen, row.debits_pending_fen, row.credits_pending_fen,
    )  # fmt: skip


async def _as_of(connection: AsyncConnection, balance: Balance, holder: int, as_of_ms: int) -> Balance:
    query = _HOLDERS_SINCE if holder >= FIRST_HOLDER_ACCOUNT else _SINCE
    asked = {"id": balance.account_id, "holder": holder, "since": instant(as_of_ms + 1)}
    debits_fen, credits_fen = (await connection.execute(query, asked)).one()
    return balance._replace(
        debits_fen=balance.debits_fen - debits_fen,
        credits_fen=balance.credits_fen - credits_fen,
        debits_pending_fen=0,
        credits_pending_fen=0,
    )
