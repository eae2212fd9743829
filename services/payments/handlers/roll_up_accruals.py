"""Add accrued legs to the accounts that collect them, in one statement."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ROLL_UP: Final = text("""
with gone as (delete from payments.accrual returning account_id, debits_fen, credits_fen, credits_pending_fen),
     summed as (select account_id, sum(debits_fen) as debits_fen, sum(credits_fen) as credits_fen,
                       sum(credits_pending_fen) as credits_pending_fen
                from gone group by account_id)
update payments.account a
set debits_posted_fen = a.debits_posted_fen + s.debits_fen, credits_posted_fen = a.credits_posted_fen + s.credits_fen,
    credits_pending_fen = a.credits_pending_fen + s.credits_pending_fen, version = a.version + 1
from summed s where a.id = s.account_id""")


async def roll_up_accruals(connection: AsyncConnection) -> int:
    """Returns how many accounts were brought up to date. Run by the elected process alone."""
    return (await connection.execute(_ROLL_UP)).rowcount
