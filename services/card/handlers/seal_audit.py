"""Seal the audit: chain what is committed, under a key of the vault, and publish each link."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from services.card import metrics
from services.card.adapters import audit_seals
from services.card.adapters.audit_seals import SERVICE, message_of
from services.card.domain.audit_seal import MOST_ROWS, AuditRow, AuditSeal
from services.common.announce import Announcer
from services.common.clock import now_ms
from services.common.database import driver_of
from services.common.keyvault.vault import KeyVault
from services.common.topics import AUDIT_SEALS

AUDIT_KEY: Final = "audit"


class SealAudit:
    """Run by the elected process. If two believe they are, the primary key of the seals lets one of them go on.

    What it looks at begins a minute before the newest seal, however long ago that was: whatever was committed behind that seal
    is found, also when nobody has sealed for days, and what is put under a number further back is not taken for an act's.
    `now` is the clock, for tests that do not want to wait a year.
    """

    def __init__(self, vault: KeyVault, announcer: Announcer, now: Callable[[], int] = now_ms) -> None:
        self._vault = vault
        self._announcer = announcer
        self._now = now

    async def __call__(self, connection: AsyncConnection) -> bool:
        """One round: a seal for what is committed and has none, then publication. False while there is more to seal."""
        driver = await driver_of(connection)
        rows = await audit_seals.unsealed(driver, await audit_seals.closed_up_to(driver), MOST_ROWS)
        now = self._now()
        metrics.AUDIT_UNSEALED_AGE.set(max(0, now - rows[0].at_us // 1000) / 1000 if rows else 0)
        if rows:
            try:
                await self._seal(driver, rows, now)
            except asyncpg.UniqueViolationError:
                return False  # another one was quicker; what is left is seen in the next round
        await self._publish(driver)
        return len(rows) < MOST_ROWS

    async def _seal(self, driver: "asyncpg.Connection[Any]", rows: list[AuditRow], now: int) -> None:
        newest = await audit_seals.newest_seal(driver)
        version = self._vault.current(AUDIT_KEY)
        digests = [(row.id, row_digest(self._vault, version, row)) for row in rows]
        last_row = max(newest.last_row, rows[-1].id)
        seal = AuditSeal(newest.number + 1, len(rows), last_row, b"", version, max(now, newest.time_ms))
        seal = replace(seal, head=seal_head(self._vault, newest.head, seal, [digest for _, digest in digests]))
        await audit_seals.store_seal(driver, seal, digests)
        metrics.AUDIT_SEAL.set(seal.number)
        metrics.AUDIT_SEALED_ROWS.inc(seal.rows)
        metrics.AUDIT_UNSEALED_AGE.set(0)

    async def _publish(self, driver: "asyncpg.Connection[Any]") -> None:
        """A link that was stored and not published, because a process ended between the two, is published now."""
        if unsent := await audit_seals.unsent_seals(driver, MOST_ROWS):
            await self._announcer.send(AUDIT_SEALS, [(SERVICE.encode(), message_of(seal)) for seal in unsent])
            await audit_seals.mark_sent(driver, unsent)


def row_digest(vault: KeyVault, version: int, row: AuditRow) -> bytes:
    """Of a row, under a version of the key."""
    return vault.mac(AUDIT_KEY, version, b"row\n" + row.content())


def seal_head(vault: KeyVault, head_before: bytes, seal: AuditSeal, digests: list[bytes]) -> bytes:
    """Of a seal that follows another one."""
    return vault.mac(AUDIT_KEY, seal.key_version, b"seal\n" + seal.content(head_before, digests))
