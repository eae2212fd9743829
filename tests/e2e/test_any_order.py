"""On the running road, too: whatever order rides come in, each costs what it costs in the order of their times.

Hypothesis draws the lives: over a month's end, with a card that was reissued and a holder who became a student in between.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from random import Random
from shutil import copytree

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onecard.card.v1.card_events_pb2 import CategoryPeriod
from services.common.database import driver_session
from services.payments.adapters.rides import read_all_rides
from tests.support.in_order import STUDENTS, in_order
from tests.support.road import OF_WORKERS, Road
from tests.support.town import FIRST_ACCOUNT, bus_ride, card_state

pytestmark = pytest.mark.timeout(300)

MINUTE_MS = 60_000
EXAMPLES = 25
"""Each is another holder of the town, and what it took is not undone: a failure is shown as it was drawn."""
NEW_CARDS = 1_000
"""From here on cards are numbered that take another's place."""


def month_end_ms() -> int:
    """The last one that is some days ago, so that rides behind it have happened, too."""
    now = datetime.now(UTC) + timedelta(hours=8)
    begins = (now - timedelta(days=3)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(begins.timestamp() * 1000) - 8 * 3_600_000


MONTH_END_MS = month_end_ms()


@dataclass(frozen=True, slots=True)
class Ride:
    """One of a holder's."""

    minutes: int
    """After the end of the month."""
    line: str
    reissued: bool
    """Whether it is of the holder's second card."""
    terminal: int


rides = st.builds(
    Ride,
    minutes=st.builds(lambda step, n: step * n, st.sampled_from([1, 5, 20, 60, 240]), st.integers(-12, 12)),
    line=st.sampled_from("AB"),
    reissued=st.booleans(),
    terminal=st.integers(0, 7),
)
lives = st.lists(rides, min_size=2, max_size=24)


async def live(road: Road, card: int, life: list[Ride], chance: Random, cuts: list[int]) -> None:
    """A holder whom nobody has met before; in the order that was drawn, some told twice."""
    first, second = card, NEW_CARDS + card
    states = [card_state(first, version=2), card_state(second, account=FIRST_ACCOUNT + first)]
    for state in states:
        state.category_periods.append(
            CategoryPeriod(category="student", resident=True, valid_from_ms=MONTH_END_MS - 90 * MINUTE_MS)
        )
    await road.town.project(*states)
    records = [
        bus_ride(
            second if ride.reissued else first,
            line=ride.line,
            terminal=ride.terminal,
            # No two of one terminal are of the same millisecond.
            at_ms=MONTH_END_MS + ride.minutes * MINUTE_MS + number,
        )
        for number, ride in enumerate(life)
    ]
    expected = await in_order(road.town, await road.rules(), [first, second], records)
    chance.shuffle(records)
    bounds = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
    for begin, end in pairwise(bounds):
        road.terminals.tap(records[begin:end])
        road.terminals.again(records[begin : begin + 1])
    await road.terminals.answered(within=60)
    async with driver_session(road.engine) as driver:
        kept = await read_all_rides(driver, [FIRST_ACCOUNT + first])
    charged = {ride.tap.sequence: ride.fare.charged_fen for history in kept.values() for ride in history}
    assert charged == expected
    assert await road.town.balance(first) == road.town.opened_fen[first] - sum(expected.values())


async def test_whatever_order_rides_come_in_they_cost_what_they_cost_in_the_order_of_their_times(
    road: Road, tmp_path: Path
) -> None:
    road.tariffs = copytree(OF_WORKERS.tariffs, tmp_path / "tariffs")
    bus = road.tariffs / "bus.toml"
    cheaper = (
        bus.read_text(encoding="utf-8").replace("begins = 6000", "begins = 600").replace("begins = 12000", "begins = 1200")
    )
    bus.write_text(cheaper.replace("[[rule]]", STUDENTS + "\n[[rule]]", 1), encoding="utf-8")
    road.worker()
    road.worker()
    here = asyncio.get_running_loop()
    cards = count()

    @settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(lives, st.randoms(use_true_random=False), st.lists(st.integers(0, 24), max_size=4))
    def example(life: list[Ride], chance: Random, cuts: list[int]) -> None:
        asyncio.run_coroutine_threadsafe(live(road, next(cards), life, chance, cuts), here).result()

    await asyncio.to_thread(example)
    await road.acknowledged()
    await road.exactly()
    fares = await road.fares()
    assert fares.rides > EXAMPLES
    assert fares.adjusted > EXAMPLES / 5
