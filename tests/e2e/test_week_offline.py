"""A week without a network: what a terminal kept meanwhile arrives once, comes back, and is charged as if heard in time."""

import random
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TypedDict

import pytest

from cli import paths
from cli.servers.child import Child
from sdk.merchant.access import Access
from sdk.merchant.client import MerchantClient
from sdk.merchant.spool import Kept, Spool
from sdk.merchant.told import SpoolReader
from sdk.merchant.transaction import BusRide, CampusPurchase, ScenicEntry, SignedRecord, Tap
from tests.e2e.test_day import takings_of_the_ledger, takings_that_were_told
from tests.support.road import Road
from tests.support.town import BUS, CAMPUS, SCENIC, bus_ride, card_identifier, card_state, entry, now_ms, purchase
from tests.support.waiting import until
from tests.support.worker import Stop

pytestmark = pytest.mark.timeout(300)

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
DAYS = 7
RIDERS = 40
OFFLINE = 7
"""The number of the terminal at each merchant that has no network; the others are online."""
NOBODY = "127.0.0.1:1"


class Whose(TypedDict):
    """The part of a tap that is the rider's."""

    card_identifier: str
    event_time_ms: int


def a_week(chance: random.Random, end_ms: int) -> tuple[list[SignedRecord], list[Tap]]:
    """What is told as it happens, and what the offline terminals keep; both in the order of their times.

    Each day each rider goes out once: rides on two or three lines within the time of a transfer, a meal, perhaps a park.
    """
    online: list[tuple[int, SignedRecord]] = []
    kept: list[Tap] = []
    for day in range(DAYS):
        for card in range(RIDERS):
            at_ms = end_ms - (DAYS - day) * DAY_MS + chance.randrange(10 * 60) * MINUTE_MS
            for what in ["ride", "ride", chance.choice(["ride", "meal", "entry"])]:
                at_ms += chance.randint(5, 30) * MINUTE_MS
                if chance.random() < 0.5:
                    kept.append(_kept(chance, what, card, at_ms))
                else:
                    online.append((at_ms, _online(chance, what, card, at_ms)))
    return [record for _, record in sorted(online, key=lambda one: one[0])], sorted(kept, key=lambda tap: tap.event_time_ms)


def _online(chance: random.Random, what: str, card: int, at_ms: int) -> SignedRecord:
    terminal = chance.randrange(OFFLINE)
    match what:
        case "ride":
            return bus_ride(card, line=chance.choice("ABC"), terminal=terminal, at_ms=at_ms)
        case "meal":
            return purchase(card, chance.randint(100, 900), terminal=terminal, at_ms=at_ms)
        case _:
            return entry(card, terminal=terminal, at_ms=at_ms)


def _kept(chance: random.Random, what: str, card: int, at_ms: int) -> Tap:
    whose = Whose(card_identifier=card_identifier(card), event_time_ms=at_ms)
    match what:
        case "ride":
            line = chance.choice("ABC")
            return BusRide(merchant_id=BUS, terminal_id=f"{BUS}-T{OFFLINE}", line_id=line, stop_id="S1", **whose)
        case "meal":
            price_fen = chance.randint(100, 900)
            terminal = f"{CAMPUS}-T{OFFLINE}"
            return CampusPurchase(merchant_id=CAMPUS, terminal_id=terminal, outlet_id="O1", price_fen=price_fen, **whose)
        case _:
            return ScenicEntry(merchant_id=SCENIC, terminal_id=f"{SCENIC}-T{OFFLINE}", gate_id="G1", **whose)


async def test_a_week_offline_arrives_once_and_is_rated_as_if_it_had_been_heard_in_time(road: Road) -> None:
    chance = random.Random(11)
    await road.town.project(*(card_state(n, version=2, category="student") for n in range(0, RIDERS, 3)))
    online, kept = a_week(chance, now_ms() - MINUTE_MS)
    path = road.terminals.spools / "offline.spool"
    keep_offline(road, path, kept)
    worker = road.worker()
    half = len(online) // 2
    road.terminals.tap(online[:half])
    await road.terminals.answered()
    worker.child.signal(SIGTERM)
    await worker.died()
    worker.start(Stop("written", arrival=2))

    program = Program(road, path)
    program.start("die")  # the week begins to arrive
    road.terminals.tap(online[half:])
    assert await worker.died() == -SIGKILL
    worker.start()
    await until("the program has killed itself", lambda: not program.child.alive)
    assert program.child.exit_code == -SIGKILL
    answered, waiting = told(path)
    assert answered
    assert answered + waiting == len(kept)
    program.start()

    await until("the week has arrived", lambda: told(path) == (len(kept), 0))
    await road.terminals.answered()
    await road.acknowledged()
    await until("the last adjustment came back", partial(every_adjustment_came_back, road))
    program.child.kill()
    report = await road.exactly()
    assert (report.emitted, report.answered) == (len(online) + len(kept), len(online) + len(kept))
    assert report.aside == {}
    fares = await road.fares()
    assert fares.rides > len(online)
    assert fares.adjusted > 20
    assert await takings_of_the_ledger(road) == takings_that_were_told(road)


@dataclass(slots=True)
class Program:
    """What holds the offline terminals' spool; it can be started again."""

    road: Road
    path: Path
    child: Child = field(init=False)

    def start(self, *how: str) -> None:
        terminals = self.road.terminals
        command = [sys.executable, "-m", "tests.support.week_offline", terminals.bootstrap, terminals.access.address]
        self.child = Child("offline", self.road.folder, [*command, self.path, *how], cwd=paths.ROOT)
        self.child.start()


def keep_offline(road: Road, path: Path, taps: Sequence[Tap]) -> None:
    """By a program that has keys from before, is switched off each night, and finds nobody who would take a tap."""
    with Spool(path) as spool:
        missing = MerchantClient(NOBODY, spool, road.terminals.access).keys.fetch(
            (tap.merchant_id, tap.terminal_id) for tap in taps
        )
        assert not missing
    for _, day in groupby(taps, lambda tap: tap.event_time_ms // DAY_MS):
        with Spool(path) as spool:
            client = MerchantClient(NOBODY, spool, Access(NOBODY))
            assert set(client.submit(list(day))) == {Kept.NEW}
    assert told(path) == (0, len(taps))


def told(path: Path) -> tuple[int, int]:
    """How many transactions of a spool are answered, and how many wait."""
    tallies = SpoolReader(path).tallies()
    return sum(t.transactions for t in tallies if t.verdict), sum(t.transactions for t in tallies if not t.verdict)


async def every_adjustment_came_back(road: Road) -> bool:
    """Each adjustment raises the revision of one tap by one."""
    revisions = 0
    for path in road.terminals.spools.glob("*.spool"):
        with closing(sqlite3.connect(path)) as spool:
            revisions += spool.execute("select coalesce(sum(revision), 0) from answered").fetchone()[0]
    return revisions == await road.count("operation where kind = 10")
