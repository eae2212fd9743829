"""Dead letters: records without a verdict, stored in the transaction that could not decide them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from services.common import topics
from services.common.clock import instant
from services.payments.adapters.payments import columns
from services.payments.adapters.wire import Outcomes, Received, Undecided
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Answer

Entry = tuple[Received, Tap | Undecided]
"""A record and what was read from it."""

_DEAD: Final = """
insert into payments.dead_letter (
    topic, partition, "offset", append_time_ms, cause, sqlstate, merchant_id, terminal_id, sequence, body_digest,
    card_identifier, record, create_time)
select n.*, $13
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::text[], $8::text[], $9::bigint[],
            $10::bytea[], $11::text[], $12::bytea[]) as n
on conflict do nothing"""

_REPLAYED: Final = """
update payments.dead_letter d
set cause = coalesce(n.cause, d.cause), resolved_time = case when n.decided then $7::timestamptz end
from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::smallint[], $6::boolean[])
     as n(topic, partition, "offset", append_time_ms, cause, decided)
where d.refusal is null
    and (d.topic, d.partition, d."offset", d.append_time_ms) = (n.topic, n.partition, n."offset", n.append_time_ms)"""
_OUTBOX: Final = "insert into payments.outbox (topic, payload) values ($1, $2)"


class RefusedMeanwhileError(Exception):
    """Two people have ended a record as refused while it was replayed: it is not posted."""


async def write_dead_letters(
    driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], answers: Sequence[Answer], now_ms: int
) -> None:
    """Those that have a cause; a record that is read again leaves no second one."""
    rows = [
        (*record[:4], answer.cause, *_identity_facts(read), record.value)
        for (record, read), answer in zip(entries, answers, strict=True)
        if answer.cause is not None
    ]
    if rows:
        await driver.execute(_DEAD, *columns(rows), instant(now_ms))


def _identity_facts(read: Tap | Undecided) -> tuple[str, str | None, str | None, int | None, bytes | None, str | None]:
    if isinstance(read, Tap):
        return "", read.terminal.merchant_id, read.terminal.terminal_id, read.sequence, read.digest, read.card_identifier
    return read.sqlstate, read.merchant_id, read.terminal_id, read.sequence, read.digest, read.card_identifier


async def close_replayed(
    driver: "asyncpg.Connection[Any]", entries: Sequence[Entry], answers: Sequence[Answer], now_ms: int
) -> None:
    """Close the dead letters that were decided; tell their merchants through the outbox, for no fetch began this.

    Raises RefusedMeanwhileError.
    """
    rows = [
        (*record[:4], answer.cause, answer.verdict is not None) for (record, _), answer in zip(entries, answers, strict=True)
    ]  # fmt: skip
    if await driver.execute(_REPLAYED, *columns(rows), instant(now_ms)) != f"UPDATE {len(rows)}":
        raise RefusedMeanwhileError
    messages = [(merchant.encode(), outcome) for merchant, outcome in outcomes_of(zip(entries, answers, strict=True))]
    if messages:
        await driver.execute(_OUTBOX, topics.OUTCOMES, msgspec.msgpack.encode(messages))


def outcomes_of(settled: Iterable[tuple[Entry, Answer]]) -> list[tuple[str, bytes]]:
    """(merchant, Outcome) of every tap that was answered, and of those whose fares it has changed."""
    outcomes = Outcomes()
    encode, told = outcomes.encode, []
    for (_, read), answer in settled:
        if isinstance(read, Tap) and (outcome := encode(read, answer)) is not None:
            told.append((read.terminal.merchant_id, outcome))
        if answer.adjusted:
            told += [(one.terminal.merchant_id, outcomes.encode_revised(one)) for one in answer.adjusted]
    return told
