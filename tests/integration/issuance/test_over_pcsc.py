"""Cards made by the whole platform over the operating system's service of card readers, pulled out at any command."""

import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import pytest

from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.window.devices.pcsc import PcscReader
from sdk.window.devices.reader import CardReader
from services.common.database import make_engine
from simulation.chips.vpcd import CardInVpcd
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import open_hall
from tests.support.issuance_city import Booth, IssuanceCity, open_city
from tests.support.issuance_lives import Lives, all_agree
from tests.support.pcscd import READER
from tests.support.town import Database

pytestmark = pytest.mark.pcsc
Driver: TypeAlias = "asyncpg.Connection[Any]"
CARDS: Final = int(os.environ.get("ONECARD_PCSC_CARDS", "6"))
MOST_CUTS: Final = 4


class PcscBooth(Booth):
    """Its reader is the operating system's."""

    port = 0

    @contextmanager
    def inserted(self) -> Iterator[CardReader]:
        """Put in for one stream, and pulled out behind it."""
        reader = PcscReader(READER)
        with CardInVpcd(self.chip, self.port):
            try:
                yield reader
            finally:
                reader.disconnect()


@pytest.fixture
async def city(database: Database, owner: Driver, tmp_path: Path) -> AsyncIterator[IssuanceCity]:
    engine = make_engine(database.card_url, "tests", sessions=16)
    async with (
        open_hall(Registry(engine, make_vault(tmp_path)), owner, tmp_path) as hall,
        open_city(database, hall, tmp_path) as opened,
    ):
        await opened.start().serves()
        yield opened
    await engine.dispose()


async def booth_of(city: IssuanceCity, code: str, port: int) -> PcscBooth:
    (made,) = await city.booths(1, code)
    booth = PcscBooth(made.blank)
    booth.port = port
    return booth


@pytest.mark.parametrize("code", ["ssc3", "ssc2"])
async def test_a_whole_card_is_made_in_a_reader_of_the_operating_system(city: IssuanceCity, vpcd_port: int, code: str) -> None:
    booth = await booth_of(city, code, vpcd_port)
    issued = await city.issue(booth, await city.apply(1))
    assert (issued.outcome, issued.refusal) == (messages.ISSUE_OUTCOME_ISSUED, None)
    assert booth.chip.commands >= 20
    await all_agree(city, [booth])


async def test_cards_that_are_pulled_out_at_any_command_are_finished(
    city: IssuanceCity, vpcd_port: int, progress: Callable[[str], None]
) -> None:
    lives, booths = Lives(city, random.Random(25), link_share=0), []
    for number in range(1, CARDS + 1):
        booth = await booth_of(city, lives.chance.choice(("ssc2", "ssc3")), vpcd_port)
        booths.append(booth)
        try:
            await lives.live(booth, await city.apply(number), lives.chance.randint(1, MOST_CUTS))
        except BaseException as error:
            raise AssertionError(f"card {number}: {lives.seen}") from error
    await all_agree(city, booths)
    progress(f"{CARDS} cards over PC/SC, each issued once; streams: {dict(lives.seen.most_common())}")
    assert lives.seen["CARD_GONE"]
