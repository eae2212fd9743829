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
from tests.support.blanks import KIT
from tests.support.issuance_city import Booth, IssuanceCity, PowerGoneError
from tests.support.waiting import until
from tests.support.worker import Stop

ISSUED: Final = (RecordState.ISSUED, BlankState.HANDED_OVER)
SPOILED: Final = (RecordState.SPOILED, BlankState.SPOILED)
BYTES: Final = 24_000
"""About as many as a whole stream is, with what encrypts it."""
COMMANDS: Final = 60
"""About as many as a card takes."""
PRINT_SHARE: Final = 0.15
"""Of the cuts: the terminal goes dark when it comes to print."""

POINTS: Final = [
    Stop("record taken"),
    Stop("production begun"),
    Stop("TOUCHED written"),
    Stop("RECORDS noted"),
    Stop("RECORDS answered"),
    Stop("RECORDS noted", 2),
    Stop("RECORDS answered", 2),
    Stop("KEY_LOAD noted"),
    Stop("ATTEMPT noted"),
    Stop("ATTEMPT answered"),
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
ASTRAY: Final = [
    Stop("VERIFIED written"),
    Stop("SPOILING written"),
    Stop("SPOILED written"),
    Stop("RELEASED written"),
    Stop("WITHDRAWING written"),
]
"""Where nothing goes wrong, none of them is come to."""


class Lives:
    """Terminals, and the link that they have."""

    def __init__(
        self, city: IssuanceCity, chance: random.Random, link_share: float = 0.6, elsewhere: Sequence[str] = ()
    ) -> None:
        """`link_share`: of the cuts; the others are the chip's alone. `elsewhere`: where a card is inserted now and then."""
        self.city = city
        self.chance = chance
        self.link_share = link_share
        self.elsewhere = elsewhere
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
        home = booth.subject
        for _ in range(cuts):
            booth.subject = self.chance.choice((home, home, *self.elsewhere))
            breaks = self.trouble(booth)
            issued = await self.stream(booth, application, breaks=breaks)
            booth.chip.cut, booth.slot.dark, booth.print_cut = None, False, ""
            if self.is_over(booth, issued):
                return issued
        booth.subject = home
        async with asyncio.timeout(seconds):
            while not self.is_over(booth, issued := await self.stream(booth, application, breaks=False)):
                await asyncio.sleep(0.1)
        return issued

    def trouble(self, booth: Booth) -> bool:
        """What goes wrong in the next stream; answers whether its link breaks by itself."""
        chance = self.chance
        if chance.random() < PRINT_SHARE:
            booth.print_cut = chance.choice(("before", "behind", *(("during",) if booth.spares else ())))
            return False
        link_breaks = chance.random() < self.link_share
        if not link_breaks or chance.random() < 0.3:
            booth.chip.cut, booth.slot.dark = Cut(chance.randrange(COMMANDS), chance.random() < 0.5), chance.random() < 0.5
        return link_breaks

    async def stream(self, booth: Booth, application: int, *, breaks: bool) -> Issued | None:
        """One; None: it was cut. A kit has a link in front of it always, a window one that breaks."""
        link = self.link(breaks=breaks) if breaks or booth.subject == KIT else None
        printed = len(booth.printed)
        try:
            issued = await self.city.issue(booth, application, link.address if link else "")
        except PowerGoneError:
            self.seen["cut while printing" if len(booth.printed) > printed else "power cut"] += 1
            return None
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
            if link:
                await asyncio.to_thread(link.close)
        self.seen[issued.refusal.reason if issued.refusal else messages.IssueOutcome.Name(issued.outcome)] += 1
        return issued

    def is_over(self, booth: Booth, issued: Issued | None) -> bool:
        """It was made, now or before. What was spoiled is followed by another blank."""
        if issued is None:
            return False
        reason = issued.refusal.reason if issued.refusal else ""
        if issued.outcome == messages.ISSUE_OUTCOME_SPOILED or reason == "BLANK_SPOILED":
            booth.next_blank()
            return False
        return issued.done or reason == "BLANK_HANDED_OVER"


async def all_agree(city: IssuanceCity, booths: Sequence[Booth], readers: int = 1) -> None:
    """One number on one card, the ledger of blanks balanced, registry and chip agree, nothing printed twice."""
    await until("all are enabled", lambda: are_issued(city, booths))
    rows = await city.hall.owner.fetch(
        """select b.serial, b.card_identifier, r.card, c.id, c.social, c.application, r.application from issuance.record r
           join issuance.blank b on b.serial = r.serial join card.card c on c.card_identifier = b.card_identifier
           where r.state = $1""",
        RecordState.ISSUED,
    )
    assert len(rows) == len(booths)
    assert all((row[2], row[4], row[5]) == (row[3], 1, row[6]) for row in rows), "the card that was made is enabled"
    assert await city.hall.owner.fetchval("select count(*) from card.card where social = 1") == len(booths), "and no other one"
    assert await city.hall.owner.fetchval("select count(*) from issuance.owed where done_time is null") == 0
    identifiers = {row[0]: row[1] for row in rows}
    numbers = [face.card_number for booth in booths for faces in (*booth.spoiled.values(), booth.printed) for face in faces]
    assert len(numbers) == len(set(numbers)), "a number is on one card"
    free = asyncio.Semaphore(readers)

    async def one_agrees(booth: Booth) -> None:
        async with free:
            await agrees(city, booth, identifiers[booth.blank.serial])

    await asyncio.gather(*map(one_agrees, booths))
    async with driver_session(city.engine) as driver:
        assert await unsound(driver) == []


async def agrees(city: IssuanceCity, booth: Booth, identifier: str) -> None:
    """The chip is the one of the registry, with each record and the keys that it should have."""
    assert booth.chip.identifier.hex().upper() == identifier
    (face,) = booth.printed
    assert face.card_number.encode() in b"".join(booth.chip.records.values())
    checked = await check_whatever_happens(city, booth)
    assert checked.agrees, checked


async def check_whatever_happens(city: IssuanceCity, booth: Booth) -> messages.Checked:
    """A process may die at its point now, too; the card is put in again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await city.check(booth)
            except OutcomeUnknownError:
                await asyncio.sleep(0.5)


async def are_issued(city: IssuanceCity, booths: Sequence[Booth]) -> bool:
    """Each of them, or what it had before was spoiled, and nothing else was touched."""
    issued = {booth.blank.serial: ISSUED for booth in booths}
    return await city.states() == issued | {serial: SPOILED for booth in booths for serial in booth.spoiled}
