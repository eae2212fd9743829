"""One posting on the real database: every record ends posted, refused or dead-lettered, once and for ever."""

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.outcomes_pb2 import Outcome
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.card import CardStatus
from services.payments.domain.verdict import Cause, Reason
from services.payments.handlers.check_books import check_books
from services.payments.handlers.post_taps import Owed, PostTaps
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from tests.support.town import (
    BUS,
    CONFIG,
    FIRST_ACCOUNT,
    KEY,
    LONG_AGO_MS,
    Database,
    build_town,
    bus_ride,
    card_identifier,
    card_state,
    entry,
    now_ms,
    purchase,
    received,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def outcomes(owed: Owed) -> list[Outcome]:
    return [Outcome.FromString(value) for _, value in owed.outcomes]


def reasons(owed: Owed) -> list[Reason]:
    return [Reason(outcome.reason) for outcome in outcomes(owed)]


async def dead_letters(engine: AsyncEngine) -> list[tuple[str, bool]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text('select cause, resolved_time from payments.dead_letter order by "offset"'))
        return [(Cause(cause).name, resolved is not None) for cause, resolved in rows]


async def test_each_scene_is_rated_by_its_tariff(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    owed = await town.post(received([bus_ride(0), purchase(0, 1250), entry(0)]))
    assert [(o.fare.amount_fen, o.charged.amount_fen) for o in outcomes(owed)] == [(200, 200), (1250, 1250), (0, 0)]
    assert await town.balance(0) == 10_000 - 200 - 1250
    assert (await check_books(engine)).balance


@pytest.mark.parametrize(
    ("birth_date", "charged_fen"),
    [(date(1961, 6, 2), 200), (date(1961, 6, 1), 100), (date(1956, 6, 2), 100), (date(1956, 6, 1), 0)],
    ids=["a day before 60", "60 today", "a day before 65", "65 today"],
)
async def test_the_city_pays_what_an_elder_does_not(engine: AsyncEngine, birth_date: date, charged_fen: int) -> None:
    town = await build_town(engine, 1)
    await town.project(card_state(0, birth_date=birth_date, version=2))
    first_of_june_2021 = 1_622_520_000_000
    rules = await read_rules(engine, replace(CONFIG, acceptance_horizon_days=100_000))
    town.post = PostTaps(Ledger(engine, rules, KEY), town.registry, town.verifier)
    owed = await town.post(received([bus_ride(0, at_ms=first_of_june_2021)]))
    (outcome,) = outcomes(owed)
    assert (outcome.fare.amount_fen, outcome.charged.amount_fen) == (200, charged_fen)
    books = await check_books(engine)
    assert books.balance, books.problem


async def test_a_tariff_may_name_any_fund_of_the_ledger(engine: AsyncEngine, tmp_path: Path) -> None:
    bus = (CONFIG.tariffs / "bus.toml").read_text(encoding="utf-8")
    (tmp_path / "bus.toml").write_text(bus.replace("concession_fund", "hotlist_losses"), encoding="utf-8")
    town = await build_town(engine, 1)
    await town.project(card_state(0, birth_date=date(1950, 1, 1), version=2))
    town.post = PostTaps(
        Ledger(engine, await read_rules(engine, replace(CONFIG, tariffs=tmp_path)), KEY), town.registry, town.verifier
    )
    (outcome,) = outcomes(await town.post(received([bus_ride(0)])))
    assert (outcome.fare.amount_fen, outcome.charged.amount_fen) == (200, 0)
    books = await check_books(engine)
    assert books.balance, books.problem


async def test_a_repeat_answers_the_first_verdict_also_a_refusal_and_also_after_a_top_up(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1, opening_fen=300)
    ride, meal = bus_ride(0), purchase(0, 500)
    first = await town.post(received([ride, meal]))
    assert reasons(first) == [Reason.NONE, Reason.INSUFFICIENT_FUNDS]
    async with engine.begin() as connection:
        await connection.execute(text("update payments.account set overdraft_fen = 100000 where id >= 4294967296"))
    again = await town.post(received([ride, meal, ride]))
    assert again.outcomes == [*first.outcomes, first.outcomes[0]]
    assert await town.balance(0) == 100


async def test_another_body_under_the_same_identity_is_a_conflict_and_posts_nothing(engine: AsyncEngine) -> None:
    town = await build_town(engine, 2)
    first = purchase(0, 100, sequence=900_001)
    await town.post(received([first]))
    owed = await town.post(received([purchase(1, 100, sequence=900_001), first]))
    assert reasons(owed) == [Reason.IDENTITY_CONFLICT, Reason.NONE]
    assert await dead_letters(engine) == [("IDENTITY_CONFLICT", False)]
    assert (await town.balance(0), await town.balance(1)) == (9_900, 10_000)


async def test_64_copies_at_once_apply_once(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    meal = purchase(0, 700)
    owed = await asyncio.gather(*(town.post(received([meal])) for _ in range(64)))
    assert len({one.outcomes[0] for one in owed}) == 1
    assert await town.balance(0) == 9_300
    assert (await check_books(engine)).balance


async def test_copies_that_share_no_account_are_told_apart_by_the_primary_key(engine: AsyncEngine) -> None:
    town = await build_town(engine, 32)
    owed = await asyncio.gather(*(town.post(received([purchase(n, 100, sequence=77)])) for n in range(32)))
    assert sorted(r for one in owed for r in reasons(one)) == [Reason.NONE] + [Reason.IDENTITY_CONFLICT] * 31
    assert sum([await town.balance(n) for n in range(32)]) == 32 * 10_000 - 100


async def test_a_purse_never_goes_below_its_overdraft_under_any_concurrency(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1, opening_fen=1_000)
    owed = await asyncio.gather(*(town.post(received([purchase(0, 300)])) for _ in range(20)))
    verdicts = [r for one in owed for r in reasons(one)]
    assert verdicts.count(Reason.NONE) == 3
    assert verdicts.count(Reason.INSUFFICIENT_FUNDS) == 17
    assert await town.balance(0) == 100


async def test_every_kind_of_bad_input_has_its_own_end_and_holds_up_nothing(engine: AsyncEngine) -> None:
    town = await build_town(engine, 3)
    async with engine.begin() as connection:
        await connection.execute(text("update payments.account set status = 2 where id = :id"), {"id": FIRST_ACCOUNT + 1})
        await connection.execute(text("update payments.terminal set retired_time = now() where terminal_id = 'BUS-1-T7'"))
    now = now_ms()
    lost_since = now - 2 * HOUR_MS
    await town.project(
        card_state(
            2, periods=[(CardStatus.NORMAL, LONG_AGO_MS, 0), (CardStatus.FORMALLY_LOST, lost_since, now - HOUR_MS)], version=2
        )
    )
    good = bus_ride(0)
    rows: list[tuple[object, Reason | Cause]] = [
        (("transactions.bus", b"\xff\xff not a message"), Cause.UNDECODABLE),
        (("transactions.bus", b""), Cause.UNDECODABLE),
        (bus_ride(0, terminal_sequence=2**63), Cause.UNDECODABLE),
        (bus_ride(0, event_time_ms=2**62), Cause.UNDECODABLE),
        (bus_ride(0, card_identifier="C\0"), Cause.BAD_TEXT),
        (bus_ride(0, card_identifier="C" * 33), Cause.BAD_TEXT),
        (bus_ride(99), Cause.UNKNOWN_CARD),
        (bus_ride(0, merchant_id="NOBODY"), Cause.UNKNOWN_MERCHANT),
        (bus_ride(0, terminal_id="NOTHING"), Cause.UNKNOWN_TERMINAL),
        (bus_ride(0, terminal=7), Cause.RETIRED_TERMINAL),
        (("transactions.campus", bus_ride(0).record), Cause.WRONG_SCENE),
        (bus_ride(1), Reason.ACCOUNT_FROZEN),
        (bus_ride(2), Reason.HOTLISTED),
        (purchase(0, 0), Reason.BAD_PRICE),
        (purchase(0, 20_001), Reason.BAD_PRICE),
        (bus_ride(0, price_fen=200), Reason.PRICE_NOT_ALLOWED),
        (entry(0, price_fen=200), Reason.PRICE_NOT_ALLOWED),
        (bus_ride(0, at_ms=now + HOUR_MS), Reason.BAD_TIME),
        (bus_ride(0, at_ms=now - 181 * DAY_MS), Reason.TOO_LATE),
        (good, Reason.NONE),
    ]
    owed = await town.post(received([record for record, _ in rows]))  # type: ignore[misc]
    wanted_causes = [end.name for _, end in rows if isinstance(end, Cause)]
    assert [cause for cause, _ in await dead_letters(engine)] == wanted_causes
    assert len(owed.dead_letters) == len(wanted_causes)
    assert reasons(owed) == [end for _, end in rows if isinstance(end, Reason)]
    assert await town.balance(0) == 9_800
    assert (await check_books(engine)).balance


async def test_a_lost_card_costs_its_holder_nothing_after_the_report(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    report, published = now_ms() - 2 * HOUR_MS, now_ms() - HOUR_MS
    await town.project(
        card_state(0, periods=[(CardStatus.NORMAL, LONG_AGO_MS, 0), (CardStatus.FORMALLY_LOST, report, published)], version=2)
    )
    owed = await town.post(
        received([bus_ride(0, at_ms=at) for at in (report - 1, report, published - 1, published)])
    )  # fmt: skip
    assert [(Reason(o.reason).name, o.fare.amount_fen, o.charged.amount_fen) for o in outcomes(owed)] == [
        ("NONE", 200, 200),
        ("NONE", 200, 0),
        ("NONE", 200, 0),
        ("HOTLISTED", 0, 0),
    ]
    assert await town.balance(0) == 9_800
    assert (await check_books(engine)).balance


async def test_an_unknown_card_is_decided_by_itself_once_it_is_known(engine: AsyncEngine) -> None:
    town = await build_town(engine, 0)
    ride, same_again = bus_ride(5), bus_ride(6)
    records = received([ride, same_again, same_again])
    assert (await town.post(records)).outcomes == []
    replay = ReplayDeadLetters(engine, town.post, town.registry, town.verifier)
    new = await town.project(card_state(5), card_state(6))
    assert sorted(new) == [card_identifier(5), card_identifier(6)]
    assert await replay.of_cards(new) == 3
    assert await dead_letters(engine) == [("UNKNOWN_CARD", True)] * 3
    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from payments.verdict")) == 2
        assert await connection.scalar(text("select count(*) from payments.outbox")) == 1
    assert await replay.of_cards(new) == 0
    # A fetch that is read again answers the verdict, and leaves no second dead letter open.
    assert len((await town.post(records)).outcomes) == 3
    assert await dead_letters(engine) == [("UNKNOWN_CARD", True)] * 3


async def test_a_value_the_database_rejects_is_found_by_halving(engine: AsyncEngine, database: Database) -> None:
    town = await build_town(engine, 1)
    connection = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    await connection.execute("alter table payments.transfer add constraint test_only check (amount_fen <> 4242)")
    await connection.close()
    prices = [100] * 13 + [4242] + [100] * 20
    owed = await town.post(received([purchase(0, price) for price in prices]))
    assert len(owed.outcomes) == 33
    async with engine.connect() as reading:
        row = (await reading.execute(text("select cause, sqlstate, merchant_id, sequence from payments.dead_letter"))).one()
    assert (Cause(row[0]), row[1], row[2]) == (Cause.DATABASE_REJECTED, "23514", "CAMPUS-1")
    assert await town.balance(0) == 10_000 - 33 * 100
    assert (await check_books(engine)).balance


async def test_a_reissue_moves_the_pointer_and_no_money(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    switch = now_ms() - HOUR_MS
    old = card_state(0, periods=[(CardStatus.NORMAL, LONG_AGO_MS, 0), (CardStatus.CANCELLED, switch, 0)], version=2)
    new = card_state(50, periods=[(CardStatus.NORMAL, switch, 0)], account=FIRST_ACCOUNT)
    await town.project(new, old)
    owed = await town.post(received([bus_ride(50), bus_ride(0), bus_ride(0, at_ms=switch - 1)]))
    assert reasons(owed) == [Reason.NONE, Reason.CARD_CANCELLED, Reason.NONE]
    assert await town.balance(0) == 9_600


async def test_an_older_state_of_a_card_changes_nothing_and_no_card_changes_its_account(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    await town.project(card_state(0, periods=[(CardStatus.LOCKED, LONG_AGO_MS, 0)], version=3))
    await town.project(card_state(0, version=2), card_state(0, version=9, account=FIRST_ACCOUNT + 77))
    assert reasons(await town.post(received([bus_ride(0)]))) == [Reason.CARD_LOCKED]


async def test_a_terminal_registered_a_moment_ago_is_found(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    ride = bus_ride(0, terminal_id="BUS-1-NEW")
    signed_for = received([ride])
    assert (await town.post(signed_for)).outcomes == []
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into payments.terminal (merchant, terminal_id) select id, 'BUS-1-NEW' from payments.merchant where merchant_id = :m"
            ),
            {"m": BUS},
        )
    await asyncio.sleep(1.1)
    replay = ReplayDeadLetters(engine, town.post, town.registry, town.verifier)
    assert await replay.of_cause(Cause.UNKNOWN_TERMINAL) == (1, 1)
    assert await dead_letters(engine) == [("UNKNOWN_TERMINAL", True)]
    assert await town.balance(0) == 9_800


async def test_a_letter_closes_when_its_tap_was_sent_again_and_decided(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    ride, other = bus_ride(0, terminal_id="BUS-1-LATE"), bus_ride(0, terminal_id="BUS-1-NEVER")
    await town.post(received([ride, other]))
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into payments.terminal (merchant, terminal_id) select id, 'BUS-1-LATE' from payments.merchant where merchant_id = :m"
            ),
            {"m": BUS},
        )
    await asyncio.sleep(1.1)
    await town.post(received([ride]))
    replay = ReplayDeadLetters(engine, town.post, town.registry, town.verifier)
    assert await replay.close_decided() == 1
    assert sorted(await dead_letters(engine)) == [("UNKNOWN_TERMINAL", False), ("UNKNOWN_TERMINAL", True)]
