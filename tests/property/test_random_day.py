"""A random day from several lanes, held against a single-threaded model that replays the journal."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.transactions_pb2 import SignedTransaction, TransactionBody
from sdk.merchant.transaction import SignedRecord
from services.payments.domain.card import CardStatus
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.open_accounts import Opening, open_accounts
from tests.support.town import (
    FIRST_ACCOUNT,
    KEY,
    LONG_AGO_MS,
    Town,
    build_town,
    bus_ride,
    card_state,
    entry,
    now_ms,
    purchase,
    received,
)

HOUR_MS = 3_600_000
OPENING_FEN = 1_500
BIRTHS = (date(1990, 1, 1), date(1966, 11, 23), date(1961, 11, 24), date(1950, 5, 5), date(1960, 2, 29))


class Event(NamedTuple):
    """What may happen: a tap of one of five holders, perhaps under an identity that was used already."""

    kind: str
    card: int
    terminal: int
    sequence: int
    price_fen: int
    hours_ago: int


events = st.lists(
    st.builds(
        Event,
        st.sampled_from(["ride", "ride", "meal", "meal", "meal", "entry"]),
        st.integers(0, 4),
        st.integers(0, 1),
        st.integers(1, 12),
        st.sampled_from([0, 1, 250, 700, 20_000, 20_001]),
        st.sampled_from([-2, 0, 0, 0, 1, 3, 24, 24 * 200]),
    ),
    min_size=1,
    max_size=40,
)
_days = count()


class Model:
    """The rules of the simulated city, written once more, one tap at a time."""

    def __init__(self, cards: dict[str, tuple[date, list[tuple[CardStatus, int, int]]]]) -> None:
        self.cards = cards
        self.balances = dict.fromkeys(cards, OPENING_FEN)
        self.earned = self.city_paid = 0

    def decide(self, body: TransactionBody, now: int) -> tuple[Reason, int, int]:
        reason, fare, charged = self._judge(body, now)
        if reason is Reason.NONE:
            self.balances[body.card_identifier] -= charged
            self.earned += fare
            self.city_paid += fare - charged
        return reason, fare, charged

    def _judge(self, body: TransactionBody, now: int) -> tuple[Reason, int, int]:
        at = body.event_time_ms
        if at - now > 10 * 60_000:
            return Reason.BAD_TIME, 0, 0
        if now - at > 180 * 24 * HOUR_MS:
            return Reason.TOO_LATE, 0, 0
        if body.HasField("campus_purchase"):
            if not 1 <= body.price_fen <= 20_000:
                return Reason.BAD_PRICE, 0, 0
            fare = body.price_fen
        else:
            fare = 200 if body.HasField("bus_ride") else 0
        birth, periods = self.cards[body.card_identifier]
        status, _, published = [p for p in periods if p[1] <= at][-1]
        if status is CardStatus.LOCKED:
            return Reason.CARD_LOCKED, 0, 0
        if status is CardStatus.FORMALLY_LOST:
            return (Reason.HOTLISTED, 0, 0) if at >= published else (Reason.NONE, fare, 0)
        charged = fare
        if body.HasField("bus_ride"):
            day = (datetime.fromtimestamp(at / 1000, UTC) + timedelta(hours=8)).date()
            age = sum(_birthday(birth, year) <= day for year in range(birth.year + 1, day.year + 1))
            charged = 0 if age >= 65 else fare // 2 if age >= 60 else fare
        if self.balances[body.card_identifier] < charged:
            return Reason.INSUFFICIENT_FUNDS, 0, 0
        return Reason.NONE, fare, charged


def _birthday(birth: date, year: int) -> date:
    return date(year, 3, 1) if (birth.month, birth.day) == (2, 29) and year % 4 else birth.replace(year=year)


def record_of(event: Event, base: int, now: int) -> SignedRecord:
    card, sequence, at = base + event.card, base * 100 + event.sequence, now - event.hours_ago * HOUR_MS
    match event.kind:
        case "ride":
            return bus_ride(card, terminal=event.terminal, sequence=sequence, at_ms=at)
        case "meal":
            return purchase(card, event.price_fen, terminal=event.terminal, sequence=sequence, at_ms=at)
        case _:
            return entry(card, terminal=event.terminal, sequence=sequence, at_ms=at)


@given(day=events, again=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_journal_replayed_by_one_thread_gives_every_verdict_and_balance(
    engine: AsyncEngine, day: list[Event], again: object
) -> None:
    now = now_ms()
    base = next(_days) * 10
    town = await build_town(engine, 0)
    cards = await open_holders(town, base, now)
    records = [record_of(event, base, now) for event in day]
    delivered = records + again.choices(records, k=len(records))  # type: ignore[attr-defined]  # at least once
    lanes = [delivered[n::4] for n in range(4)]
    owed = await asyncio.gather(*(post_in_pieces(town, lane) for lane in lanes))

    bodies = {record.digest: TransactionBody.FromString(SignedTransaction.FromString(record.record).body) for record in records}
    model = Model(cards)
    async with engine.connect() as connection:
        journal = await connection.execute(
            text(
                "select v.body_digest, v.reason, v.fare_fen, v.charged_fen, (extract(epoch from b.now) * 1000)::bigint"
                " from payments.verdict v join payments.batch b on b.number = v.batch"
                " where v.account_id between :first and :last and v.body_digest = any(:digests) order by v.batch, v.row"
            ),
            {"first": FIRST_ACCOUNT + base, "last": FIRST_ACCOUNT + base + 4, "digests": list(bodies)},
        )
        verdicts = 0
        for digest, reason, fare, charged, decided_at in journal:
            verdicts += 1
            assert (Reason(reason), fare, charged) == model.decide(bodies[digest], decided_at)
    identities = {(r.merchant_id, r.terminal_id, r.terminal_sequence) for r in records}
    assert verdicts == len(identities)
    assert [await town.balance(base + n) for n in range(5)] == list(model.balances.values())
    assert sum(map(len, owed)) == len(delivered)
    books = await check_books(engine)
    assert books.balance, books.problem


async def open_holders(town: Town, base: int, now: int) -> dict[str, tuple[date, list[tuple[CardStatus, int, int]]]]:
    """Five holders: three in order, one locked yesterday, one lost two hours ago and hotlisted an hour ago."""

    normal = (CardStatus.NORMAL, LONG_AGO_MS, 0)
    periods = [
        [normal],
        [normal],
        [normal, (CardStatus.LOCKED, now - 20 * HOUR_MS, 0)],
        [normal, (CardStatus.FORMALLY_LOST, now - 2 * HOUR_MS, now - HOUR_MS)],
        [normal],
    ]
    await open_accounts(town.engine, KEY, [Opening(FIRST_ACCOUNT + base + n, OPENING_FEN) for n in range(5)], lambda _: None)
    states = [card_state(base + n, birth_date=BIRTHS[n], periods=periods[n]) for n in range(5)]
    await town.project(*states)
    return {state.card_identifier: (BIRTHS[n], periods[n]) for n, state in enumerate(states)}


async def post_in_pieces(town: Town, records: Sequence[SignedRecord]) -> list[bytes]:
    """A lane: a few batches one after the other."""
    outcomes = []
    for at in range(0, len(records), 7):
        owed = await town.post(received(records[at : at + 7]))
        outcomes += [value for _, value in owed.outcomes]
    return outcomes


def test_the_model_and_the_platform_agree_on_what_a_digest_is() -> None:
    record = bus_ride(1)
    assert record.digest == sha256(SignedTransaction.FromString(record.record).body).digest()
