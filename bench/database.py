"""The ledger of one measured state: a fresh copy of the seeded city, so that every state begins alike."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import asyncpg

from bench.errors import NotReconciledError
from services.common.database import make_engine
from services.payments.handlers.check_books import check_books

_DECIDED: Final = "select coalesce(sum(verdicts), 0)::bigint from payments.batch where number > $1"
_JOURNAL: Final = "select now, verdicts, key_version from payments.batch where number > $1 order by now, number"
_STORED: Final = """
select (select count(*) from payments.verdict where batch > $1), (select count(*) from payments.dead_letter),
       (select count(*) from payments.operation where batch > $1 and kind <> 10),
       (select count(*) from payments.verdict where batch > $1 and outcome = 2)"""

_DECLINED: Final = "select count(*) from payments.operation where batch > $1 and outcome = 2"

_WRITTEN: Final = """
select pg_database_size(current_database()), (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"""


class BatchRow(NamedTuple):
    """One posting."""

    now: float
    """When its worker took the clock for it, Unix seconds."""
    verdicts: int
    key_version: int
    """Another one for each worker."""


def driver_url(url: str) -> str:
    """The address as the driver takes it."""
    return url.replace("+asyncpg", "")


@dataclass(frozen=True, slots=True)
class LedgerCopy:
    """A database, and a connection for watching it."""

    application_url: str
    owner_url: str
    """As the driver takes it."""
    connection: "asyncpg.Connection[Any]"
    last_seeded_batch: int

    async def decided(self) -> int:
        """How many taps have a verdict. Reads a row a batch, so it may be asked often."""
        return int(await self.connection.fetchval(_DECIDED, self.last_seeded_batch))

    async def journal(self) -> list[BatchRow]:
        """Every batch, in the order in which they took their clock."""
        rows = await self.connection.fetch(_JOURNAL, self.last_seeded_batch)
        return [BatchRow(now.timestamp(), verdicts, key_version) for now, verdicts, key_version in rows]

    async def written(self) -> tuple[int, int]:
        """Bytes of this database's tables and indexes, and of the server's write-ahead log since it began."""
        tables, log = await self.connection.fetchrow(_WRITTEN) or (0, 0)
        return int(tables), int(log)

    async def declined(self) -> int:
        """How many calls were answered with no."""
        return int(await self.connection.fetchval(_DECLINED, self.last_seeded_batch))

    async def reconcile(self, emitted: int, operations: int = 0) -> int:
        """A verdict for each tap and each operation, nothing else, and the books balance; returns how many taps were refused.

        Raises NotReconciledError.
        """
        stored = await self.connection.fetchrow(_STORED, self.last_seeded_batch)
        assert stored is not None
        verdicts, dead_letters, operated, refused = stored
        if (verdicts, dead_letters) != (emitted, 0):
            raise NotReconciledError(f"{emitted} taps were emitted; {verdicts} have a verdict, {dead_letters} are dead letters")
        if operated != operations:
            raise NotReconciledError(f"{operations} calls were answered; {operated} operations are stored")
        engine = make_engine(self.application_url, "bench", sessions=1)
        try:
            books = await check_books(engine)
        finally:
            await engine.dispose()
        if not books.balance:
            raise NotReconciledError(f"the books do not balance: {books.problem or books.imbalance_fen}")
        return int(refused)
