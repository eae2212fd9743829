"""What became of cards, until it is published: read in order, marked when the broker has it."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from onecard.issuance.v1.issuance_events_pb2 import IssuanceEvent
from services.common.clock import milliseconds

_UNSENT: Final = """
select o.id, o.record, o.epoch, o.stage, o.outcome, o.place, o.at, r.application, r.card, r.serial, b.card_identifier
from issuance.outbox o join issuance.record r on r.id = o.record join issuance.blank b on b.serial = r.serial
where o.sent_time is null order by o.id limit $1"""
_SENT: Final = "update issuance.outbox set sent_time = clock_timestamp() where id = any($1::bigint[]) and sent_time is null"
_OWED: Final = "select what, count(*) from issuance.owed where done_time is null group by 1"


async def read_unsent(driver: "asyncpg.Connection[Any]", limit: int) -> list[IssuanceEvent]:
    """The oldest ones. Rows of one card are in their order, for its record was held when they were written."""
    return [_event(row) for row in await driver.fetch(_UNSENT, limit)]


async def mark_sent(driver: "asyncpg.Connection[Any]", ids: Sequence[int]) -> None:
    """After the broker's acknowledgement."""
    await driver.execute(_SENT, ids)


async def count_owed(driver: "asyncpg.Connection[Any]") -> dict[int, int]:
    """Debts that are not paid, by what they are."""
    return {row[0]: row[1] for row in await driver.fetch(_OWED)}


def _event(row: Any) -> IssuanceEvent:
    number, record, epoch, stage, outcome, place, at, application, card, serial, identifier = row
    return IssuanceEvent(
        event_id=number,
        record_id=record,
        application_id=application,
        card_id=card,
        card_identifier=identifier,
        blank_serial=serial,
        stage=stage,
        outcome=outcome,
        place=place,
        event_time_ms=milliseconds(at),
        epoch=epoch,
    )
