"""Employers' batches, several at once: over gRPC as employers bring them, or through the handler alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import grpc
import msgspec
import typer
import uvloop

from bench.errors import BenchError
from bench.people import OUTLET, header, parts, rows
from bench.plan import IN_FLIGHT
from bench.programs.caller import credentials_of
from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1.applications_pb2_grpc import ApplicationServiceStub
from services.card.adapters.city_settings import read_city_settings
from services.card.adapters.sealing import Sealing
from services.card.api.actors import SHIFT_KEY
from services.card.api.applications import bulk_reader
from services.card.config import Config
from services.card.domain.actor import Actor, ActorKind, Role
from services.card.handlers.submit_batch import ROWS_A_TRANSACTION, Row, SubmitBatch
from services.common.clock import now_ms
from services.common.database import make_engine
from services.common.garbage import collect_garbage_seldom
from services.common.keyvault.software import open_token

_CLERK = Actor(ActorKind.STAFF, 1, frozenset({Role.CLERK}), terminal="onecard://merchant/CITY-HALL/terminal/WINDOW-2")
Bring = Callable[[], Awaitable[int]]
"""Bring a batch that is ready; answers how many rows were accepted."""


class Brought(msgspec.Struct, frozen=True):
    """What was applied for, and how long it took."""

    applications: int
    start: float
    """Unix seconds."""
    end: float
    cpu_seconds: float
    """Of the process that brought them."""

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.applications / (self.end - self.start)


async def _measure(make: Callable[[int, int], Bring], batches: int, size: int) -> Brought:
    """The first ones, of one transaction each, open sessions and prepare statements."""
    first = [make(1 + lane * ROWS_A_TRANSACTION, ROWS_A_TRANSACTION) for lane in range(IN_FLIGHT)]
    behind = 1 + IN_FLIGHT * ROWS_A_TRANSACTION
    waiting = [make(behind + number * size, size) for number in range(batches)]
    await asyncio.gather(*(_bring(iter([batch])) for batch in first))
    collect_garbage_seldom()
    queue, start, used = iter(waiting), time.time(), time.process_time()
    accepted = sum(await asyncio.gather(*(_bring(queue) for _ in range(IN_FLIGHT))))
    if accepted != batches * size:
        raise BenchError(f"{batches * size} people applied, {accepted} applications were accepted")
    return Brought(accepted, start, time.time(), time.process_time() - used)


async def _bring(batches: Iterator[Bring]) -> int:
    return sum([await bring() for bring in batches])


async def _over_grpc(address: str, token: str, credentials: grpc.ChannelCredentials, batches: int, size: int) -> Brought:
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub: Any = ApplicationServiceStub(channel)

        def make(first: int, count: int) -> Bring:
            ready = list(parts(first, count))

            async def bring() -> int:
                answer: messages.SubmitBatchResponse = await stub.SubmitBatch(ready, metadata=((SHIFT_KEY, token),))
                return answer.accepted

            return bring

        return await _measure(make, batches, size)


async def _alone(config: Config, batches: int, size: int) -> Brought:
    settings = read_city_settings(config.settings)
    engine = make_engine(config.database_url, "batches", sessions=IN_FLIGHT)
    submit = SubmitBatch(engine, Sealing(open_token(config.vault, config.vault_pin)), settings)

    def make(first: int, count: int) -> Bring:
        said = header(first, count)
        ready = [Row(row.row, row.SerializeToString(deterministic=True)) for row in rows(first, count)]

        async def bring() -> int:
            now = now_ms()
            read = bulk_reader(settings.application, said, OUTLET, now)
            decided = await submit(said.batch_id, said.SerializeToString(deterministic=True), ready, read, _CLERK, now)
            return sum(not row.refusal for row in decided.rows)

        return bring

    brought = await _measure(make, batches, size)
    await engine.dispose()
    return brought


def main(
    batches: Annotated[int, typer.Argument()],
    size: Annotated[int, typer.Argument(help="rows of each")],
    result: Path,
    address: Annotated[
        str, typer.Option(help="where they are brought, with --token and a certificate; else to the handler")
    ] = "",
    token: Annotated[str, typer.Option(help="of the clerk who is signed in")] = "",
    certificate: Annotated[Path | None, typer.Option()] = None,
    key: Annotated[Path | None, typer.Option()] = None,
    authority: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Bring so many batches of new people, and write the time to a file."""
    credentials = credentials_of(certificate, key, authority)
    work = (
        _over_grpc(address, token, credentials, batches, size)
        if credentials
        else _alone(Config.from_environment(), batches, size)
    )
    result.write_bytes(msgspec.json.encode(uvloop.run(work)))


if __name__ == "__main__":
    typer.run(main)
