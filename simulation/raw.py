"""What the vandal sent that carries no identity: kept by digest until the platform has put it aside as a dead letter."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from sdk.merchant.spool import Spooled

SCHEMA = """
create table if not exists raw (
    id      integer primary key,
    digest  blob not null unique,       -- SHA-256 of the record
    topic   text not null,
    key     blob not null,
    record  blob not null,
    keep_ms integer not null,
    due_ms  integer not null,           -- when it is sent again, unless it was seen
    seen    integer not null            -- 1: it came back as a dead letter
);
"""
AGAIN_MS = 30_000


class RawRecords:
    """One file; several threads may use it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(SCHEMA)
        self.all_due()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def keep(self, topic: str, key: bytes, record: bytes, now_ms: int) -> None:
        """Keep a record before it is sent; it is due at once."""
        with self._lock:
            self._db.execute(
                "insert into raw (digest, topic, key, record, keep_ms, due_ms, seen) values (?, ?, ?, ?, ?, 0, 0)",
                (sha256(record).digest(), topic, key, record, now_ms),
            )

    def take_due(self, now_ms: int) -> list[Spooled]:
        """What is to be sent now, for the first time or again."""
        with self._lock:
            rows = self._db.execute(
                "update raw set due_ms = ?1 + ?2 where not seen and due_ms <= ?1 returning id, topic, key, record",
                (now_ms, AGAIN_MS),
            ).fetchall()
            return [Spooled(*row) for row in rows]

    def all_due(self) -> None:
        """Let everything that has not come back be sent again."""
        with self._lock:
            self._db.execute("update raw set due_ms = 0 where not seen")

    def not_delivered(self, ids: Iterable[int]) -> None:
        """The broker did not take these."""
        with self._lock:
            self._db.executemany("update raw set due_ms = 0 where id = ?", [(number,) for number in ids])

    def see(self, record: bytes) -> None:
        """It came back as a dead letter."""
        with self._lock:
            self._db.execute("update raw set seen = 1 where digest = ? and not seen", (sha256(record).digest(),))

    @property
    def unseen_count(self) -> int:
        """How many have not come back."""
        with self._lock:
            count: int = self._db.execute("select count(*) from raw where not seen").fetchone()[0]
            return count
