"""Verify the audit: make every digest and every head again, and compare them with what was published."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.audit.book import AuditBook, SealedRow
from services.common.audit.seals import (
    AUDIT_KEY,
    BEFORE_THE_FIRST,
    MOST_ROWS,
    AuditSeal,
    Finding,
    Kind,
    against_published,
    came_late,
    row_digest,
    seal_head,
)
from services.common.database import driver_session
from services.common.gone_back import GoneBack, follower, given_up, read_gone_back
from services.common.keyvault.vault import KeyVault, UnknownKeyError

SEALS_AT_ONCE: Final = 1000
_MOST_STRANGERS: Final = 1000
_MOST_LATE: Final = 1000


@dataclass(slots=True)
class Verified:
    """What was looked at, and what was found."""

    seals: int = 0
    rows: int = 0
    retired: int = 0
    """Rows that were taken away because their time was over: their digests are proved, they themselves are not there."""
    published: int = 0
    """Seals that were compared with the topic."""
    given_up: set[int] = field(default_factory=set)
    """Seals that were published behind a moment that the installation went back to."""
    late: list[int] = field(default_factory=list)
    """The first rows that came later than an act's can while somebody seals: see `came_late`."""
    findings: list[Finding] = field(default_factory=list)


async def verify_audit(
    engine: AsyncEngine,
    book: AuditBook,
    vault: KeyVault,
    published: Iterable[tuple[int, bytes]],
    over_before_ms: int,
    progress: Callable[[int, int], None],
) -> Verified:
    """`published`: (number, head) of the seals on the topic. `progress` hears how many of how many seals were looked at.

    A row may be gone when its seal, whose time the key vouches for, is older than `over_before_ms`.
    """
    async with driver_session(engine) as driver:
        verification = _Verification(driver, book, vault, over_before_ms)
        await verification.follow_chain(progress)
        await verification.look_between()
        await verification.compare(published)
    return verification.found


@dataclass(slots=True)
class _Verification:
    """One way along the chain, some seals at a time."""

    driver: "asyncpg.Connection[Any]"
    book: AuditBook
    vault: KeyVault
    over_before_ms: int
    found: Verified = field(default_factory=Verified)
    before: AuditSeal = BEFORE_THE_FIRST
    complete_ms: int = 0
    """When a seal last took all that there was."""
    retired_up_to: int = 0
    gone_back: list[GoneBack] = field(default_factory=list)

    async def follow_chain(self, progress: Callable[[int, int], None]) -> None:
        """Every link and every row, up to the newest seal of when it began."""
        self.gone_back = await self._gone_back()
        newest = await self.book.newest_seal(self.driver)
        while seals := await self.book.seals_between(self.driver, self.before.number, newest.number, SEALS_AT_ONCE):
            for seal in seals:
                await self._follow(seal)
                progress(seal.number, newest.number)

    async def _gone_back(self) -> list[GoneBack]:
        """The times that the key vouches for."""
        noted = await read_gone_back(self.driver, self.book.service)
        forged = [time for time in noted if not _is_ours(self.vault, time)]
        self.found.findings += [Finding(Kind.FORGED_NOTE, time.after_seal) for time in forged]
        return [time for time in noted if time not in forged]

    async def look_between(self) -> None:
        """Rows that no seal has, under numbers whose time has passed."""
        up_to = await self.book.closed_up_to(self.driver)
        inserted = await self.book.strangers(self.driver, up_to, _MOST_STRANGERS)
        self.found.findings += [Finding(Kind.INSERTED, row) for row in inserted]

    async def compare(self, published: Iterable[tuple[int, bytes]]) -> None:
        """What was published with what is there, in the order of the topic; some seals stand there twice."""
        highest, records = 0, iter(published)
        while some := list(islice(records, SEALS_AT_ONCE)):
            kept = [(number, head) for number, head in some if not given_up(self.gone_back, number)]
            heads = await self.book.heads_of(self.driver, [number for number, _ in kept])
            self.found.findings += against_published(heads, kept)
            self.found.given_up |= {number for number, _ in some} - {number for number, _ in kept}
            fresh = {number for number, _ in kept if number > highest}
            self.found.published += len(fresh)
            highest = max(fresh, default=highest)

    async def _follow(self, seal: AuditSeal) -> None:
        expected = follower(self.gone_back, self.before.number)
        if seal.number != expected:
            self.found.findings.append(Finding(Kind.SEAL_MISSING, expected))
        sealed = await self.book.rows_of_seal(self.driver, seal.number)
        broken = list(_of_seal(self.vault, self.before.head, seal, sealed))
        self.found.findings += broken
        may_be_gone = not broken and seal.time_ms < self.over_before_ms and await self._were_retired(seal, sealed)
        for row in sealed:
            if row.now is None and may_be_gone:
                self.found.retired += 1
            else:
                self.found.findings += _of_row(self.vault, seal, row)
        late = [row.id for row in sealed if row.now and came_late(row.now, seal, self.before, self.complete_ms)]
        self.found.late += late[: _MOST_LATE - len(self.found.late)]
        self.found.seals += 1
        self.found.rows += len(sealed)
        self.before = seal
        if seal.rows < MOST_ROWS:
            self.complete_ms = seal.time_ms

    async def _were_retired(self, seal: AuditSeal, sealed: list[SealedRow]) -> bool:
        """Asked after the rows were read: whoever takes rows away meanwhile has noted it by then."""
        if self.retired_up_to < seal.number and any(row.now is None for row in sealed):
            self.retired_up_to = await self.book.retired_up_to(self.driver)
        return seal.number <= self.retired_up_to


def _is_ours(vault: KeyVault, time: GoneBack) -> bool:
    try:
        return vault.mac(AUDIT_KEY, time.key_version, time.content) == time.mac
    except UnknownKeyError:
        return False


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
