"""Winds the stream workers back behind a restored ledger, so that every tap that it does not have is read again.

What it has is read again, too: the first verdict answers it, and nothing is posted twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.protobuf.message import DecodeError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from services.common import topics
from services.common.clock import milliseconds
from services.payments.adapters.group_offsets import GroupOffsets, Place

LOOKED_AT: Final = 500
"""So many records before the place that is gone back to must be in the ledger, all of them."""
_NEWEST: Final = text("select max(now) from payments.batch")
_PROJECTED: Final = text("select committed_up_to from payments.card_projection where partition = :partition")
_MISSING: Final = text("""
select count(*)
from unnest(cast(:merchants as text[]), cast(:terminals as text[]), cast(:sequences as bigint[]), cast(:offsets as bigint[]))
    as r (merchant_id, terminal_id, sequence, "offset")
where not exists (
    select from payments.merchant m join payments.terminal t on t.merchant = m.id join payments.verdict v on v.terminal = t.id
    where m.merchant_id = r.merchant_id and t.terminal_id = r.terminal_id and v.sequence = r.sequence)
and not exists (
    select from payments.dead_letter d
    where d.topic = :topic and d.partition = :partition and d."offset" = r."offset")""")


@dataclass(frozen=True, slots=True)
class Wound:
    """One partition."""

    place: Place
    committed: int
    goes_on_at: int


async def wind_back(engine: AsyncEngine, offsets: GroupOffsets, margin_ms: int, *, everything: bool) -> list[Wound]:
    """Go back so far behind the ledger's newest batch, and further where the records before that are not all in it.

    `everything`: to the oldest that is kept, without looking. Nobody may be in the group.
    """
    async with engine.connect() as connection:
        wound = []
        for place, committed in offsets.committed().items():
            reached = None if everything else await _reached(connection, place)
            begin = offsets.beginning(place)
            if reached is not None:
                begin = await _behind(connection, offsets, place, committed, milliseconds(reached), margin_ms)
            wound.append(Wound(place, committed, begin))
    offsets.move({one.place: one.goes_on_at for one in wound})
    return wound


async def _reached(connection: AsyncConnection, place: Place) -> datetime | None:
    """Up to when the ledger may have what lies there; of cards the publisher's heartbeats tell it."""
    cards = place.topic == topics.CARD_EVENTS
    query, given = (_PROJECTED, {"partition": place.partition}) if cards else (_NEWEST, {})
    reached: datetime | None = await connection.scalar(query, given)
    return reached


async def _behind(
    connection: AsyncConnection, offsets: GroupOffsets, place: Place, committed: int, reached_ms: int, margin_ms: int
) -> int:
    oldest = offsets.beginning(place)
    while True:
        found = offsets.at(place, reached_ms - margin_ms)
        begin = max(oldest, committed if found is None else min(found, committed))
        if begin == oldest or place.topic == topics.CARD_EVENTS:
            return begin
        if await _all_decided(connection, place, offsets.read(place, max(oldest, begin - LOOKED_AT), begin)):
            return begin
        margin_ms *= 2


async def _all_decided(connection: AsyncConnection, place: Place, records: Sequence[tuple[int, bytes]]) -> bool:
    bodies = [_body(value) for _, value in records]
    missing = await connection.scalar(
        _MISSING,
        {
            "merchants": [body.merchant_id for body in bodies],
            "terminals": [body.terminal_id for body in bodies],
            "sequences": [min(body.terminal_sequence, 2**63 - 1) for body in bodies],
            "offsets": [offset for offset, _ in records],
            "topic": place.topic,
            "partition": place.partition,
        },
    )
    return not missing


def _body(value: bytes) -> TransactionBody:
    """An empty one of what cannot be read: only its dead letter says that it was met."""
    try:
        return TransactionBody.FromString(SignedTransaction.FromString(value).body)
    except DecodeError:
        return TransactionBody()
