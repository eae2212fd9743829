"""Decide dead letters again, as the very bytes received, once their cause is mended."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.registry import Registry
from services.payments.adapters.wire import Received, decode
from services.payments.domain.verdict import Cause
from services.payments.handlers.post_taps import PostTaps

log = structlog.get_logger()

_AT_ONCE: Final = 1000
_COLUMNS: Final = 'd.topic, d.partition, d."offset", d.append_time_ms, d.record'
_OF_CARDS: Final = text(f"""
select {_COLUMNS} from payments.dead_letter d
where d.cause = 7 and d.resolved_time is null and d.card_identifier = any(:cards)
order by d.create_time, d.topic, d.partition, d."offset" limit {_AT_ONCE}""")  # noqa: S608  # constants
_OF_NEW_CARDS: Final = text(f"""
select {_COLUMNS} from payments.card c join payments.dead_letter d
    on d.card_identifier = c.card_identifier and d.cause = 7 and d.resolved_time is null
where c.create_time > now() - interval '1 minute'
order by d.create_time, d.topic, d.partition, d."offset" limit {_AT_ONCE}""")  # noqa: S608  # constants
_OF_CAUSE: Final = text(f"""
select {_COLUMNS} from payments.dead_letter d
where d.cause = :cause and d.resolved_time is null
    and (d.topic, d.partition, d."offset", d.append_time_ms) > (:topic, :partition, :offset, :append_time_ms)
order by d.topic, d.partition, d."offset", d.append_time_ms limit {_AT_ONCE}""")  # noqa: S608  # constants


class ReplayDeadLetters:
    """Posts them again; their merchants are told through the outbox, for no fetch began this."""

    def __init__(self, engine: AsyncEngine, post: PostTaps, registry: Registry) -> None:
        self._engine = engine
        self._post = post
        self._registry = registry

    async def of_cards(self, card_identifiers: Sequence[str]) -> int:
        """Taps of cards that have just become known."""
        return await self._all(_OF_CARDS, cards=list(card_identifiers))

    async def of_new_cards(self) -> int:
        """Taps that were put aside in the very moment in which their card became known."""
        return await self._all(_OF_NEW_CARDS)

    async def of_cause(self, cause: Cause) -> int:
        """All of one cause, each once: after a terminal was registered or a tariff was added."""
        replayed = 0
        last = Received("", 0, 0, 0, b"")
        while found := await self._find(_OF_CAUSE, cause=cause.value, **_place(last)):
            await self._replay(found)
            replayed += len(found)
            last = found[-1]
        return replayed

    async def _all(self, query: TextClause, **parameters: object) -> int:
        replayed = 0
        while found := await self._find(query, **parameters):
            await self._replay(found)
            replayed += len(found)
            if len(found) < _AT_ONCE:
                break
        return replayed

    async def _find(self, query: TextClause, **parameters: object) -> list[Received]:
        async with self._engine.connect() as connection:
            return [Received(*row) for row in await connection.execute(query, parameters)]

    async def _replay(self, records: Sequence[Received]) -> None:
        await self._registry.refresh_if_due()
        entries = [(record, decode(record, self._registry)) for record in records]
        answers = await self._post.settle(entries, replay=True)
        log.info("dead_letters_replayed", records=len(records), decided=sum(a.verdict is not None for _, a in answers))


def _place(record: Received) -> dict[str, str | int]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "append_time_ms": record.append_time_ms,
    }
