"""What people are to be told, in PostgreSQL: noted in the act's own transaction, and marked when it was sent."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.notification import OF_APPLICATIONS, NotificationKind, Outcome
from services.common.clock import SHANGHAI, instant, milliseconds

_NOTE: Final = """
insert into card.notification (holder, kind, subject, occasion, due_time, create_time) values ($1, $2, $3, $4, $5, $5)"""
_DUE: Final = """
select n.id, i.epoch, n.holder, n.kind, n.subject, n.attempts, n.create_time, a.outlet, a.due_time, s.cause, c.sealed_number,
    c.valid_until
from card.notification n cross join card.installation i
left join card.application a on n.kind = any($3::smallint[]) and a.id = n.subject
left join card.step s on s.application = a.id and s.number = n.occasion
left join card.card c on n.kind <> all($3::smallint[]) and c.id = n.subject
where n.sent_time is null and n.give_up_time is null and n.due_time <= $1 order by n.due_time limit $2"""
_MARK: Final = """
update card.notification n set attempts = least(n.attempts + (w.outcome <> 2)::int, 32767),
    due_time = coalesce(w.again, n.due_time),
    sent_time = case when w.outcome = 1 then $4::timestamptz end,
    give_up_time = case when w.outcome in (2, 4) then $4::timestamptz end
from unnest($1::bigint[], $2::smallint[], $3::timestamptz[]) as w(id, outcome, again)
where n.id = w.id and n.sent_time is null and n.give_up_time is null"""
_WAITING: Final = "select count(*) from card.notification where sent_time is null and give_up_time is null"


class NewNotification(NamedTuple):
    """Something that somebody is to be told."""

    holder: int
    kind: NotificationKind
    subject: int
    """The application or the card."""
    occasion: int
    """Which step of it, or which version: one message each."""


class DueNotification(NamedTuple):
    """A message whose time has come, with what its text may name."""

    id: int
    epoch: int
    """Of the installation: after a restore numbers come again."""
    holder: int
    kind: NotificationKind
    subject: int
    attempts: int
    create_time_ms: int
    outlet: str
    last_day: date | None
    """On which an application is still in time."""
    cause: int
    sealed_number: bytes | None
    """Of a card."""
    valid_until: date | None


class Attempt(NamedTuple):
    """How an attempt ended."""

    id: int
    outcome: Outcome
    again_ms: int | None = None


async def note(driver: "asyncpg.Connection[Any]", new: NewNotification, now_ms: int) -> None:
    """Somebody is to be told of what is done in this very transaction."""
    await driver.execute(_NOTE, *new, instant(now_ms))


async def note_many(driver: "asyncpg.Connection[Any]", new: Sequence[NewNotification], now_ms: int) -> None:
    """The same for many."""
    now = instant(now_ms)
    await driver.copy_records_to_table(
        "notification",
        schema_name="card",
        columns=(*NewNotification._fields, "due_time", "create_time"),
        records=[(*one, now, now) for one in new],
    )


async def due_notifications(driver: "asyncpg.Connection[Any]", now_ms: int, limit: int) -> list[DueNotification]:
    """What is to be sent by now, the oldest first."""
    return [_due_of(row) for row in await driver.fetch(_DUE, instant(now_ms), limit, sorted(OF_APPLICATIONS))]


async def mark_attempts(driver: "asyncpg.Connection[Any]", attempts: Sequence[Attempt], now_ms: int) -> None:
    """How they ended; what somebody else has marked meanwhile stays so."""
    again = [None if one.again_ms is None else instant(one.again_ms) for one in attempts]
    await driver.execute(_MARK, [one.id for one in attempts], [one.outcome for one in attempts], again, instant(now_ms))


async def count_waiting(driver: "asyncpg.Connection[Any]") -> int:
    """How many have neither been sent nor given up."""
    count: int = await driver.fetchval(_WAITING)
    return count


def _due_of(row: Any) -> DueNotification:
    id_, epoch, holder, kind, subject, attempts, created, outlet, due, cause, number, valid_until = row
    last_day = (due.astimezone(SHANGHAI) - timedelta(milliseconds=1)).date() if due else None
    return DueNotification(
        id_,
        epoch,
        holder,
        NotificationKind(kind),
        subject,
        attempts,
        milliseconds(created),
        outlet or "",
        last_day,
        cause or 0,
        number,
        valid_until,
    )
