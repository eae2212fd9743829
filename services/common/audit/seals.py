"""Seals of the audit: which rows each covers, how it follows from the one before, and what a look at them can find."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from services.common.keyvault.vault import KeyVault

AUDIT_KEY: Final = "audit"
"""Of the service's own vault."""
FIRST_HEAD: Final = bytes(32)
"""What the first seal follows."""
MOST_ROWS: Final = 2000
"""Of one seal."""
LATE_MS: Final = 60_000
"""No act takes longer: what is committed later than that behind its number was inserted."""
_DAY_MS: Final = 24 * 3_600_000
_SEPARATOR: Final = b"\x00"


class AuditRow(NamedTuple):
    """A row as it is sealed."""

    id: int
    at_us: int
    """UTC microseconds since 1970."""
    values: tuple[object, ...]
    """The others, in the order of the service's columns; the detail as the database writes it."""

    def content(self) -> bytes:
        """What its digest is over. No text holds a NUL, so no two rows have the same."""
        values = (self.id, self.at_us, *self.values)
        return _SEPARATOR.join(b"" if value is None else str(value).encode() for value in values)


@dataclass(frozen=True, slots=True)
class AuditSeal:
    """One link of the chain."""

    number: int
    """From 1, without a gap."""
    rows: int
    last_row: int
    head: bytes
    key_version: int
    time_ms: int

    def content(self, head_before: bytes, digests: Iterable[bytes]) -> bytes:
        """What its head is over: the head before, what the seal says, and the digests of its rows in order."""
        said = f"{self.number} {self.rows} {self.last_row} {self.key_version} {self.time_ms}\n".encode()
        return head_before + said + b"".join(digests)


class Kind(Enum):
    """What can be wrong, as people read it."""

    ALTERED = "a row was altered"
    REMOVED = "a row was removed"
    INSERTED = "a row was inserted behind the seals"
    SEAL_MISSING = "a seal is missing from the chain"
    SEAL_BROKEN = "a seal does not follow from the one before and its rows"
    FORGED_NOTE = "the note that the audit went back behind a seal is not by the key"
    TAIL_CUT = "a seal that was published is not in the database"
    RECOMPUTED = "a seal is not the one that was published"


class Finding(NamedTuple):
    """Something that is wrong, and where."""

    kind: Kind
    number: int
    """Of the row or of the seal."""


BEFORE_THE_FIRST: Final = AuditSeal(0, 0, 0, FIRST_HEAD, 0, 0)
"""What a chain begins behind."""


def over_before(audit_days: int, now_ms: int) -> int:
    """Whose seal is older than this, its time is over: such a row may be taken away, and no other."""
    return now_ms - audit_days * _DAY_MS


def came_late(row: AuditRow, seal: AuditSeal, before: AuditSeal, complete_ms: int) -> bool:
    """Whether an act's row cannot come as late as this: its number was passed, or its time was over, more than a minute before.

    `before`: the seal before; `complete_ms`: when a seal last took all that there was. It is no finding, for so comes what was
    written while nobody sealed, or while a clock was wrong.
    """
    passed = row.id <= before.last_row and seal.time_ms - before.time_ms > LATE_MS
    return passed or row.at_us // 1000 < complete_ms - LATE_MS


def against_published(seals: dict[int, bytes], published: Iterable[tuple[int, bytes]]) -> Iterator[Finding]:
    """What the topic says otherwise; each (number, head) that was published must be in the database."""
    for number, head in sorted(set(published)):
        if number not in seals:
            yield Finding(Kind.TAIL_CUT, number)
        elif seals[number] != head:
            yield Finding(Kind.RECOMPUTED, number)


def row_digest(vault: KeyVault, version: int, row: AuditRow) -> bytes:
    """Of a row, under a version of the key."""
    return vault.mac(AUDIT_KEY, version, b"row\n" + row.content())


def seal_head(vault: KeyVault, head_before: bytes, seal: AuditSeal, digests: list[bytes]) -> bytes:
    """Of a seal that follows another one."""
    return vault.mac(AUDIT_KEY, seal.key_version, b"seal\n" + seal.content(head_before, digests))
