"""Verify the audit: make every digest and every head again, and compare them with what was published."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.card.adapters import audit_seals
from services.card.adapters.audit_seals import SealedRow
from services.card.domain.audit_seal import FIRST_HEAD, AuditSeal, Finding, Kind, against_published, missing_numbers
from services.card.handlers.seal_audit import row_digest, seal_head
from services.common.database import driver_session
from services.common.keyvault.vault import KeyVault, UnknownKeyError

_MOST_STRANGERS = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what was found."""

    seals: int
    rows: int
    retired: int
    """Rows that were taken away because their time was over: their digests are proved, they themselves are not there."""
    published: int
    """Seals that were compared with the topic."""
    findings: list[Finding]


async def verify_audit(
    engine: AsyncEngine,
    vault: KeyVault,
    published: Iterable[tuple[int, bytes]],
    progress: Callable[[int, int], None],
) -> Verified:
    """`published`: (number, head) of the seals on the topic. `progress` hears how many of how many seals were looked at."""
    findings: list[Finding] = []
    rows = retired = 0
    heads: dict[int, bytes] = {}
    known = list(published)
    async with driver_session(engine) as driver:
        seals = await audit_seals.all_seals(driver)
        findings += [Finding(Kind.SEAL_MISSING, number) for number in missing_numbers([seal.number for seal in seals])]
        may_be_gone = await audit_seals.retired_up_to(driver)
        before = FIRST_HEAD
        for done, seal in enumerate(seals, 1):
            sealed = await audit_seals.rows_of_seal(driver, seal.number)
            findings += _of_seal(vault, before, seal, sealed)
            for row in sealed:
                if row.now is None and seal.number <= may_be_gone:
                    retired += 1
                else:
                    findings += _of_row(vault, seal, row)
            rows += len(sealed)
            heads[seal.number] = before = seal.head
            progress(done, len(seals))
        up_to = max((seal.last_row for seal in seals), default=0)
        findings += [Finding(Kind.INSERTED, row) for row in await audit_seals.strangers(driver, up_to, _MOST_STRANGERS)]
    findings += against_published(heads, known)
    return Verified(len(seals), rows, retired, len(set(known)), findings)


def _of_seal(vault: KeyVault, before: bytes, seal: AuditSeal, sealed: list[SealedRow]) -> Iterator[Finding]:
    try:
        head = seal_head(vault, before, seal, [row.digest for row in sealed])
    except UnknownKeyError:
        head = b""
    if head != seal.head or len(sealed) != seal.rows:
        yield Finding(Kind.SEAL_BROKEN, seal.number)


def _of_row(vault: KeyVault, seal: AuditSeal, row: SealedRow) -> Iterator[Finding]:
    if row.now is None:
        yield Finding(Kind.REMOVED, row.id)
        return
    try:
        digest = row_digest(vault, seal.key_version, row.now)
    except UnknownKeyError:
        return  # the seal says it
    if digest != row.digest:
        yield Finding(Kind.ALTERED, row.id)
