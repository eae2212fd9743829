"""The entries of one card's account, oldest first."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.handlers.entries import Entry, read_entries

_EVERYTHING = 1_000_000


async def statement(engine: AsyncEngine, card_identifier: str) -> list[Entry] | None:
    """None for a card that is not known."""
    async with engine.connect() as connection:
        holder = await connection.scalar(
            text("select account_id from payments.card where card_identifier = :card"), {"card": card_identifier}
        )
    return None if holder is None else (await read_entries(engine, holder, limit=_EVERYTHING))[::-1]
