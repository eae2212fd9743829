"""The file of a terminal's hotlist: SQLite, so that after a power cut it is the old list or the new one."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final, NamedTuple

from sdk.merchant.hotlist_update import NOTHING, Step, Update, Version

_SCHEMA: Final = """
create table if not exists card (card_identifier text primary key) without rowid;
create table if not exists list (
    id integer primary key check (id = 1),
    epoch integer not null, version integer not null, publish_ms integer not null, complete_ms integer not null,
    entries integer not null);
"""
_HEAD: Final = "select epoch, version, publish_ms, complete_ms, entries from list"
_WRITE_HEAD: Final = "insert or replace into list values (1, ?, ?, ?, ?, (select count(*) from card))"


class HotlistFileError(Exception):
    """The file is none of a hotlist; the message says which. Remove it, and the list is fetched again."""


class Head(NamedTuple):
    """What is known of the list that is there."""

    at: Version
    publish_ms: int
    complete_ms: int
    entries: int


class HotlistFile:
    """One writes, several threads look: a look waits for no update, and sees the old list until the new one is on the disk."""

    def __init__(self, path: Path) -> None:
        """Open it, however long the list is, within milliseconds. Raises HotlistFileError."""
        self.path = path
        self._writing, self._looking = threading.Lock(), threading.Lock()
        try:
            self._writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._writer.execute("pragma journal_mode = wal")
            self._writer.execute("pragma synchronous = full")
            self._writer.executescript(_SCHEMA)
            self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._reader.execute("pragma query_only = on")
            self.head()
        except sqlite3.DatabaseError as error:
            raise HotlistFileError(f"{path} holds no hotlist ({error}): remove it, and it is fetched again") from None

    def close(self) -> None:
        """What was applied is on the disk already."""
        with self._writing, self._looking:
            self._reader.close()
            self._writer.close()

    def head(self) -> Head:
        """Which list is there."""
        with self._looking:
            row = self._reader.execute(_HEAD).fetchone()
        return Head(Version(row[0], row[1]), *row[2:]) if row else Head(NOTHING, 0, 0, 0)

    def holds(self, card_identifier: str) -> bool:
        """Whether a card stands on it."""
        with self._looking:
            found = self._reader.execute("select 1 from card where card_identifier = ?", (card_identifier,)).fetchone()
        return found is not None

    def cards(self) -> frozenset[str]:
        """All of them."""
        with self._looking:
            return frozenset(card for (card,) in self._reader.execute("select card_identifier from card"))

    def apply(self, update: Update) -> Step:
        """When this returns it is on the disk, as a whole or, where it is not for the list that is there, not at all."""
        with self._writing:
            self._writer.execute("begin immediate")  # another process may keep the same file
            try:
                step = self._apply(update)
            except BaseException:
                self._writer.execute("rollback")
                raise
            self._writer.execute("commit")
        return step

    def _apply(self, update: Update) -> Step:
        row = self._writer.execute(_HEAD).fetchone()
        has, complete_ms = (Version(row[0], row[1]), row[3]) if row else (NOTHING, 0)
        step = update.is_for(has)
        if step is Step.APPLIED:
            if update.from_version == 0:
                self._writer.execute("delete from card")
            self._writer.executemany("delete from card where card_identifier = ?", ((card,) for card in update.removed))
            self._writer.executemany("insert or ignore into card values (?)", ((card,) for card in sorted(update.added)))
        if step is Step.APPLIED or (step is Step.CURRENT and update.complete_ms > complete_ms):
            latest = max(complete_ms, update.complete_ms)
            self._writer.execute(_WRITE_HEAD, (*update.to, update.publish_ms, latest))
        return step
