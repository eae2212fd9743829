"""Dead letters as people look at them: counted, listed, one by one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.clock import instant, milliseconds
from services.payments.adapters.wire import Received
from services.payments.domain.letter import Letter
from services.payments.domain.verdict import Cause

_COLUMNS: Final = """number, topic, partition, "offset", append_time_ms, cause, sqlstate, merchant_id, terminal_id, sequence,
card_identifier, create_time, resolved_time, refusal, octet_length(record)"""
_OF: Final = """
where (resolved_time is not null) = :ended and cause = any(cast(:causes as smallint[]))
    and (:topic = '' or topic = :topic) and (:merchant_id = '' or merchant_id = :merchant_id)
    and (cast(:before as timestamptz) is null or create_time < :before)"""
_COUNT: Final = text(f"""
select cause, topic, coalesce(merchant_id, ''), count(*), min(create_time) from payments.dead_letter {_OF}
group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 1000""")  # noqa: S608  # constants
_LIST: Final = text(f"""
select {_COLUMNS} from payments.dead_letter {_OF} and number > :after order by number limit :limit""")  # noqa: S608
_BY_NUMBER: Final = text(f"""
select {_COLUMNS}, record from payments.dead_letter
where number = any(cast(:numbers as bigint[])) order by number""")  # noqa: S608  # constants


class Wanted(NamedTuple):
    """Which dead letters."""

    cause: Cause | None = None
    topic: str = ""
    merchant_id: str = ""
    before_ms: int = 0
    ended: bool = False

    def parameters(self) -> dict[str, object]:
        """For the queries of this module."""
        return {
            "causes": [self.cause.value] if self.cause else [cause.value for cause in Cause],
            "topic": self.topic,
            "merchant_id": self.merchant_id,
            "before": instant(self.before_ms) if self.before_ms else None,
            "ended": self.ended,
        }


class Counted(NamedTuple):
    """How many there are of one kind."""

    cause: Cause
    topic: str
    merchant_id: str
    records: int
    oldest_ms: int


class AfterNumber(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins."""

    number: int

    @property
    def possible(self) -> bool:
        """Whether we may have written it."""
        return 0 < self.number < 2**63


async def count_letters(connection: AsyncConnection, wanted: Wanted) -> list[Counted]:
    """By cause, topic and merchant, the most first."""
    return [
        Counted(Cause(cause), topic, merchant_id, records, milliseconds(oldest))
        for cause, topic, merchant_id, records, oldest in await connection.execute(_COUNT, wanted.parameters())
    ]


async def list_letters(connection: AsyncConnection, wanted: Wanted, after: int, limit: int) -> list[Letter]:
    """A page, in order of their numbers."""
    rows = await connection.execute(_LIST, {**wanted.parameters(), "after": after, "limit": limit})
    return [_letter(*row) for row in rows]


async def read_letters(connection: AsyncConnection, numbers: Sequence[int]) -> dict[int, tuple[Letter, Received]]:
    """Each with its bytes; who is not there is left out."""
    found = {}
    for *row, record in await connection.execute(_BY_NUMBER, {"numbers": list(numbers)}):
        letter = _letter(*row)
        place = letter.topic, letter.partition, letter.offset, letter.append_time_ms
        found[letter.number] = letter, Received(*place, record)
    return found


def _letter(*row: Any) -> Letter:
    number, topic, partition, offset, append_time_ms, cause, sqlstate, *read, create_time, resolved_time, refusal, size = row
    merchant_id, terminal_id, sequence, card_identifier = read
    return Letter(
        number, topic, partition, offset, append_time_ms, Cause(cause), sqlstate, merchant_id, terminal_id, sequence,
        card_identifier, milliseconds(create_time), _ms(resolved_time), refusal, size,
    )  # fmt: skip


def _ms(time: datetime | None) -> int:
    return milliseconds(time) if time else 0
