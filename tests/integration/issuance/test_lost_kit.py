"""A kit is lost: from the card service's word until its blanks are barred, over the road that the service takes."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.card.v1 import terminals_pb2 as terminals
from services.common.database import make_engine
from services.common.grpc.listen import Tls
from services.common.housekeeping import Duty, Housekeeping
from services.issuance.adapters.blanks import find_blanks
from services.issuance.adapters.card_service import CardDesk
from services.issuance.handlers.watch_blanks import BarLostBlanks
from tests.support.blanks import KIT, WINDOW, add_blanks
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import open_hall
from tests.support.town import Database
from tests.support.waiting import until

Driver: TypeAlias = "asyncpg.Connection[Any]"
SECURITY = 7
BARRED = "onecard_issuance_barred_after_seconds"


async def test_a_kit_that_is_revoked_has_its_blanks_barred_and_a_window_keeps_its_own(
    database: Database, issuance_engine: AsyncEngine, driver: Driver, owner: Driver, tmp_path: Path
) -> None:
    at_kit, at_window = await add_blanks(driver, 3, KIT), await add_blanks(driver, 2, WINDOW)
    await owner.execute(
        """insert into card.terminal (subject, kind, outlet, state, request, key_digest, certificate, serial, not_after)
           values ($1, 3, 'HALL', 2, '', 'key', 'certificate', '1f', now() + interval '1 day')""",
        KIT,
    )
    before = REGISTRY.get_sample_value(f"{BARRED}_count") or 0.0
    card_engine = make_engine(database.card_url, "tests", sessions=4)
    elected = make_engine(database.issuance_url, "elected", sessions=2)
    async with open_hall(Registry(card_engine, make_vault(tmp_path)), owner, tmp_path) as hall:
        ours = hall.authority.issue("onecard://service/issuance")
        card = CardDesk(f"localhost:{hall.port}", Tls(ours.certificate, ours.key, hall.authority.certificate))

        async def lost() -> Mapping[str, int]:
            return (await card.revoked()).terminals

        duty = Duty(0.2, BarLostBlanks(issuance_engine, lost))
        running = asyncio.create_task(Housekeeping(elected, "issuance.test", [[duty]]).run())
        administrator = await hall.window(SECURITY)
        revoked = terminals.RevokeTerminalRequest(request_id="v1", reason="lost", subject=KIT)
        assert (await administrator.ask("RevokeTerminal", revoked)).serials == ["1f"]

        async def barred() -> bool:
            measured = REGISTRY.get_sample_value(f"{BARRED}_count") or 0.0
            return all(blank.barred for blank in await find_blanks(driver, at_kit)) and measured == before + 3

        await until("the kit's blanks are barred, and that is measured", barred)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await card.close()
    await elected.dispose()
    await card_engine.dispose()
    assert not any(blank.barred for blank in await find_blanks(driver, at_window))
