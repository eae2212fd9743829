"""Seal the audit: chain what is committed, under a key of the vault, and publish each link."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import asyncpg
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from services.common.announce import Announcer
from services.common.audit.book import AuditBook
from services.common.audit.seals import AUDIT_KEY, MOST_ROWS, AuditRow, AuditSeal, row_digest, seal_head
from services.common.clock import now_ms
from services.common.database import driver_of
from services.common.gone_back import next_seal
from services.common.keyvault.vault import KeyVault
from services.common.topics import AUDIT_SEALS

AUDIT_SEAL: Final = Gauge("onecard_audit_seal_number", "The newest seal of the audit")
AUDIT_SEALED_ROWS: Final = Counter("onecard_audit_sealed_rows_total", "Rows of the audit that were sealed")
AUDIT_UNSEALED_AGE: Final = Gauge(
    "onecard_audit_oldest_unsealed_seconds", "Age of the oldest row of the audit that has no seal"
)


class SealAudit:
    """Run by the elected process. If two believe they are, the primary key of the seals lets one of them go on.

    What it looks at begins a minute before the newest seal, however long ago that was: whatever was committed behind that seal
    is found, also when nobody has sealed for days, and what is put under a number further back is not taken for an act's.
    `now` is the clock, for tests that do not want to wait a year.
    """

    def __init__(self, book: AuditBook, vault: KeyVault, announcer: Announcer, now: Callable[[], int] = now_ms) -> None:
        self._book = book
        self._vault = vault
        self._announcer = announcer
        self._now = now

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round: a seal for what is committed and has none, then publication. False while there is more to seal."""
        driver = await driver_of(connection)
        rows = await self._book.unsealed(driver, await self._book.closed_up_to(driver), MOST_ROWS)
        now = self._now()
        AUDIT_UNSEALED_AGE.set(max(0, now - rows[0].at_us // 1000) / 1000 if rows else 0)
        if rows:
            try:
                await self._seal(driver, rows, now)
            except asyncpg.UniqueViolationError:
                return False  # another one was quicker; what is left is seen in the next round
        await self._publish(driver)
        return len(rows) < MOST_ROWS

    async def _seal(self, driver: "asyncpg.Connection[Any]", rows: list[AuditRow], now: int) -> None:
        newest = await self._book.newest_seal(driver)
        version = self._vault.current(AUDIT_KEY)
        digests = [(row.id, row_digest(self._vault, version, row)) for row in rows]
        number = await next_seal(driver, self._book.service, newest.number)
        last_row = max(newest.last_row, rows[-1].id)
        seal = AuditSeal(number, len(rows), last_row, b"", version, max(now, newest.time_ms))
        seal = replace(seal, head=seal_head(self._vault, newest.head, seal, [digest for _, digest in digests]))
        await self._book.store_seal(driver, seal, digests)
        AUDIT_SEAL.set(seal.number)
        AUDIT_SEALED_ROWS.inc(seal.rows)
        AUDIT_UNSEALED_AGE.set(0)

    async def _publish(self, driver: "asyncpg.Connection[Any]") -> None:
        """A link that was stored and not published, because a process ended between the two, is published now."""
        if unsent := await self._book.unsent_seals(driver, MOST_ROWS):
            await self._announcer.send(
                AUDIT_SEALS, [(self._book.service.encode(), self._book.message_of(seal)) for seal in unsent]
            )
            await self._book.mark_sent(driver, unsent)
