"""Late taps on the real database: what they change is adjusted once, told once a revision, and the books balance."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1.card_events_pb2 import CategoryPeriod
from onecard.payments.v1.outcomes_pb2 import Outcome
from onecard.payments.v1.transactions_pb2 import RIDE_SIDE_ENTRY, RIDE_SIDE_EXIT, BusRide, TransactionBody
from sdk.merchant.transaction import SignedRecord
from services.common import topics
from services.payments.adapters.ledger import Ledger
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.book import Rules
from services.payments.handlers.check_books import check_books
from services.payments.handlers.check_fares import check_fares
from services.payments.handlers.end_rides import EndRides
from services.payments.handlers.post_taps import Owed, PostTaps
from services.payments.handlers.verify_ledger import verify_ledger
from tests.support.in_order import STUDENTS, in_order
from tests.support.terminal_keys import sealed
from tests.support.town import BUS, CONFIG, KEY, Town, build_town, card_identifier, card_state, now_ms, received

TARIFFS = Path(__file__).parents[3] / "tariffs"
MINUTE = 60_000
HOUR = 60 * MINUTE


def ride(
    card: int, sequence: int, at_ms: int, line: str = "1", *, stop: str = "", side: int = 0, terminal: int = 0
) -> SignedRecord:
    body = TransactionBody(
        merchant_id=BUS,
        terminal_id=f"{BUS}-T{terminal}",
        terminal_sequence=sequence,
        card_identifier=card_identifier(card),
        event_time_ms=at_ms,
        bus_ride=BusRide(line_id=line, stop_id=stop, vehicle_id=f"V{sequence}", side=side),  # type: ignore[arg-type]
    )
    return sealed(body, topics.TRANSACTIONS_BUS)


def with_students(city: str, folder: Path) -> Path:
    """The city's tariff, where students pay half of what is left in the end."""
    (folder / "bus.toml").write_text((TARIFFS / city / "bus.toml").read_text(encoding="utf-8") + STUDENTS, encoding="utf-8")
    return folder


async def town_of(engine: AsyncEngine, city: str | Path, cards: int = 1, opening_fen: int = 10_000) -> tuple[Town, Rules]:
    town = await build_town(engine, cards, opening_fen)
    rules = await read_rules(engine, replace(CONFIG, tariffs=TARIFFS / city))
    town.ledger = Ledger(engine, rules, KEY)
    town.post = PostTaps(town.ledger, town.registry, town.verifier)
    return town, rules


@dataclass
class Told:
    """What merchants know: of each tap the outcome with the highest revision."""

    latest: dict[int, Outcome]

    @classmethod
    def of(cls, *owed: Owed) -> "Told":
        latest: dict[int, Outcome] = {}
        for one in owed:
            for _, value in one.outcomes:
                outcome = Outcome.FromString(value)
                sequence = outcome.identity.terminal_sequence
                if sequence not in latest or outcome.revision >= latest[sequence].revision:
                    latest[sequence] = outcome
        return cls(latest)

    @property
    def charged(self) -> dict[int, int]:
        return {sequence: outcome.charged.amount_fen for sequence, outcome in self.latest.items()}

    @property
    def revisions(self) -> dict[int, int]:
        return {sequence: outcome.revision for sequence, outcome in self.latest.items()}


async def holds_together(engine: AsyncEngine) -> None:
    books = await check_books(engine)
    assert books.balance, books.problem
    verified = await verify_ledger(engine, {KEY.version: KEY.key}, {}, horizon_days=180)
    assert not verified.problem


async def test_a_late_tap_gives_back_what_it_makes_cheaper_and_a_repeat_tells_it_again(engine: AsyncEngine) -> None:
    town, _ = await town_of(engine, "hangzhou")
    now = now_ms()
    second = ride(0, 2, now - 10 * MINUTE, "2")
    first = ride(0, 1, now - 30 * MINUTE, "1")
    before = await town.post(received([second]))
    assert Told.of(before).charged == {2: 180}
    late = await town.post(received([first]))
    told = Told.of(before, late)
    assert (told.charged, told.revisions) == ({1: 180, 2: 0}, {1: 0, 2: 1})
    assert await town.balance(0) == 10_000 - 180
    again = await town.post(received([first, first]))
    assert sorted(again.outcomes) == sorted([*late.outcomes, *late.outcomes])
    assert await town.balance(0) == 10_000 - 180
    await holds_together(engine)


async def test_an_adjustment_is_posted_today_and_stands_beside_what_it_changes(engine: AsyncEngine) -> None:
    town, _ = await town_of(engine, "hangzhou")
    now = now_ms()
    await town.post(received([ride(0, 2, now - 50 * HOUR, "2")]))
    await town.post(received([ride(0, 1, now - 50 * HOUR - 30 * MINUTE, "1")]))
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "select code, amount_fen, service_date < posting_date, debit_account = a.payable_account"
                " from payments.transfer t, (select payable_account from payments.merchant where merchant_id = :m) a"
                " where code in (1, 10) order by t.id"
            ),
            {"m": BUS},
        )
        assert [tuple(row) for row in rows] == [(1, 180, True, False), (1, 180, True, False), (10, 180, True, True)]


async def test_an_entry_without_an_exit_is_charged_in_time_and_given_back_when_the_exit_comes_after_all(
    engine: AsyncEngine,
) -> None:
    town, rules = await town_of(engine, "beijing")
    now = now_ms()
    entry = ride(0, 1, now - 5 * HOUR, stop="km 0", side=RIDE_SIDE_ENTRY)
    recent = ride(0, 2, now - HOUR, stop="km 0", side=RIDE_SIDE_ENTRY)
    await town.post(received([entry]))
    assert await town.balance(0) == 10_000
    end = EndRides(town.ledger, rules)
    outbox = text("select count(*) from payments.outbox")
    async with engine.connect() as connection:
        before = (await connection.execute(outbox)).scalar_one()
        assert [await end.without_exit(connection) for _ in range(2)] == [1, 0]
    assert await town.balance(0) == 10_000 - 800
    await town.post(received([recent]))
    async with engine.connect() as connection:
        assert await end.without_exit(connection) == 0
        assert (await connection.execute(outbox)).scalar_one() == before + 1
    owed = await town.post(received([ride(0, 3, now - 4 * HOUR, stop="km 6", side=RIDE_SIDE_EXIT)]))
    assert (Told.of(owed).charged, Told.of(owed).revisions) == ({3: 300, 1: 0}, {3: 0, 1: 2})
    assert await town.balance(0) == 10_000 - 300
    await holds_together(engine)


async def test_several_sweepers_charge_an_entry_once(engine: AsyncEngine) -> None:
    town, rules = await town_of(engine, "beijing", cards=3)
    now = now_ms()
    entries = [ride(n, 1 + n, now - 5 * HOUR, stop="km 0", side=RIDE_SIDE_ENTRY) for n in range(3)]
    await town.post(received(entries))

    async def sweep() -> int:
        async with engine.connect() as connection:
            return await EndRides(town.ledger, rules).without_exit(connection)

    assert sum(await asyncio.gather(*(sweep() for _ in range(6)))) == 3
    assert [await town.balance(n) for n in range(3)] == [9_200] * 3
    await holds_together(engine)


@pytest.mark.parametrize("city", ["hangzhou", "beijing", "ningbo"])
@pytest.mark.parametrize("seed", range(4))
async def test_many_lanes_in_any_order_charge_what_one_does_in_order(
    engine: AsyncEngine, tmp_path: Path, city: str, seed: int
) -> None:
    """Over a month's end, with a card that was reissued and a holder who became a student, each record twice, in lanes."""
    chance = Random(seed)
    now = now_ms()
    tariffs = with_students(city, tmp_path) if city == "hangzhou" else city
    town, rules = await town_of(engine, tariffs, cards=3, opening_fen=10**7)
    states = [card_state(0, version=2), card_state(7, account=2**32)]
    for state in states:
        state.category_periods.append(CategoryPeriod(category="student", resident=True, valid_from_ms=now - 20 * 24 * HOUR))
    await town.project(*states)
    journeys = {
        "hangzhou": [("four-yuan", "")],
        "beijing": [("", "km 0"), ("", "km 22")],
        "ningbo": [("metro", "Gulou"), ("12", "")],
    }
    records = []
    for sequence in range(1, 121):
        line, stop = chance.choice(journeys[city])
        side = chance.choice([RIDE_SIDE_ENTRY, RIDE_SIDE_EXIT]) if stop else 0
        at_ms = now - chance.randrange(45 * 24 * 6) * 10 * MINUTE - sequence * 1000
        card = chance.choice([0, 1, 2, 7])
        records.append(ride(card, sequence, at_ms, line, stop=stop, side=side, terminal=sequence % 2))
    chance.shuffle(records)
    batches = [records[at : at + 9] for at in range(0, len(records), 9)]
    owed: list[Owed] = []
    for group in range(0, len(batches), 3):
        owed += await asyncio.gather(*(town.post(received(batch)) for batch in batches[group : group + 3] * 2))
    told = Told.of(*owed)
    assert len(told.latest) == 120
    accepted = {sequence for sequence, outcome in told.latest.items() if not outcome.reason}
    assert len(accepted) == 120 or city == "hangzhou"
    assert sum(map(bool, told.revisions.values())) > 10
    ordered = await in_order(town, rules, [0, 1, 2, 7], [record for record in records if record.terminal_sequence in accepted])
    assert {sequence: told.charged[sequence] for sequence in accepted} == ordered
    spent = [10**7 - await town.balance(n) for n in range(3)]
    assert sum(spent) == sum(ordered.values())
    await holds_together(engine)
    fares = await check_fares(engine, rules)
    assert not fares.problem
    assert fares.rides == len(accepted)
    assert fares.adjusted == sum(map(bool, told.revisions.values()))


@pytest.mark.parametrize(
    "tampered",
    [
        "update payments.ride set rated = (select rated from payments.ride where sequence = 2) where sequence = 1",
        "update payments.ride set before = (select before from payments.ride where sequence = 1) where sequence = 2",
        "delete from payments.ride where sequence = 2",
        "delete from payments.ride where sequence = 1",
    ],
)
async def test_a_fare_that_is_not_what_the_rides_make_it_is_found(
    engine: AsyncEngine, owner: "asyncpg.Connection[Any]", tampered: str
) -> None:
    town, rules = await town_of(engine, "hangzhou")
    now = now_ms()
    rides = [ride(0, n, now - (4 - n) * 20 * MINUTE, str(n)) for n in (1, 2, 3)]
    await town.post(received(rides))
    assert not (await check_fares(engine, rules)).problem
    await owner.execute(tampered)
    assert bool((await check_fares(engine, rules)).problem) == ("sequence = 1" not in tampered or "update" in tampered)
