"""Send what no fetch began: outbox rows in order of id, removed once the broker has them."""

from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.announce import Announcer

_READ: Final = text("select id, topic, payload from payments.outbox order by id limit 100")
_DONE: Final = text("delete from payments.outbox where id = any(:ids)")
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


async def relay_outbox(connection: AsyncConnection, announcer: Announcer) -> int:
    """One round of the elected relay; returns how many rows were sent. A crash in between sends a row again."""
    rows = (await connection.execute(_READ)).all()
    for _, topic, payload in rows:
        await announcer.send(topic, _decode(payload))
    if rows:
        await connection.execute(_DONE, {"ids": [row.id for row in rows]})
    return len(rows)
