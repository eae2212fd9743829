"""An audit that went back to a moment: the seals that were published behind it are given up."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.audit.book import AuditBook
from services.common.audit.seals import AUDIT_KEY
from services.common.database import driver_transaction
from services.common.gone_back import GoneBack, note_gone_back
from services.common.keyvault.vault import KeyVault


async def go_back(
    owner: AsyncEngine, book: AuditBook, vault: KeyVault, published: Iterable[tuple[int, bytes]], to_ms: int
) -> tuple[int, int]:
    """As the owner, before anybody is served; it may be run again. Answers the newest seal that is left and the highest of all.

    `published`: (number, head) of every seal that the topic has.
    """
    highest = max((number for number, _ in published), default=0)
    async with driver_transaction(owner) as driver:
        newest = (await book.newest_seal(driver)).number
        version = vault.current(AUDIT_KEY)
        time = GoneBack(newest, highest, to_ms, version)
        await note_gone_back(driver, book.service, time._replace(mac=vault.mac(AUDIT_KEY, version, time.content)))
    return newest, max(newest, highest)
