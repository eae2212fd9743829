"""An RPC that selects one row by its key, behind the same edge and with the same sessions as the card service has."""

import os
from collections.abc import Set
from typing import Any, Final

import grpc
import uvloop

from onecard.card.v1.window_pb2 import GetHolderViewRequest, GetHolderViewResponse, HolderView
from services.common.database import driver_session, make_engine
from services.common.garbage import collect_garbage_seldom
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal

_SESSIONS: Final = 10
_SELECT: Final = "select id, category, resident from card.holder where id = $1"


async def _work(url: str, listen: Listen) -> None:
    engine = make_engine(url, "one-row", sessions=_SESSIONS, looked_at=True)

    async def nobody() -> Set[str]:
        return frozenset()

    async def select(request: GetHolderViewRequest, context: Any) -> GetHolderViewResponse:
        async with driver_session(engine) as driver:
            row = await driver.fetchrow(_SELECT, request.holder_id)
        assert row is not None, "holders who are asked for are there"
        return GetHolderViewResponse(holder=HolderView(holder_id=row[0], category=row[1], resident=row[2]))

    server = make_server(listen, RevocationList(nobody))
    handler = grpc.unary_unary_rpc_method_handler(
        select, GetHolderViewRequest.FromString, GetHolderViewResponse.SerializeToString
    )  # fmt: skip
    server.add_registered_method_handlers("bench.Bench", {"OneRow": handler})
    collect_garbage_seldom()
    await serve_until_signal(server)
    await engine.dispose()


if __name__ == "__main__":
    uvloop.run(_work(os.environ["ONECARD_DATABASE_URL"], Listen.from_environment()))
