"""A card's life on the whole platform, with so many things that go wrong; and what must hold when all of them are over."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.devices.reader import ChipError
from sdk.window.issuance import Issued
from services.common.database import driver_session
from services.issuance.adapters.entries import unsound
from services.issuance.domain.blank import BlankState
from services.issuance.domain.record import RecordState
from simulation.chips.card import Cut
from simulation.link import Link
from tests.support.issuance_city import Booth, IssuanceCity
from tests.support.waiting import until
from tests.support.worker import Stop

ISSUED: Final = (RecordState.ISSUED, BlankState.HANDED_OVER)
BYTES: Final = 24_000
"""About as many as a whole stream is, with what encrypts it."""
COMMANDS: Final = 60
"""About as many as a card takes."""

POINTS: Final = [
    Stop("record taken"),
    Stop("production begun"),
    Stop("RECORDS noted"),
    Stop("RECORDS answered"),
    Stop("RECORDS noted", 2),
    Stop("RECORDS answered", 2),
    Stop("KEY_LOAD noted"),
    Stop("KEY_LOAD answered"),
    Stop("KEY_LOAD noted", 2),
    Stop("KEY_LOAD answered", 3),
    Stop("PRINT_RELEASED written"),
    Stop("print answered"),
    Stop("PRINTED written"),
    Stop("production ended"),
    Stop("COMPLETING written"),
    Stop("issue completed"),
    Stop("ISSUED written"),
]
"""At each of them a process may end."""


class Lives:
    """One kit, and the link that it has."""

    def __init__(self, city: IssuanceCity, chance: random.Random, link_share: float = 0.6) -> None:
        """`link_share`: of the cuts; the others are the chip's alone."""
        self.city = city
        self.chance = chance
        self.link_share = link_share
        self.seen: Counter[str] = Counter()
        """How streams ended."""

    def link(self, *, breaks: bool) -> Link:
        """For one stream."""
        chance, end = self.chance, float("inf")
        return Link(
            self.city.address,
            lasts_bytes=lambda: chance.randrange(BYTES) if breaks else end,
            delay_seconds=lambda: chance.choice((0.0, 0.001, 0.01)),
            late_seconds=lambda: chance.choice((0.0, 0.0, 0.2)),
        )

    async def live(self, booth: Booth, application: int, cuts: int, seconds: float = 120) -> Issued | None:
        """Until it is issued. None: it was, and the answer was lost."""
        for _ in range(cuts):
            link_breaks = self.chance.random() < self.link_share
            if not link_breaks or self.chance.random() < 0.3:
                booth.chip.cut = Cut(self.chance.randrange(COMMANDS), self.chance.random() < 0.5)
            issued = await self.stream(booth, application, breaks=link_breaks)
            booth.chip.cut = None
            if self.is_over(issued):
                return issued
        async with asyncio.timeout(seconds):
            while not self.is_over(issued := await self.stream(booth, application, breaks=False)):
                await asyncio.sleep(0.1)
        return issued

    async def stream(self, booth: Booth, application: int, *, breaks: bool) -> Issued | None:
        """One; None: it was cut."""
        link = self.link(breaks=breaks)
        try:
            issued = await self.city.issue(booth, application, link.address)
        except OutcomeUnknownError as error:
            self.seen["INTERNAL" if "INTERNAL" in str(error) else "link cut"] += 1
            return None
        except NotAcceptedError as error:
            self.seen[error.reason] += 1
            return None
        except ChipError:
            self.seen["chip cut"] += 1
            return None
        finally:
            await asyncio.to_thread(link.close)
        self.seen[issued.refusal.reason if issued.refusal else messages.IssueOutcome.Name(issued.outcome)] += 1
        return issued

    def is_over(self, issued: Issued | None) -> bool:
        """It was made, now or before."""
        if issued is None:
            return False
        assert issued.outcome != messages.ISSUE_OUTCOME_SPOILED, issued
        return issued.done or bool(issued.refusal and issued.refusal.reason == "BLANK_HANDED_OVER")


async def all_agree(city: IssuanceCity, booths: Sequence[Booth]) -> None:
    """One number on one card, the ledger of blanks balanced, registry and chip agree, nothing printed twice."""
    await until("all are enabled", lambda: are_issued(city, booths))
    rows = await city.hall.owner.fetch(
        """select b.serial, b.card_identifier, r.card, c.id, c.social, c.application, r.application from issuance.record r
           join issuance.blank b on b.serial = r.serial join card.card c on c.card_identifier = b.card_identifier"""
    )
    assert len(rows) == len(booths)
    assert all((row[2], row[4], row[5]) == (row[3], 1, row[6]) for row in rows), "the card that was made is enabled"
    assert await city.hall.owner.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    identifiers = {row[0]: row[1] for row in rows}
    numbers: set[str] = set()
    for booth in booths:
        assert booth.chip.identifier.hex().upper() == identifiers[booth.blank.serial]
        (face,) = booth.printed
        assert face.card_number not in numbers, "a number is on one card"
        numbers.add(face.card_number)
        assert face.card_number.encode() in b"".join(booth.chip.records.values())
        checked = await city.check(booth)
        assert checked.agrees, checked  # each record, with the keys that the chip should have
    async with driver_session(city.engine) as driver:
        assert await unsound(driver) == []


async def are_issued(city: IssuanceCity, booths: Sequence[Booth]) -> bool:
    """Each of them, and nothing else was touched."""
    return await city.states() == {booth.blank.serial: ISSUED for booth in booths}
