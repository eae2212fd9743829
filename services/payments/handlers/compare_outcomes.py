"""What was answered since a moment, compared with the ledger: after it went back there, this names what differs."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from onecard.payments.v1.outcomes_pb2 import VERDICT_POSTED, Outcome

_AT_ONCE: Final = 2000
_TAPS: Final = text("""
select r.number, v.outcome = 1, v.fare_fen, v.charged_fen,
    exists (select from payments.dead_letter d
            where d.merchant_id = r.merchant_id and d.terminal_id = r.terminal_id and d.sequence = r.sequence)
from unnest(cast(:numbers as int[]), cast(:merchants as text[]), cast(:terminals as text[]), cast(:sequences as bigint[]))
    as r (number, merchant_id, terminal_id, sequence)
left join payments.merchant m on m.merchant_id = r.merchant_id
left join payments.terminal t on t.merchant = m.id and t.terminal_id = r.terminal_id
left join payments.verdict v on v.terminal = t.id and v.sequence = r.sequence""")
_ASKED: Final = text("""
select r.number, o.reason = 0, o.amount_fen
from unnest(cast(:numbers as int[]), cast(:merchants as text[]), cast(:terminals as text[]), cast(:requests as text[]))
    as r (number, merchant_id, terminal_id, request_id)
left join payments.merchant m on m.merchant_id = r.merchant_id
left join payments.terminal t on t.merchant = m.id and t.terminal_id = r.terminal_id
left join payments.operation o on o.terminal = t.id and o.request_id = r.request_id""")


class Difference(Enum):
    """How an answer and the ledger differ, and what a person does."""

    WAITS = "a tap that was answered is not decided yet: the workers are still reading; ask again"
    DEAD_LETTER = "a tap that was answered is a dead letter now: its terminal or tariff came after the moment; mend that"
    REFUSED_NOW = "a tap that was posted is refused now: the merchant was told it earned; settle it by two people's word"
    POSTED_NOW = "a tap that was refused is posted now: the holder pays what was not asked; give it back by two people's word"
    OTHER_AMOUNT = "a tap is posted with another amount: tell the merchant, and settle the difference"
    PAYMENT_GONE = "an online payment is not in the ledger, and goods were given for it: post it by two people's word"
    PAYMENT_DIFFERS = "an online payment was asked again and decided otherwise: look at both"


class Differing(NamedTuple):
    """One answer that the ledger does not give."""

    how: Difference
    outcome: Outcome
    fen: int
    """What the merchant was told, less what the ledger says."""


async def compare_outcomes(engine: AsyncEngine, published: Iterable[bytes]) -> tuple[int, list[Differing]]:
    """How many answers were compared, and those that differ; each counts once, however often it was told.

    `published`: values of `payments.outcomes`. Later revisions of a tap's fare are not looked at: they follow from the taps.
    """
    compared, differing, seen = 0, list[Differing](), set[tuple[str, ...]]()
    outcomes = _first_answers(published, seen)
    async with engine.connect() as connection:
        while some := list(islice(outcomes, _AT_ONCE)):
            compared += len(some)
            taps = [outcome for outcome in some if outcome.identity.terminal_sequence]
            asked = [outcome for outcome in some if outcome.identity.request_id]
            differing += [one async for one in _taps(connection, taps)] if taps else []
            differing += [one async for one in _asked(connection, asked)] if asked else []
    return compared, differing


def _first_answers(values: Iterable[bytes], seen: set[tuple[str, ...]]) -> Iterator[Outcome]:
    for value in values:
        try:
            outcome = Outcome.FromString(value)
        except DecodeError:
            continue
        identity = outcome.identity
        key = identity.merchant_id, identity.terminal_id, str(identity.terminal_sequence), identity.request_id
        # What has no place in the journal is the answer to a body that is not the first of its identity.
        if outcome.revision == 0 and outcome.batch_number and key not in seen:
            seen.add(key)
            yield outcome


async def _taps(connection: AsyncConnection, taps: Sequence[Outcome]) -> AsyncIterator[Differing]:
    given = {**_identities(taps), "sequences": [tap.identity.terminal_sequence for tap in taps]}
    for number, posted, fare_fen, charged_fen, dead in await connection.execute(_TAPS, given):
        tap = taps[number]
        earned, was_posted = tap.fare.amount_fen, tap.verdict == VERDICT_POSTED
        if posted is None:
            yield Differing(Difference.DEAD_LETTER if dead else Difference.WAITS, tap, earned if was_posted else 0)
        elif was_posted and not posted:
            yield Differing(Difference.REFUSED_NOW, tap, earned)
        elif posted and not was_posted:
            yield Differing(Difference.POSTED_NOW, tap, -fare_fen)
        elif posted and (earned, tap.charged.amount_fen) != (fare_fen, charged_fen):
            yield Differing(Difference.OTHER_AMOUNT, tap, earned - fare_fen)


async def _asked(connection: AsyncConnection, asked: Sequence[Outcome]) -> AsyncIterator[Differing]:
    given = {**_identities(asked), "requests": [one.identity.request_id for one in asked]}
    for number, posted, amount_fen in await connection.execute(_ASKED, given):
        one = asked[number]
        told, was_posted = one.fare.amount_fen, one.verdict == VERDICT_POSTED
        if posted is None:
            if was_posted:  # a refusal that is forgotten harms nobody
                yield Differing(Difference.PAYMENT_GONE, one, told)
        elif (posted, amount_fen if posted else 0) != (was_posted, told if was_posted else 0):
            yield Differing(Difference.PAYMENT_DIFFERS, one, told * was_posted - amount_fen * posted)


def _identities(outcomes: Sequence[Outcome]) -> dict[str, list[object]]:
    return {
        "numbers": list(range(len(outcomes))),
        "merchants": [outcome.identity.merchant_id for outcome in outcomes],
        "terminals": [outcome.identity.terminal_id for outcome in outcomes],
    }
