"""Applications in bulk: over gRPC, through the handler alone, and COPY of the rows that they wrote."""

from io import BytesIO
from typing import Final, NamedTuple

import msgspec

from bench.api_process import options_of, serving
from bench.cpu import CpuMeter
from bench.errors import NotReconciledError
from bench.plan import IN_FLIGHT
from bench.programs.batches import Brought
from bench.programs.copy_applications import Chunks
from bench.registry import CardOffice, Registry
from bench.stage import Stage
from cli.servers.child import Child
from cli.servers.ports import HOST, free_port
from services.card.handlers.submit_batch import ROWS_A_TRANSACTION

_OF_HOLDER: Final = "in (select a.holder from card.application a where a.batch = $1 and a.batch_row between $2 and $3)"
_OF_APPLICATION: Final = (
    "application in (select a.id from card.application a where a.batch = $1 and a.batch_row between $2 and $3)"
)
_OF_ROW: Final = "batch = $1 and {row} between $2 and $3"
WRITTEN: Final = {
    "holder": f"id {_OF_HOLDER} order by id",
    "lookup": f"holder {_OF_HOLDER} order by field, index_version, digest",
    "namesake": f"holder {_OF_HOLDER} order by holder",
    "document": f"holder {_OF_HOLDER} order by holder",
    "holder_category": f"holder {_OF_HOLDER} order by holder",
    "application": f"{_OF_ROW.format(row='batch_row')} order by id",
    "step": f"{_OF_APPLICATION} order by application",
    "batch_row": f"{_OF_ROW.format(row='row')} order by row",
}
"""Every table that an employer's row is written to, in that order."""
_BATCHES: Final = "select id, rows from card.batch order by rows, id"
_STORED: Final = "select count(*) from card.application"


class Bulk(NamedTuple):
    """What was brought, and what it cost."""

    brought: Brought
    taker_cpu_us: float
    """CPU an application of the process that takes them."""
    postgresql_cpu_us: float

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.brought.per_second


class BulkRound(NamedTuple):
    """Each once, on registries that are empty at first."""

    grpc: Bulk
    alone: Bulk
    """Through the handler, without gRPC."""
    copied: Bulk
    """COPY of the rows that were written."""


async def measure_bulk(stage: Stage, office: CardOffice, batches: int, rows: int) -> BulkRound:
    """One after the other; what the first one stored is counted, and copied."""
    async with office.registry() as registry:
        brought = await _bring(stage, office, registry, batches, rows)
        stored = await registry.connection.fetchval(_STORED)
        if stored != brought.brought.applications + IN_FLIGHT * ROWS_A_TRANSACTION:
            raise NotReconciledError(f"{brought.brought.applications} applications were accepted, {stored} are stored")
        async with office.registry() as other:
            copied = await _copy(stage, registry, other)
    async with office.registry() as registry:
        alone = await _run(stage, "batches", str(batches), str(rows), registry=registry)
    return BulkRound(brought, alone, copied)


async def _bring(stage: Stage, office: CardOffice, registry: Registry, batches: int, rows: int) -> Bulk:
    address = f"{HOST}:{free_port()}"
    async with serving(stage, "card-api", address, "services.card", "serve", env=registry.environment) as api:
        shown = options_of(office.window, office.authority)
        to = (f"--address={address}", f"--token={office.token}", *shown)
        return await _run(stage, "batches", str(batches), str(rows), *to, registry=registry, taker=api)


async def _copy(stage: Stage, registry: Registry, other: Registry) -> Bulk:
    """Batches of one transaction come first: they opened the sessions, and do so again."""
    batches = await registry.connection.fetch(_BATCHES)
    named_by_rows = BytesIO((await _rows_of(registry, "batch", "true"))[1])
    await other.connection.copy_to_table("batch", schema_name="card", source=named_by_rows, format="binary")
    chunks = [
        [
            await _rows_of(registry, table, where, batch, first, first + ROWS_A_TRANSACTION - 1)
            for table, where in WRITTEN.items()
        ]
        for batch, rows in batches
        for first in range(1, rows + 1, ROWS_A_TRANSACTION)
    ]
    file = stage.folder / "applications.copy"
    count = sum(rows for _, rows in batches) - IN_FLIGHT * ROWS_A_TRANSACTION
    file.write_bytes(msgspec.msgpack.encode(Chunks(count, chunks)))
    copied = await _run(stage, "copy_applications", str(file), registry=other)
    file.unlink()
    return copied


async def _rows_of(registry: Registry, table: str, where: str, *arguments: int) -> tuple[str, bytes]:
    rows = BytesIO()
    query = f"select * from card.{table} where {where}"
    await registry.connection.copy_from_query(query, *arguments, output=rows, format="binary")
    return table, rows.getvalue()


async def _run(stage: Stage, program: str, *arguments: str, registry: Registry, taker: Child | None = None) -> Bulk:
    """`taker`: who takes what the program brings; None: it does so itself."""
    result = stage.folder / f"{program}.json"
    families = {"postgresql": [stage.postgres.child.pid]} | ({"taker": [taker.pid]} if taker else {})
    meter = CpuMeter(families)
    async with meter.watching():
        await stage.run(program, f"bench.programs.{program}", *arguments, str(result), env=registry.environment)
    brought = msgspec.json.decode(result.read_bytes(), type=Brought)
    used = meter.between(brought.start, brought.end)
    taken = used.get("taker", brought.cpu_seconds)
    return Bulk(brought, taken / brought.applications * 1e6, used["postgresql"] / brought.applications * 1e6)
