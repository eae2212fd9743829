"""The entries of one card's account, oldest first, with the balance after each."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain.transfer import Code

_ENTRIES: Final = text("""
select t.event_time, t.code, m.merchant_id, l.terminal_id, t.sequence, t.amount_fen,
       case when t.credit_account = t.account_id then t.amount_fen when t.debit_account = t.account_id then -t.amount_fen
            else 0 end as change_fen
from payments.card c
join payments.transfer t on t.account_id = c.account_id
join payments.terminal l on l.id = t.terminal
join payments.merchant m on m.id = l.merchant
where c.card_identifier = :card
order by t.id""")


class StatementEntry(NamedTuple):
    """One transfer that concerns the holder; `change_fen` is 0 where a fund of the city paid."""

    event_time: datetime
    code: Code
    merchant_id: str
    terminal_id: str
    sequence: int
    amount_fen: int
    change_fen: int
    balance_fen: int


async def statement(engine: AsyncEngine, card_identifier: str) -> list[StatementEntry] | None:
    """None for a card that is not known."""
    async with engine.connect() as connection:
        known = await connection.scalar(
            text("select 1 from payments.card where card_identifier = :card"), {"card": card_identifier}
        )
        if known is None:
            return None
        entries: list[StatementEntry] = []
        balance_fen = 0
        for row in await connection.execute(_ENTRIES, {"card": card_identifier}):
            time, code, merchant_id, terminal_id, sequence, amount_fen, change_fen = row
            balance_fen += change_fen
            entries.append(
                StatementEntry(time, Code(code), merchant_id, terminal_id, sequence, amount_fen, change_fen, balance_fen)
            )
    return entries
