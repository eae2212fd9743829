"""Decide dead letters again, as the very bytes received, once their cause is mended."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
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
_OF_KNOWN_CARDS: Final = text(f"""
select {_COLUMNS} from payments.dead_letter d join payments.card c using (card_identifier)
where d.cause = 7 and d.resolved_time is null
order by d.create_time, d.topic, d.partition, d."offset" limit {_AT_ONCE}""")  # noqa: S608  # constants
_OF_CAUSE: Final = text(f"""
select {_COLUMNS} from payments.dead_letter d
where d.cause = :cause and d.resolved_time is null
    and (d.topic, d.partition, d."offset", d.append_time_ms) > (:topic, :partition, :offset, :append_time_ms)
order by d.topic, d.partition, d."offset", d.append_time_ms limit {_AT_ONCE}""")  # noqa: S608  # constants
_CLOSE_DECIDED: Final = text("""
update payments.dead_letter d set resolved_time = now()
from payments.merchant m
join payments.terminal t on t.merchant = m.id
join payments.verdict v on v.terminal = t.id
where d.resolved_time is null and d.sequence is not null and d.cause <> 8 and d.merchant_id = m.merchant_id
    and d.terminal_id = t.terminal_id and v.sequence = d.sequence and v.body_digest = d.body_digest""")


class ReplayDeadLetters:
    """Posts them again; their merchants are told through the outbox, for no fetch began this."""

    def __init__(self, engine: AsyncEngine, post: PostTaps, registry: Registry, verifier: Verifier) -> None:
        self._engine = engine
        self._post = post
        self._registry = registry
        self._verifier = verifier

    async def of_cards(self, card_identifiers: Sequence[str]) -> int:
        """Taps of cards that have just become known."""
        return await self._all(_OF_CARDS, cards=list(card_identifiers))

    async def of_known_cards(self) -> int:
        """Taps that were put aside in the very moment in which their card became known, or before a worker died."""
        return await self._all(_OF_KNOWN_CARDS)

    async def close_decided(self) -> int:
        """Close letters whose tap has a verdict by now: its terminal sent it again after the cause was mended."""
        async with self._engine.begin() as connection:
            return (await connection.execute(_CLOSE_DECIDED)).rowcount

    async def of_cause(self, cause: Cause) -> tuple[int, int]:
        """All of one cause, each once: after a terminal was registered or a tariff was added. (replayed, decided)"""
        replayed = decided = 0
        last = Received("", 0, 0, 0, b"")
        while found := await self._find(_OF_CAUSE, cause=cause.value, **_place(last)):
            decided += await self._replay(found)
            replayed += len(found)
            last = found[-1]
        return replayed, decided

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

    async def _replay(self, records: Sequence[Received]) -> int:
        await self._registry.refresh_if_due()
        await self._verifier.refresh_if_due()
        entries = [(record, decode(record, self._registry, self._verifier)) for record in records]
        answers = await self._post.settle(entries, replay=True)
        decided = sum(answer.verdict is not None for _, answer in answers)
        log.info("dead_letters_replayed", records=len(records), decided=decided)
        return decided


def _place(record: Received) -> dict[str, str | int]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "append_time_ms": record.append_time_ms,
    }
