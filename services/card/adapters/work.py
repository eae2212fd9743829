"""The work list of an outlet in PostgreSQL."""

from typing import Any, Final, NamedTuple

import asyncpg

from services.card.domain.work import WorkKind
from services.common.clock import instant, milliseconds

_OVERDUE: Final = """
select id, holder, id, card, due_time, due_time from card.application
where outlet = $1 and state between 1 and 4 and due_time < $2 and id > $3 order by id limit $4"""
_LYING: Final = """
select id, holder, id, card, update_time, null::timestamptz from card.application
where outlet = $1 and state = 5 and update_time < $2 and id > $3 order by id limit $4"""
_APPROVAL: Final = """
select id, holder, application, card, create_time, expire_time from card.approval
where outlet = $1 and state = 1 and expire_time > $2 and id > $3 order by id limit $4"""
_RENEWAL: Final = """
select c.id, c.holder, null::bigint, c.id, c.renewal_time, (c.valid_until + 1)::timestamp at time zone 'Asia/Shanghai'
from card.card c join card.application a on a.id = c.application
where a.outlet = $1 and c.kind = 1 and c.social in (1, 3, 4) and c.renewal_time <= $2 and c.id > $3
    and not exists (select from card.application o where o.holder = c.holder and o.state between 1 and 6)
order by c.id limit $4"""
_FEE_TO_HAND_OUT: Final = """
select a.id, a.holder, a.id, a.card, a.update_time, null::timestamptz
from card.fee f join card.application a on a.id = f.application
where a.outlet = $1 and a.update_time < $2 and a.id > $3 and a.state in (8, 10)
    and f.source = 1 and f.state in (1, 2) and f.return_terminal is null
order by a.id limit $4"""
# 13: the cancellation; it waits where that was done.
_REMAINDER_TO_HAND_OUT: Final = """
select r.card, r.holder, null::bigint, r.card, t.at, null::timestamptz
from card.remainder r join card.transition t on t.card = r.card and t.verb = 13
where t.outlet = $1 and t.at < $2 and r.card > $3 and r.pay_to = 1 and r.handed_fen < r.paid_fen
order by r.card limit $4"""
_KIT_QUEUE: Final = """
select id, null::bigint, null::bigint, null::bigint, lost_time, null::timestamptz from card.kit_queue
where outlet = $1 and lost_time < $2 and clear_time is null and id > $3 order by id limit $4"""
_BY_KIND: Final = {
    WorkKind.OVERDUE: _OVERDUE,
    WorkKind.LYING: _LYING,
    WorkKind.APPROVAL: _APPROVAL,
    WorkKind.RENEWAL: _RENEWAL,
    WorkKind.FEE_TO_HAND_OUT: _FEE_TO_HAND_OUT,
    WorkKind.REMAINDER_TO_HAND_OUT: _REMAINDER_TO_HAND_OUT,
    WorkKind.KIT_QUEUE: _KIT_QUEUE,
}


class Work(NamedTuple):
    """One thing that waits. Nothing in it is personal."""

    kind: WorkKind
    id: int
    """Of the application, the approval, the card or the queue, by its kind."""
    holder: int
    application: int
    card: int
    since_ms: int
    due_ms: int
    """0: it has no end of its own."""


async def list_work(
    driver: "asyncpg.Connection[Any]", kind: WorkKind, outlet: str, before_ms: int, *, after: int, limit: int
) -> list[Work]:
    """What of a kind waits at an outlet since before a moment (of approvals: beyond it), behind a number."""
    return [_work(kind, row) for row in await driver.fetch(_BY_KIND[kind], outlet, instant(before_ms), after, limit)]


def _work(kind: WorkKind, row: Any) -> Work:
    id_, holder, application, card, since, due = row
    return Work(kind, id_, holder or 0, application or 0, card or 0, milliseconds(since), milliseconds(due) if due else 0)
