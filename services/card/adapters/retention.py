"""What is kept no longer than a city says, taken away by hundreds."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from services.common.clock import instant

_REQUESTS: Final = """
delete from card.request where ctid = any(array(select ctid from card.request where create_time < $1 limit $2))"""
_OUTBOX: Final = """
delete from card.event_outbox
where id = any(array(select id from card.event_outbox where sent_time < $1 order by id limit $2))"""
_IN_VAIN: Final = "from card.application a where a.state in (8, 10) and a.update_time < $1"
_PAPERS: Final = f"""
update card.application set papers = null where id = any(array(select a.id {_IN_VAIN} and a.papers is not null limit $2))"""  # noqa: S608 - our own text
_PHOTOS: Final = f"""
delete from card.photo where holder = any(array(
    select distinct a.holder {_IN_VAIN} and exists (select from card.photo p where p.holder = a.holder)
    and not exists (select from card.card c where c.holder = a.holder)
    and not exists (
        select from card.application b where b.holder = a.holder and (b.state not in (8, 10) or b.update_time >= $1))
    limit $2))"""  # noqa: S608 - our own text
_MESSAGES: Final = """
delete from card.notification where id = any(array(
    select id from card.notification
    where create_time < $1 and (sent_time is not null or give_up_time is not null) limit $2))"""
_SESSIONS: Final = """
delete from card.holder_session where id = any(array(select id from card.holder_session where expire_time < $1 limit $2))"""


async def take_away(
    driver: "asyncpg.Connection[Any]", requests_before_ms: int, in_vain_before_ms: int, past_before_ms: int, limit: int
) -> Mapping[str, int]:
    """What is older than each of these times; how many are gone.

    Requests and sent events; papers and photos of applications that ended without a card; messages and sessions of holders.
    """
    parts = {
        "requests": (_REQUESTS, requests_before_ms),
        "events": (_OUTBOX, requests_before_ms),
        "papers": (_PAPERS, in_vain_before_ms),
        "photos": (_PHOTOS, in_vain_before_ms),
        "messages": (_MESSAGES, past_before_ms),
        "sessions": (_SESSIONS, past_before_ms),
    }
    return {
        part: int((await driver.execute(statement, instant(before), limit)).split()[-1])
        for part, (statement, before) in parts.items()
    }
