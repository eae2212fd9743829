"""Cards made by the whole platform: real processes of issuance and of the vault, a real card service, chips and a window."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import issuance_pb2 as messages
from services.common.database import make_engine
from services.issuance.domain.blank import BlankState
from services.issuance.domain.effects import ChangeKind
from services.issuance.domain.record import RecordState
from simulation.link import Link
from tests.support.api import SERVING
from tests.support.blanks import KIT, OTHER, WINDOW
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import open_hall
from tests.support.issuance_city import Booth, IssuanceCity, open_city
from tests.support.issuance_lives import ASTRAY, ISSUED, POINTS, Lives, all_agree
from tests.support.town import Database
from tests.support.waiting import until
from tests.support.worker import Stop

LIVES: Final = int(os.environ.get("ONECARD_WHOLE_LIVES", "200"))
MOST_CUTS: Final = 8
AT_ONCE: Final = 5
PLACES: Final = (WINDOW, OTHER, KIT)
UNKNOWN: Final = 999_999
"""No application."""
BEFORE_WRITING: Final = 5
"""The command behind those that ask the chip who it is: nothing is written yet."""


class AwayBooth(Booth):
    """While its holder takes the card, the card service goes away."""

    link: Link
    away = False

    def hand_over(self, card_id: int, *, old_card_wanted: bool) -> messages.HandedOver:
        self.away = True
        self.link.cut()
        return Booth.hand_over(self, card_id, old_card_wanted=old_card_wanted)


@pytest.fixture
async def city(database: Database, owner: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path) -> AsyncIterator[IssuanceCity]:
    engine: AsyncEngine = make_engine(database.card_url, "tests", sessions=16)
    registry = Registry(engine, make_vault(tmp_path))
    async with open_hall(registry, owner, tmp_path) as hall, open_city(database, hall, tmp_path) as opened:
        yield opened
    await engine.dispose()


async def test_lives_with_many_cuts_end_in_one_card_each(city: IssuanceCity, progress: Callable[[str], None]) -> None:
    """At two windows and a kit: terminals go dark, cards are pulled out and put in elsewhere, links break in the middle of
    messages and are heard of late, printers stop half way, and a process is killed again and again."""
    for subject in (OTHER, KIT):
        await city.sign_in(subject)
    chance, numbers, seen = random.Random(6), count(1), Counter[str]()
    kills = [Stop(chance.choice(POINTS).point, chance.randint(1, 3)) for _ in range(LIVES)]
    booths: list[Booth] = []
    for process in (city.start(*kills), city.start()):
        await process.serves()

    async def live() -> None:
        while (number := next(numbers)) <= LIVES:
            lives = Lives(city, random.Random(number), elsewhere=PLACES)
            code, home = lives.chance.choice(("ssc2", "ssc3")), lives.chance.choice(PLACES)
            booth, spare = await city.booths(2, code, home)
            booth.spares.append(spare.blank)
            booths.append(booth)
            try:
                await lives.live(booth, await city.apply(number), lives.chance.randint(1, MOST_CUTS))
            except BaseException as error:
                raise AssertionError(f"life {number}: {lives.seen}") from error
            seen.update(lives.seen)
            if number % 100 == 0:
                progress(f"{number} of {LIVES} lives on the whole platform")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(live())
    await all_agree(city, booths, AT_ONCE)
    killed = city.processes[0].log.count("a life ended")
    progress(f"{LIVES} lives, each ended in one card; {killed} processes killed; streams: {dict(seen.most_common())}")
    wanted = {"link cut", "power cut", "CARD_GONE", "cut while printing", "BLANK_ELSEWHERE", "PRINT_SPOILED"}
    assert wanted <= seen.keys() or LIVES < 50
    assert killed
    assert not seen["INTERNAL"]
    assert not [process.name for process in city.processes if "call_failed" in process.log]


async def agree(city: IssuanceCity) -> None:
    """One number on one card, the ledger of blanks balanced, registry and chip agree."""
    issued = {serial for serial, state in (await city.states()).items() if state == ISSUED}
    rows = await city.hall.owner.fetch(
        """select b.serial, b.card_identifier, r.card, c.id, c.social from issuance.record r
           join issuance.blank b on b.serial = r.serial join card.card c on c.card_identifier = b.card_identifier
           where r.state = 10"""
    )
    assert {row[0] for row in rows} == issued
    assert all(row[2] == row[3] and row[4] == 1 for row in rows), "the card that was made is the one that is enabled"
    assert await city.hall.owner.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    assert (
        await city.hall.owner.fetchval(
            "select count(*) from issuance.record where state = 10 group by application having count(*) > 1"
        )
        is None
    )


@pytest.mark.parametrize("code", ["ssc3", "ssc2"])
async def test_a_blank_becomes_an_enabled_card(city: IssuanceCity, code: str) -> None:
    await city.start().serves()
    (booth,) = await city.booths(1, code)
    issued = await city.issue(booth, await city.apply(1))
    assert (issued.outcome, issued.refusal) == (messages.ISSUE_OUTCOME_ISSUED, None)
    assert await city.states() == {booth.blank.serial: ISSUED}
    assert len(booth.printed) == 1
    assert booth.printed[0].card_number.encode() in b"".join(booth.chip.records.values())
    account = await city.hall.owner.fetchval("select count(*) from card.card where bank_account is not null")
    assert account == 1, "the account that came with the blank is the card's"
    assert await city.hall.owner.fetchval("select count(*) from issuance.blank_account") == 0
    await agree(city)


async def test_a_process_that_is_killed_at_any_point_is_followed_by_another_one(city: IssuanceCity) -> None:
    booths = await city.booths(len(POINTS))
    process, made = city.start(*POINTS), 0
    for number, booth in enumerate(booths, 1):
        issued = await city.issue_whatever_happens(booth, await city.apply(number))
        done = issued.outcome == messages.ISSUE_OUTCOME_ISSUED
        assert done or (issued.refusal and issued.refusal.reason == "BLANK_HANDED_OVER"), issued
        assert len(booth.printed) == 1
        made = number
        if process.log.count("a life ended") == len(POINTS):
            break
    assert process.log.count("a life ended") == len(POINTS)
    await until("all are issued", lambda: all_issued(city, made))
    await agree(city)


async def test_a_process_that_is_killed_while_a_card_goes_astray_is_followed_by_another_one(city: IssuanceCity) -> None:
    process = city.start(*ASTRAY)
    await process.serves()
    lives, made = Lives(city, random.Random(1)), dict[int, Booth]()
    for number, stop in enumerate(ASTRAY, 1):
        booth, spare = await city.booths(2)
        booth.spares.append(spare.blank)
        made[application := await city.apply(number)] = booth
        match stop.point:
            case "VERIFIED written":
                booth.print_cut = "refused"
            case "SPOILING written" | "SPOILED written":
                booth.print_cut = "during"
            case "WITHDRAWING written":
                booth.slot.stops_at = BEFORE_WRITING
        asks_for = UNKNOWN if stop.point == "RELEASED written" else application
        while process.log.count("a life ended") < number:
            assert await lives.stream(booth, asks_for, breaks=False) is None, stop
        await until("another one serves", lambda: process.log.count(SERVING) == number + 1)  # noqa: B023 - before the next
    await asyncio.gather(*(lives.live(booth, application, 0) for application, booth in made.items()))
    await all_agree(city, list(made.values()))


async def test_a_process_that_is_killed_while_the_card_service_is_away_leaves_nothing_owed(city: IssuanceCity) -> None:
    """The holder has the card in hand, and it is enabled by whoever comes behind."""
    booth = AwayBooth((await city.booths(1))[0].blank)
    booth.link = Link(f"localhost:{city.hall.port}", lasts_bytes=lambda: 0 if booth.away else float("inf"))
    process = city.start(Stop("WAITING written"), ONECARD_CARD=f"localhost:{booth.link.address.rpartition(':')[2]}")
    await process.serves()
    assert await Lives(city, random.Random(1)).stream(booth, await city.apply(1), breaks=False) is None
    assert await city.states() == {booth.blank.serial: (RecordState.WAITING, BlankState.HANDED_OVER)}
    booth.away = False
    await until("another one serves", lambda: process.log.count(SERVING) == 2)
    await all_agree(city, [booth])
    await asyncio.to_thread(booth.link.close)


def test_a_process_is_killed_at_everything_that_the_journal_of_a_making_can_hold() -> None:
    killed_at = {stop.point for stop in (*POINTS, *ASTRAY, Stop("WAITING written"))}
    changes = {f"{kind} {what}" for kind in ChangeKind for what in ("noted", "answered") if kind is not ChangeKind.PIN_RELOAD}
    states = {f"{state.name} written" for state in RecordState if state is not RecordState.RESERVED}  # that is the taking
    assert {"record taken"} | changes | states <= killed_at


async def all_issued(city: IssuanceCity, size: int) -> bool:
    found = await city.states()
    return len(found) == size and set(found.values()) == {ISSUED}


async def test_an_applicant_who_leaves_is_handed_the_card_another_day(city: IssuanceCity) -> None:
    await city.start().serves()
    (booth,) = await city.booths(1)
    application = await city.apply(1)
    booth.leaves = True
    assert (await city.issue(booth, application)).outcome == messages.ISSUE_OUTCOME_LYING
    assert await city.states() == {booth.blank.serial: (RecordState.PRINTED, BlankState.PRINTED)}
    booth.leaves = False
    assert (await city.issue(booth, 0)).outcome == messages.ISSUE_OUTCOME_ISSUED
    assert len(booth.printed) == 1
    await agree(city)
