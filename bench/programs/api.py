"""The API process as it is measured: the product's own parts, and an empty call beside them behind the same edge.

A load is one and the same request again and again, so each arrival gets a request id and a card of its own here.
"""

import asyncio
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import grpc
import msgspec
import typer
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.plan import ONE_BY_ONE_LANES
from bench.programs.posting import config, make_ledger
from bench.taps import cards
from onecard.payments.v1.payments_pb2 import AuthorizeRequest, AuthorizeResponse
from onecard.payments.v1.payments_pb2_grpc import add_PaymentsServiceServicer_to_server
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.common.grpc.listen import Listen
from services.common.grpc.metrics import CALLS
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.payments.adapters.callers import Callers
from services.payments.adapters.directory import Directory
from services.payments.adapters.electronic_tokens import ElectronicTokens
from services.payments.adapters.freshness import ProjectionFreshness
from services.payments.adapters.rate_limits import Allowance, Allowances, RateLimits
from services.payments.adapters.registry import Registry
from services.payments.api.desk import Desk
from services.payments.api.payments import PaymentsService
from services.payments.batcher import Batcher
from services.payments.config import Config
from services.payments.handlers.find_token import FindToken
from services.payments.handlers.operate import Operate

UNLIMITED = Allowances(Allowance(10**9, 10**9), Allowance(10**9, 10**9))
_OK = 0


class Served(msgspec.Struct, frozen=True):
    """Calls that ended well, as the process itself has counted them."""

    authorised: int
    empty: int


class FreshPayments(PaymentsService):
    """Makes a payment of its own of every arrival."""

    def __init__(self, desk: Desk, engine: AsyncEngine, config: Config, first: int) -> None:
        find_token = FindToken(engine, ElectronicTokens(""))
        super().__init__(desk, engine, Directory(engine), config.hold_seconds, find_token)
        self._numbers = count(first)
        self._cards = list(cards())

    async def Authorize(self, request: AuthorizeRequest, context: Any) -> AuthorizeResponse:  # noqa: N802
        number = next(self._numbers)
        request.request_id = str(number)
        request.card_identifier = self._cards[number * 7919 % len(self._cards)]
        return await super().Authorize(request, context)


async def _empty(request: AuthorizeRequest, context: Any) -> AuthorizeResponse:
    return AuthorizeResponse()


async def _work(listen: Listen, one_by_one: bool, first: int) -> Served:
    settings = config()
    engine = make_engine(settings.database_url, "bench-api", sessions=ONE_BY_ONE_LANES + 4)
    operate = Operate(await make_ledger(settings, engine, alone=not one_by_one))
    batcher = Batcher(operate, lanes=ONE_BY_ONE_LANES, limit=1) if one_by_one else Batcher(operate)
    callers = Callers(engine, Registry(engine))
    await callers.refresh()
    freshness = ProjectionFreshness(engine, float("inf"))
    unlimited = RateLimits(None, UNLIMITED)
    payments = FreshPayments(Desk(callers, batcher, unlimited, freshness), engine, settings, first)

    async def nobody() -> frozenset[str]:
        return frozenset()

    server = make_server(listen, RevocationList(nobody))
    add_PaymentsServiceServicer_to_server(payments, server)
    empty = grpc.unary_unary_rpc_method_handler(_empty, AuthorizeRequest.FromString, AuthorizeResponse.SerializeToString)
    server.add_registered_method_handlers("bench.Bench", {"Empty": empty})
    collect_garbage_seldom()
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(work) for work in (batcher.run(), unlimited.run())]
        await serve_until_signal(server)
        for task in beside:
            task.cancel()
    await engine.dispose()
    authorised = CALLS.of("unary", "onecard.payments.v1.PaymentsService", "Authorize")
    return Served(authorised.ended[_OK], CALLS.of("unary", "bench.Bench", "Empty").ended[_OK])


def main(
    result: Path,
    one_by_one: Annotated[bool, typer.Option(help="one transaction a call, and the ordinary one")] = False,
    first: Annotated[int, typer.Option(help="the first number of a payment: another process has others")] = 1,
) -> None:
    """Serve where the settings say until SIGTERM; then write what was served to a file."""
    result.write_bytes(msgspec.json.encode(uvloop.run(_work(Listen.from_environment(), one_by_one, first))))


if __name__ == "__main__":
    typer.run(main)
