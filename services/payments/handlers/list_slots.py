"""The slots of a site, and what is left of their places."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain.places import Slot

_ACCOUNTS: Final = text("""
select name, id, credits_posted_fen, debits_pending_fen, debits_posted_fen
from payments.account where name = any(:names)""")


class Listed(NamedTuple):
    """A slot; `account_id` is 0 while nobody has wanted a place of it."""

    slot: Slot
    places: int
    reserved: int
    taken: int
    account_id: int

    @property
    def free(self) -> int:
        """What is left."""
        return self.places - self.reserved - self.taken


async def list_slots(engine: AsyncEngine, slots: Sequence[Slot]) -> list[Listed]:
    """In their order. What the office took away counts as taken."""
    async with engine.connect() as connection:
        rows = await connection.execute(_ACCOUNTS, {"names": [slot.name for slot in slots]})
        opened = {row.name: row for row in rows}
    listed = []
    for slot in slots:
        row = opened.get(slot.name)
        if row is None:
            listed.append(Listed(slot, slot.places, 0, 0, 0))
        else:
            listed.append(Listed(slot, row.credits_posted_fen, row.debits_pending_fen, row.debits_posted_fen, row.id))
    return listed
