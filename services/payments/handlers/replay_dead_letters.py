"""Decide dead letters again, as the very bytes received, once their cause is mended."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters.dead_letters import RefusedMeanwhileError
from services.payments.adapters.letters import read_letters
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.wire import SCENE_OF_TOPIC, Received, Undecided, decode
from services.payments.domain.letter import Letter, Replayed, ReplayOutcome
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Answer, Cause
from services.payments.handlers.post_taps import PostTaps, Settled

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

_CLOSE_COPIES: Final = text("""
update payments.dead_letter d set resolved_time = now(), refusal = r.refusal from payments.dead_letter r
where r.refusal is not null and d.resolved_time is null and d.body_digest = r.body_digest and d.record = r.record""")
_STILL_OPEN: Final = text("""
select d.topic, d.partition, d."offset", d.append_time_ms from payments.dead_letter d
join unnest(cast(:topics as text[]), cast(:partitions as int[]), cast(:offsets as bigint[]), cast(:times as bigint[]))
    as n(topic, partition, "offset", append_time_ms) using (topic, partition, "offset", append_time_ms)
where d.refusal is null""")


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

    async def close_copies(self) -> int:
        """End what its terminal sends again after the very bytes were refused: the refusal was of bytes."""
        async with self._engine.begin() as connection:
            return (await connection.execute(_CLOSE_COPIES)).rowcount

    async def of_numbers(self, numbers: Sequence[int]) -> list[Replayed]:
        """Those that a person has chosen, a result a number in order."""
        async with self._engine.connect() as connection:
            found = await read_letters(connection, numbers)
        chosen = [record for letter, record in found.values() if not letter.end_time_ms and record.topic in SCENE_OF_TOPIC]
        await self._registry.refresh()
        await self._verifier.refresh()
        answers = {record[:4]: (read, answer) for (record, read), answer in await self._decide(chosen)}
        return [_result(number, found.get(number), answers) for number in numbers]

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
        return sum(answer.verdict is not None for _, answer in await self._decide(records))

    async def _decide(self, records: Sequence[Received]) -> list[Settled]:
        """What two people refuse in this very moment is left out: one of both comes first, and the other sees it."""
        while records:
            entries = [(record, decode(record, self._registry, self._verifier)) for record in records]
            try:
                settled = await self._post.settle(entries, replay=True)
            except RefusedMeanwhileError:
                records = await self._still_open(records)
                continue
            decided = sum(answer.verdict is not None for _, answer in settled)
            log.info("dead_letters_replayed", records=len(records), decided=decided)
            return settled
        return []

    async def _still_open(self, records: Sequence[Received]) -> list[Received]:
        topics, partitions, offsets, times = ([record[at] for record in records] for at in range(4))
        async with self._engine.connect() as connection:
            places = {"topics": topics, "partitions": partitions, "offsets": offsets, "times": times}
            open_ = {tuple(row) for row in await connection.execute(_STILL_OPEN, places)}
        return [record for record in records if record[:4] in open_]


def _result(
    number: int,
    found: tuple[Letter, Received] | None,
    answers: Mapping[tuple[str, int, int, int], tuple[Tap | Undecided, Answer]],
) -> Replayed:
    if found is None:
        return Replayed(number, ReplayOutcome.UNKNOWN)
    letter, record = found
    if letter.end_time_ms:
        return Replayed(number, ReplayOutcome.ENDED)
    if record.topic not in SCENE_OF_TOPIC:
        return Replayed(number, ReplayOutcome.STILL_DEAD, cause=letter.cause)
    if record[:4] not in answers:
        return Replayed(number, ReplayOutcome.ENDED)
    _, (verdict, cause, repeated, *_) = answers[record[:4]]
    if verdict is None:
        return Replayed(number, ReplayOutcome.STILL_DEAD, cause=cause)
    if repeated:
        return Replayed(number, ReplayOutcome.REPEATED, verdict.reason)
    return Replayed(number, ReplayOutcome.POSTED if verdict.posted else ReplayOutcome.REFUSED, verdict.reason)


def _place(record: Received) -> dict[str, str | int]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "append_time_ms": record.append_time_ms,
    }
