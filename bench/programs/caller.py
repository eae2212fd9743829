"""A client in Python, which can do what h2load cannot: show a certificate, and ask another question each time.

It writes the same log as h2load.
"""

import asyncio
import time
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import grpc
import msgspec
import typer
import uvloop

from bench.calls import Answered, log_of
from bench.plan import CALLS_A_CONNECTION
from services.common.garbage import collect_garbage_seldom


class Questions(msgspec.Struct, frozen=True):
    """What is asked, one after the other and then from the beginning."""

    method: str
    messages: list[bytes]
    metadata: list[tuple[str, str]]


async def _work(
    address: str, in_flight: int, calls: int, questions: Questions, credentials: grpc.ChannelCredentials | None
) -> tuple[list[Answered], bytes]:
    """The calls, and the last answer."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
    channels = [
        grpc.aio.secure_channel(address, credentials, options) if credentials else grpc.aio.insecure_channel(address, options)
        for _ in range(max(1, in_flight // CALLS_A_CONNECTION))
    ]
    for channel in channels:
        await channel.channel_ready()
    answered: list[Answered] = []
    last = [b""]
    numbers, messages, metadata = iter(range(calls)), cycle(questions.messages), tuple(questions.metadata)

    async def ask(channel: grpc.aio.Channel) -> None:
        call: Any = channel.unary_unary(questions.method)
        for _ in numbers:
            start, began = time.time(), time.perf_counter()
            last[0] = await call(next(messages), metadata=metadata)
            answered.append(Answered(start, time.perf_counter() - began))

    async with asyncio.TaskGroup() as group:
        for number in range(in_flight):
            group.create_task(ask(channels[number % len(channels)]))
    for channel in channels:
        await channel.close()
    return answered, last[0]


def main(
    address: str,
    in_flight: int,
    calls: int,
    questions: Annotated[Path, typer.Argument(help="as JSON")],
    log: Path,
    certificate: Annotated[Path | None, typer.Option(help="of the client; with --key and --authority: TLS")] = None,
    key: Annotated[Path | None, typer.Option()] = None,
    authority: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Ask so many times, so many at once, and write the log, and beside it the last answer."""
    asked = msgspec.json.decode(questions.read_bytes(), type=Questions)
    collect_garbage_seldom()
    credentials = credentials_of(certificate, key, authority)
    answered, last = uvloop.run(_work(address, in_flight, calls, asked, credentials))
    log.write_text(log_of(answered))
    log.with_suffix(".answer").write_bytes(last)


def credentials_of(certificate: Path | None, key: Path | None, authority: Path | None) -> grpc.ChannelCredentials | None:
    """What a client shows; None: it speaks plain text."""
    if certificate and key and authority:
        return grpc.ssl_channel_credentials(authority.read_bytes(), key.read_bytes(), certificate.read_bytes())
    return None


if __name__ == "__main__":
    typer.run(main)
