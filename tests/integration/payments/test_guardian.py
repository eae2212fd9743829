"""A guardian's limits on the real database: told by the card, counted under the holder's lock, for taps and payments alike."""

import asyncio
from collections import Counter

from sqlalchemy import text

from onecard.card.v1.card_events_pb2 import SpendingLimits
from onecard.payments.v1.outcomes_pb2 import REASON_OVER_GUARDIAN_DAY, Outcome
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.verdict import Reason
from services.payments.handlers.check_books import check_books
from tests.integration.payments.test_late_taps import holds_together, ride, town_of
from tests.support.office import HOUR_MS, Office, another_process
from tests.support.replay import replay
from tests.support.town import CONFIG, LONG_AGO_MS, Database, Town, card_state, now_ms, purchase, received

DAY_MS = 24 * HOUR_MS


async def limit(town: Town, card: int, version: int = 2, **limits: int) -> None:
    """As the card service tells it."""
    told = SpendingLimits(**limits)
    await town.project(card_state(card, limits=[(told, LONG_AGO_MS)], version=version))


async def stored(office: Office, column: str, card: int) -> str:
    async with office.engine.connect() as connection:
        query = text(f"select {column}::text from payments.account where id = :id")
        return str((await connection.execute(query, {"id": card_state(card).account_id})).scalar_one())


async def test_taps_and_payments_are_refused_beyond_a_limit_and_the_merchant_is_told(office: Office) -> None:
    await limit(office.town, 0, day_fen=2_000)
    assert await office.reason(office.pay(0, 500)) is Reason.NONE
    owed = await office.town.post(received([purchase(0, 1_501), purchase(0, 1_500)]))
    told = [Outcome.FromString(value) for _, value in owed.outcomes]
    assert sorted((one.reason, one.charged.amount_fen) for one in told) == [(0, 1_500), (REASON_OVER_GUARDIAN_DAY, 0)]
    assert await office.reason(office.pay(0, 1)) is Reason.OVER_GUARDIAN_DAY
    yesterday = await office.town.post(received([purchase(0, 2_000, at_ms=now_ms() - DAY_MS)]))
    assert Outcome.FromString(yesterday.outcomes[0][1]).reason == 0
    assert await office.funds(0) == (10_000 - 4_000, 0)


async def test_64_payments_and_taps_at_once_where_a_guardian_allows_10_are_10(office: Office, database: Database) -> None:
    await limit(office.town, 0, day_payments=10)
    rules = await read_rules(office.engine, CONFIG)
    async with another_process(office, database, rules=rules) as one, another_process(office, database, rules=rules) as other:
        payments = [(one, other)[n % 2].reason((office.hold if n % 3 else office.pay)(0, 1)) for n in range(48)]
        taps = [office.town.post(received([purchase(0, 1)])) for _ in range(16)]
        paid, tapped = await asyncio.gather(asyncio.gather(*payments), asyncio.gather(*taps))
    reasons = Counter(paid)
    reasons.update(Reason(Outcome.FromString(owed.outcomes[0][1]).reason) for owed in tapped)
    assert reasons == {Reason.NONE: 10, Reason.OVER_GUARDIAN_COUNT: 54}
    balance_fen, held_fen = await office.funds(0)
    assert balance_fen - held_fen == 10_000 - 10
    assert (await check_books(office.engine)).balance


async def test_the_journal_decided_again_gives_the_same_rulings(office: Office) -> None:
    await limit(office.town, 0, day_fen=1_000)
    assert await office.reason(office.hold(0, 300)) is Reason.NONE
    await office.town.post(received([purchase(0, 600)]))
    assert await office.reason(office.pay(0, 101)) is Reason.OVER_GUARDIAN_DAY
    assert await office.reason(office.pay(0, 100)) is Reason.NONE
    assert not (await replay(office.engine, await read_rules(office.engine, CONFIG)))[1]


async def test_a_card_without_limits_carries_and_counts_nothing(office: Office) -> None:
    assert await office.reason(office.pay(1, 500)) is Reason.NONE
    assert "limit" not in await stored(office, "cards", 1)
    assert "guardian" not in await stored(office, "usage", 1)
    await limit(office.town, 1, day_fen=500)
    assert '"day_fen":500' in await stored(office, "cards", 1)
    assert await office.reason(office.pay(1, 500)) is Reason.NONE
    assert await office.reason(office.pay(1, 1)) is Reason.OVER_GUARDIAN_DAY
    await office.town.project(card_state(1, version=3))
    assert await office.reason(office.pay(1, 501)) is Reason.NONE


async def test_a_fare_that_a_late_tap_changes_is_not_judged_again(office: Office) -> None:
    """What was accepted is accepted, and counts as it was then."""
    town, _ = await town_of(office.engine, "hangzhou")
    now = now_ms()
    await limit(town, 0, version=3, day_fen=360)
    told = []
    for sequence, minutes, line in ((2, 10, "2"), (1, 30, "1"), (3, 0, "3")):
        owed = await town.post(received([ride(0, sequence, now - minutes * 60_000, line)]))
        told.append(
            sorted(
                (one.identity.terminal_sequence, one.reason, one.charged.amount_fen)
                for one in (Outcome.FromString(value) for _, value in owed.outcomes)
            )
        )
    assert told == [[(2, 0, 180)], [(1, 0, 180), (2, 0, 0)], [(3, REASON_OVER_GUARDIAN_DAY, 0)]]
    await holds_together(office.engine)
