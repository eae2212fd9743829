"""The API process as it is measured: the product's own parts, and an empty call beside them behind the same edge.

h2load sends one and the same request again and again, so each arrival gets a request id and a card of its own here.
"""

import asyncio
from itertools import count
from typing import Annotated, Any

import grpc
import typer
import uvloop

from bench.programs.posting import collect_garbage_seldom, config, make_ledger
from bench.taps import cards
from onecard.payments.v1.payments_pb2 import AuthorizeRequest, AuthorizeResponse
from onecard.payments.v1.payments_pb2_grpc import add_PaymentsServiceServicer_to_server
from services.common.database import make_engine
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server, serve_until_signal
from services.payments.adapters.callers import Callers
from services.payments.adapters.directory import Directory
from services.payments.adapters.freshness import ProjectionFreshness
from services.payments.adapters.rate_limits import Allowance, Allowances, RateLimits
from services.payments.adapters.registry import Registry
from services.payments.api.desk import Desk
from services.payments.api.payments import PaymentsService
from services.payments.batcher import Batcher
from services.payments.handlers.operate import Operate

ONE_BY_ONE_LANES = 16
UNLIMITED = Allowances(Allowance(10**9, 10**9), Allowance(10**9, 10**9))


class FreshPayments(PaymentsService):
    """Makes a payment of its own of every arrival."""

    async def Authorize(self, request: AuthorizeRequest, context: Any) -> AuthorizeResponse:  # noqa: N802
        number = next(_numbers)
        request.request_id = str(number)
        request.card_identifier = _cards[number * 7919 % len(_cards)]
        return await super().Authorize(request, context)


_numbers = count(1)
_cards = list(cards())


async def _empty(request: AuthorizeRequest, context: Any) -> AuthorizeResponse:
    return AuthorizeResponse()


async def _work(listen: Listen, one_by_one: bool) -> None:
    settings = config()
    engine = make_engine(settings.database_url, "bench-api", sessions=ONE_BY_ONE_LANES + 4)
    operate = Operate(await make_ledger(settings, engine))
    batcher = Batcher(operate, lanes=ONE_BY_ONE_LANES, limit=1) if one_by_one else Batcher(operate)
    callers = Callers(engine, Registry(engine))
    await callers.refresh()
    freshness = ProjectionFreshness(engine, float("inf"))
    unlimited = RateLimits(None, UNLIMITED)
    payments = FreshPayments(Desk(callers, batcher, unlimited, freshness), engine, Directory(engine), settings.hold_seconds)

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


def main(address: str, one_by_one: Annotated[bool, typer.Option()] = False) -> None:
    """Serve on an address of loopback, in plain text."""
    uvloop.run(_work(Listen(address, tls=None), one_by_one))


if __name__ == "__main__":
    typer.run(main)
