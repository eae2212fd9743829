"""Mobile kits: a link that breaks anywhere loses no card and doubles none; a kit that is lost can do nothing within seconds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import grpc
import pytest

from cli.authority import read
from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.blanks_pb2 import ListBlanksRequest
from onecard.issuance.v1.blanks_pb2_grpc import BlankServiceStub
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceStub
from sdk.merchant.access import Credentials, open_line
from sdk.window.administration import Administration
from services.common.database import driver_session, make_engine
from services.issuance.adapters.blanks import find_blank, find_blanks
from services.issuance.adapters.products import read_products
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.effects import Past, VaultRefused
from services.issuance.domain.record import Record, RecordState, Taken
from services.issuance.domain.stage import Stage
from services.issuance.vault.client import ChipLease, ChipVault, VaultClient
from simulation.chips.card import Cut
from tests.support.blanks import KIT
from tests.support.cardholders import Registry, make_vault
from tests.support.edge import reason_of
from tests.support.hall import WINDOW as TERMINAL
from tests.support.hall import Window, open_hall
from tests.support.issuance_city import Booth, IssuanceCity, open_city
from tests.support.town import Database

Driver: TypeAlias = "asyncpg.Connection[Any]"
SECURITY: Final = 7
LOST_SECONDS: Final = 10.0
"""After which a lost kit can do nothing."""


@pytest.fixture
async def city(database: Database, owner: Driver, tmp_path: Path) -> AsyncIterator[IssuanceCity]:
    engine = make_engine(database.card_url, "tests", sessions=16)
    async with (
        open_hall(Registry(engine, make_vault(tmp_path)), owner, tmp_path) as hall,
        open_city(database, hall, tmp_path) as opened,
    ):
        await opened.sign_in(KIT)
        yield opened
    await engine.dispose()


async def enrolled(city: IssuanceCity, owner: Driver) -> None:
    """The kit has its certificate."""
    serial = read(city.hall.authority.issue(KIT).certificate).serial
    await owner.execute(
        """insert into card.terminal (subject, kind, outlet, state, request, key_digest, certificate, serial, not_after)
           values ($1, 3, '440703-01', 2, '', 'key', 'certificate', $2, now() + interval '1 day')""",
        KIT,
        serial,
    )


async def begun_at(city: IssuanceCity, booth: Booth, application: int) -> Taken:
    """A card whose stream ended in the middle, as the service would take it up again."""
    booth.chip.cut = Cut(14, executed=False)
    assert (await city.issue(booth, application)).outcome == messages.ISSUE_OUTCOME_TRY_AGAIN
    async with driver_session(city.engine) as driver:
        blank = await find_blank(driver, booth.blank.serial)
        assert blank
        row = await driver.fetchrow("select epoch, state, staff, shift from issuance.record where id = $1", blank.record)
    assert row
    record = Record(blank.record, row[0], RecordState(row[1]), application, blank.serial, Stage.BLANK_RESERVED)
    return Taken(record, blank, Past(), Actor(row[2], frozenset({Role.CLERK}), row[3], KIT, "440703-01", 2**60))


async def test_a_lost_kit_can_do_nothing_after_ten_seconds(
    city: IssuanceCity, owner: Driver, progress: Callable[[str], None]
) -> None:
    await city.start().serves()
    await enrolled(city, owner)
    waiting, begun = await city.booths(2, at=KIT)
    taken = await begun_at(city, begun, await city.apply(1))
    keys = VaultClient(city.keys.socket, patience=60)
    vault, product = ChipVault(keys), next(one for one in read_products() if one.code == "ssc3")
    lease = await vault.open(taken, product)
    assert isinstance(lease, ChipLease)
    kit = Window(int(city.address.rpartition(":")[2]), city.hall.authority, KIT, city.tokens[KIT])
    stream = IssuanceServiceStub(kit.channel).Personalise(metadata=kit.metadata, timeout=60)
    begin = messages.BeginPersonalising(application_id=await city.apply(2), atr=waiting.chip.atr, printer_ready=True)
    await stream.write(messages.PersonaliseRequest(begin=begin))
    assert (await stream.read()).WhichOneof("what") == "commands"
    await BlankServiceStub(kit.channel).ListBlanks(ListBlanksRequest(), metadata=kit.metadata)

    async def stream_ends() -> str:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stream.read()
        return reason_of(error.value)

    async def next_call_is_refused() -> str:
        while True:
            try:
                await BlankServiceStub(kit.channel).ListBlanks(ListBlanksRequest(), metadata=kit.metadata)
            except grpc.aio.AioRpcError as error:
                return reason_of(error)
            await asyncio.sleep(0.05)

    async def blanks_are_barred() -> str:
        while not isinstance(opened := await vault.open(taken, product), VaultRefused):
            await opened.close()
            await asyncio.sleep(0.05)
        return "a lease is refused"

    token = await city.hall.sign_in(SECURITY)
    issued = city.hall.authority.issue(TERMINAL)
    credentials = Credentials(issued.certificate, issued.key, city.hall.authority.certificate)
    line = open_line(f"localhost:{city.hall.port}", TERMINAL, credentials)
    began = time.monotonic()
    with Administration(line, token=token) as administration:
        await asyncio.to_thread(administration.revoke_terminal, "lost", subject=KIT)

    async def timed(work: Coroutine[Any, Any, str]) -> tuple[str, float]:
        async with asyncio.timeout(6 * LOST_SECONDS):
            return await work, time.monotonic() - began

    ended, refused, barred = await asyncio.gather(
        timed(stream_ends()), timed(next_call_is_refused()), timed(blanks_are_barred())
    )
    progress(f"a lost kit: its stream ended {ended}, its next call was refused {refused}, its blanks were barred {barred}")
    assert ended[0] == "CERTIFICATE_REVOKED"
    assert refused[0] in ("CERTIFICATE_REVOKED", "SIGN_IN_NEEDED", "SHIFT_ENDED")
    assert max(ended[1], refused[1], barred[1]) < LOST_SECONDS
    async with driver_session(city.engine) as driver:
        assert all(blank.barred for blank in await find_blanks(driver, [waiting.blank.serial, begun.blank.serial]))
    await lease.close()
    await keys.close()
    await kit.channel.close()
