"""What a mobile kit queued without a network, on its disk: sealed, and kept until the service has said what became of it.

A file of SQLite. Whatever is answered is on the disk before: a cut of power at any moment loses nothing that was called queued,
and brings nothing back that has a verdict. Nothing in the file is personal.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sdk.window.sealed import SealedApplication, SealingKey

_FORMAT: Final = 1
_SCHEMA: Final = """
create table if not exists sealing_key (version integer primary key, point blob not null, terminal text not null) strict;
create table if not exists item (
    number        integer primary key autoincrement,
    id            text not null unique,
    key_version   integer not null,
    ephemeral_key blob not null,
    sealed        blob not null,
    seal_time_ms  integer not null
) strict;
create table if not exists verdict (
    id             text primary key,
    application_id integer not null,
    reason         text not null,
    message        text not null,
    seal_time_ms   integer not null,
    verdict_time_ms integer not null
) strict;
"""
_NEXT: Final = """
select number, id, key_version, ephemeral_key, sealed, seal_time_ms from item where number > ? order by number limit 1"""


class QueueError(Exception):
    """The queue cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a queued application."""

    id: str
    application_id: int
    """0: none was made."""
    reason: str
    """Empty: it was accepted."""
    message: str
    seal_time_ms: int
    verdict_time_ms: int


class KitQueue:
    """One kit's queue. It may be opened by one program at a time, or by several."""

    def __init__(self, file: Path) -> None:
        """Made when it is not there. Raises QueueError for a file that is no queue."""
        new = not file.exists()
        if new:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(file, isolation_level=None, timeout=10)
        try:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")  # a commit is on the disk when it comes back
            (format_,) = self._db.execute("pragma user_version").fetchone()
            if format_ not in (0, _FORMAT):
                raise QueueError(f"{file} was written by a newer release: update this kit")
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version = {_FORMAT}")
        except sqlite3.DatabaseError:
            self._db.close()
            raise QueueError(f"{file} is no queue of a kit, or is damaged: keep it, and name another file") from None
        if new:
            _sync_folder(file.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keep_key(self, key: SealingKey) -> None:
        """What is queued from now on is sealed to this key."""
        with self._transaction():
            self._db.execute("delete from sealing_key")
            self._db.execute("insert into sealing_key values (?, ?, ?)", (key.version, key.point, key.terminal))

    def key(self) -> SealingKey | None:
        """The service's key, as it was heard of last; None: never."""
        row = self._db.execute("select version, point, terminal from sealing_key").fetchone()
        return SealingKey(*row) if row else None

    def add(self, item: SealedApplication) -> int:
        """It is on the disk when this returns; how many wait. Under an id that waits already nothing is added."""
        with self._transaction():
            self._db.execute(
                "insert or ignore into item (id, key_version, ephemeral_key, sealed, seal_time_ms) values (?, ?, ?, ?, ?)",
                (item.id, item.key_version, item.ephemeral_key, item.sealed, item.seal_time_ms),
            )
        return self.count()

    def count(self) -> int:
        """How many wait."""
        found: int = self._db.execute("select count(*) from item").fetchone()[0]
        return found

    def items(self) -> Iterator[SealedApplication]:
        """Those that wait now, oldest first."""
        last = 0
        while row := self._db.execute(_NEXT, (last,)).fetchone():
            last = row[0]
            yield SealedApplication(*row[1:])

    def ids(self, most: int) -> list[str]:
        """Of those that have waited longest."""
        return [row[0] for row in self._db.execute("select id from item order by number limit ?", (most,))]

    def settle(self, verdicts: Iterable[Verdict]) -> None:
        """What was decided waits no more; the verdict stays."""
        with self._transaction():
            for one in verdicts:
                self._db.execute("delete from item where id = ?", (one.id,))
                self._db.execute(
                    "insert or replace into verdict values (?, ?, ?, ?, ?, ?)",
                    (one.id, one.application_id, one.reason, one.message, one.seal_time_ms, one.verdict_time_ms),
                )

    def verdicts(self, most: int = 100) -> list[Verdict]:
        """The newest first."""
        rows = self._db.execute("select * from verdict order by verdict_time_ms desc, id limit ?", (most,))
        return [Verdict(*row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")


def _sync_folder(folder: Path) -> None:
    """That the file is there is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
