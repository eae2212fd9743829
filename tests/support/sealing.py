"""What the elected process does, done by a test itself."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import milliseconds
from services.payments.adapters.checkpoints import Checkpoint
from services.payments.adapters.ledger import BatchKey
from services.payments.adapters.rows import SELECT_OPERATIONS, SELECT_TRANSFERS, SELECT_VERDICTS, batch_digest, rows_of_copy
from services.payments.adapters.seals import seal_head, seals_between
from services.payments.domain.seal import Seal, is_hole
from services.payments.handlers.seal_batches import SealBatches
from services.payments.handlers.verify_ledger import Verified, verify_ledger
from tests.support.office import Office, open_office
from tests.support.town import KEY, build_town, bus_ride, purchase, received


@asynccontextmanager
async def autocommit(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A session as housekeeping gives it to its duties."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
        finally:
            await connection.invalidate()


class Books:
    """A ledger that is sealed now and then, with the checkpoints that left it, and an owner who may do anything to it."""

    def __init__(self, engine: AsyncEngine, owner: "asyncpg.Connection[Any]", session: AsyncConnection, office: Office) -> None:
        self.engine = engine
        self.owner = owner
        self.office = office
        self.checkpoints: dict[int, tuple[Checkpoint, ...]] = {}
        self._session = session
        self._sealer = SealBatches(KEY)

    async def seal(self) -> Seal:
        """One round of the elected sealer, whose checkpoint is kept."""
        seal = await self._sealer(self._session)
        self.checkpoints[seal.number] = (Checkpoint(seal.number, seal.last, seal.head, seal.create_time_ms),)
        return seal

    async def work(self, card: int) -> None:
        """Three batches and a seal: seven taps of which one is refused, a hold, a payment and a capture in parts."""
        office = self.office
        await office.town.post(received([*map(bus_ride, range(5)), purchase(card, 500), purchase(0, 90_000)]))
        held = await office.rule(office.hold(card, 700))
        await office.ask(office.pay(card, 300), office.capture(held, 400))
        await self.seal()

    async def seals(self) -> list[Seal]:
        return await seals_between(self._session, 0, 10_000, 10_000)

    async def verify(
        self,
        checkpoints: Mapping[int, Sequence[Checkpoint]] | None = None,
        *,
        keys: Mapping[int, bytes] = {KEY.version: KEY.key},  # never changed
        after: Checkpoint | None = None,
    ) -> Verified:
        known = self.checkpoints if checkpoints is None else checkpoints
        return await verify_ledger(self.engine, keys, known, horizon_days=180, after=after)

    async def digest_again(self, number: int, key: BatchKey = KEY) -> None:
        """What somebody would do who has altered a batch and has a key: write the digest that its rows give now."""
        batch = await self.owner.fetchrow("select now from payments.batch where number = $1", number)
        assert batch is not None
        rows = [await self._copy(query, number) for query in (SELECT_VERDICTS, SELECT_TRANSFERS, SELECT_OPERATIONS)]
        digest = batch_digest(key.key, number, milliseconds(batch[0]), *rows)
        await self.owner.execute("update payments.batch set digest = $2 where number = $1", number, digest)

    async def chain_again(self, key: BatchKey = KEY, *, since: int = 1) -> None:
        """The same for the heads of the chain, from a seal on."""
        head = bytes(32)
        for seal in await self.seals():
            if seal.number < since:
                head = seal.head
                continue
            rows = await self.owner.fetch(
                "select number, digest from payments.batch where number between $1 and $2 or number = any($3) order by number",
                seal.first, seal.last, list(seal.late),
            )  # fmt: skip
            digests = [digest for number, digest in rows if number in seal.late or not is_hole(seal.holes, number)]
            head = seal_head(key.key, head, seal, digests)
            await self.owner.execute("update payments.seal set head = $2 where number = $1", seal.number, head)

    async def _copy(self, query: str, number: int) -> bytes:
        copied = bytearray()

        async def keep(data: bytes) -> None:
            copied.extend(data)

        await self.owner.copy_from_query(query, number, output=keep, format="binary")
        return rows_of_copy(bytes(copied))


@asynccontextmanager
async def sealed_books(engine: AsyncEngine, owner_url: str, turns: int = 4) -> AsyncIterator[Books]:
    """A town of five cards that has tapped and paid online: a seal for its openings, and one a turn."""
    office = await open_office(await build_town(engine, 5))
    owner = await asyncpg.connect(owner_url.replace("+asyncpg", ""))
    try:
        async with autocommit(engine) as session:
            books = Books(engine, owner, session, office)
            await books.seal()
            for turn in range(turns):
                await books.work(turn)
            yield books
    finally:
        await owner.close()
