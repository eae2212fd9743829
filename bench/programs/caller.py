"""A client in Python, which can do what h2load cannot: show a certificate. It writes the same log as h2load."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
import uvloop

from bench.calls import Answered, log_of
from bench.plan import CALLS_A_CONNECTION
from bench.programs.posting import collect_garbage_seldom
from bench.request import REQUEST, SUBJECT
from onecard.payments.v1.payments_pb2 import AuthorizeRequest
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from services.common.grpc.callers import SUBJECT_KEY


async def _work(address: str, in_flight: int, calls: int, credentials: grpc.ChannelCredentials | None) -> list[Answered]:
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
    channels = [
        grpc.aio.secure_channel(address, credentials, options) if credentials else grpc.aio.insecure_channel(address, options)
        for _ in range(max(1, in_flight // CALLS_A_CONNECTION))
    ]
    for channel in channels:
        await channel.channel_ready()
    stubs: list[Any] = [PaymentsServiceStub(channel) for channel in channels]
    answered: list[Answered] = []
    numbers = iter(range(calls))

    async def ask(stub: Any) -> None:
        for _ in numbers:
            start, began = time.time(), time.perf_counter()
            await stub.Authorize(request, metadata=metadata)
            answered.append(Answered(start, time.perf_counter() - began))

    request, metadata = AuthorizeRequest.FromString(REQUEST), ((SUBJECT_KEY, SUBJECT),)
    async with asyncio.TaskGroup() as group:
        for number in range(in_flight):
            group.create_task(ask(stubs[number % len(stubs)]))
    for channel in channels:
        await channel.close()
    return answered


def main(
    address: str,
    in_flight: int,
    calls: int,
    log: Path,
    certificate: Annotated[Path | None, typer.Option(help="of the client; with --key and --authority: TLS")] = None,
    key: Annotated[Path | None, typer.Option()] = None,
    authority: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Ask so many times, so many at once, and write the log."""
    credentials = None
    if certificate and key and authority:
        credentials = grpc.ssl_channel_credentials(authority.read_bytes(), key.read_bytes(), certificate.read_bytes())
    collect_garbage_seldom()
    log.write_text(log_of(uvloop.run(_work(address, in_flight, calls, credentials))))


if __name__ == "__main__":
    typer.run(main)
