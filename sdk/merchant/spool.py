"""The terminal's memory: a SQLite file that keeps every transaction until its outcome has come back.

It allocates sequence numbers, keeps the signed bytes, says what is due to be emitted (again), and moves a transaction
from `pending` to `answered` when its outcome arrives; so pending and answered together are everything that was ever
emitted from it (answered ones are forgotten after 30 days). Every change is one transaction with `synchronous=FULL`: what
a method has returned survives a power cut. One process at a time holds a spool; others may read it.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeVar

from sdk.merchant.transaction import SignedRecord

SCHEMA = """
create table if not exists terminal (
    id            integer primary key,
    merchant_id   text not null,
    terminal_id   text not null,
    last_sequence integer not null,
    unique (merchant_id, terminal_id)
);
create table if not exists pending (
    id        integer primary key,          -- order of arrival
    terminal  integer not null references terminal,
    sequence  integer not null,
    digest    blob not null,
    topic     text not null,
    key       blob not null,
    record    blob not null,
    keep_ms   integer not null,             -- when it was taken
    emissions integer not null,             -- how often it was handed to the emitter
    due_ms    integer not null,             -- when it is to be emitted (again)
    unique (terminal, sequence, digest)
);
create index if not exists pending_by_due on pending (due_ms);
create table if not exists answered (
    terminal    integer not null references terminal,
    sequence    integer not null,
    digest      blob not null,
    revision    integer not null,           -- the highest that was seen
    verdict     integer not null,           -- onecard.payments.v1.Verdict
    reason      integer not null,           -- onecard.payments.v1.Reason
    fare_fen    integer not null,
    charged_fen integer not null,
    batch       integer not null,
    row         integer not null,
    decide_ms   integer not null,
    answer_ms   integer not null,           -- when the first outcome arrived here
    primary key (terminal, sequence, digest)
) without rowid;
-- How far each merchant's outcomes were heard: everything before it is in `answered`.
create table if not exists heard (
    merchant_id text primary key,
    cursor      blob not null
) without rowid;
-- How far a file of transactions was taken: a second run goes on behind that line.
create table if not exists source (
    digest    blob primary key,
    name      text not null,
    last_line integer not null,
    taken     integer not null,
    rejected  integer not null,
    take_ms   integer not null
);
"""

DAY_MS = 86_400_000


class Drawn(Protocol):
    """What the spool has to know of a tap before it can count it."""

    @property
    def merchant_id(self) -> str: ...  # noqa: D102
    @property
    def terminal_id(self) -> str: ...  # noqa: D102
    @property
    def terminal_sequence(self) -> int | None: ...  # noqa: D102


TapT = TypeVar("TapT", bound=Drawn)


class Kept(Enum):
    """What became of a tap that was given to the spool."""

    NEW = "new"
    REPEATED = "repeated"
    """The same transaction was kept before; it is not kept, and not emitted, a second time."""
    REUSED = "reused"
    """Its sequence number was used before by another transaction; it was not taken."""


class Spooled(NamedTuple):
    """A pending record with its number in the spool."""

    id: int
    topic: str
    key: bytes
    record: bytes


class Taking(NamedTuple):
    """The result of one `take`: a word for each tap in its order, and the new records."""

    kept: list[Kept]
    new: list[Spooled]


class Source(NamedTuple):
    """How far a file of transactions was taken."""

    digest: bytes
    """SHA-256 of the file."""
    name: str
    last_line: int
    taken: int
    rejected: int


class Outcome(NamedTuple):
    """What became of a transaction, as `payments.outcomes` tells it."""

    merchant_id: str
    terminal_id: str
    terminal_sequence: int
    digest: bytes
    revision: int
    """0 is the verdict; each later adjustment of the charge adds one."""
    verdict: int
    """onecard.payments.v1.Verdict"""
    reason: int
    """onecard.payments.v1.Reason"""
    fare_fen: int
    charged_fen: int
    batch: int
    row: int
    decide_ms: int


class Answer(NamedTuple):
    """The first outcome of a pending transaction."""

    outcome: Outcome
    keep_ms: int
    """When the transaction was given to the spool."""


class SpoolInUseError(Exception):
    """Another process holds the spool."""


class Spool:
    """One spool file. Its methods may be called from several threads."""

    def __init__(
        self,
        path: Path,
        *,
        first_pause_seconds: float = 30,
        longest_pause_seconds: float = 3600,
        keep_answered_days: float = 30,
    ) -> None:
        """Open or make the file; what an earlier run emitted without an answer is due at once.

        An unanswered transaction is emitted again after `first_pause_seconds`, then after twice as long, up to
        `longest_pause_seconds`. Raises SpoolInUseError.
        """
        self.path = path
        self._first_pause_ms = int(first_pause_seconds * 1000)
        self._longest_pause_ms = int(longest_pause_seconds * 1000)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file of its own: to close a second descriptor of the database would drop SQLite's own locks.
        self._in_use = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._in_use.close()
            raise SpoolInUseError(f"{path} is in use by another process") from None
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, cached_statements=64)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(SCHEMA)
        self.all_due()
        with self._lock, self._transaction() as db:
            db.execute("delete from answered where answer_ms < ?", (_now_ms() - int(keep_answered_days * DAY_MS),))
        self._terminals: dict[tuple[str, str], tuple[int, int]] = {
            (merchant, terminal): (number, last)
            for number, merchant, terminal, last in self._db.execute(
                "select id, merchant_id, terminal_id, last_sequence from terminal"
            )
        }
        self.merchants = {merchant for merchant, _ in self._terminals}
        """The merchants whose transactions were ever taken: a live view, to be copied before it is walked through."""
        self._cursors: dict[str, bytes] = dict(self._db.execute("select merchant_id, cursor from heard"))
        self._last_id: int = self._db.execute("select coalesce(max(id), 0) from pending").fetchone()[0]
        self._pending: int = self._db.execute("select count(*) from pending").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others hold it. A second close does nothing."""
        with self._lock:
            self._db.close()
            self._in_use.close()

    @property
    def pending_count(self) -> int:
        """How many transactions wait for their outcome."""
        return self._pending

    def take(
        self,
        taps: Sequence[TapT],
        sign: Callable[[TapT, int], SignedRecord],
        *,
        emit_ms: int | None = None,
        source: Source | None = None,
    ) -> Taking:
        """Count, sign and keep taps, all in one durable transaction.

        With `emit_ms` the spool itself names them as due from that instant on; without it the caller emits the new
        records now, and they are due only when no outcome has come after the first pause. `source` notes in the same
        transaction how far a file was taken.
        """
        now = _now_ms()
        due, emissions = (now + self._first_pause_ms, 1) if emit_ms is None else (emit_ms, 0)
        taking = Taking([], [])
        rows: list[tuple[int, int, int, bytes, str, bytes, bytes, int, int, int]] = []
        named: dict[tuple[int, int], bytes] = {}
        counters: dict[tuple[str, str], tuple[int, int]] = {}
        with self._lock:
            with self._transaction() as db:
                last_id = self._last_id
                for tap in taps:
                    name = (tap.merchant_id, tap.terminal_id)
                    number, last = counters.get(name) or self._terminals.get(name) or self._register(db, name)
                    sequence = last + 1 if tap.terminal_sequence is None else tap.terminal_sequence
                    signed = sign(tap, sequence)
                    # A number that the spool counts itself is above every one it has seen, so it needs no looking up.
                    before = self._digest_of(db, number, sequence, named) if sequence <= last else None
                    if before is not None:
                        taking.kept.append(Kept.REPEATED if before == signed.digest else Kept.REUSED)
                        continue
                    last_id += 1
                    counters[name] = (number, max(last, sequence))
                    named[number, sequence] = signed.digest
                    rows.append(
                        (last_id, number, sequence, signed.digest, signed.topic, signed.key, signed.record, now, emissions, due)
                    )
                    taking.kept.append(Kept.NEW)
                    taking.new.append(Spooled(last_id, signed.topic, signed.key, signed.record))
                db.executemany("insert into pending values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                db.executemany(
                    "update terminal set last_sequence = ? where id = ?", [(last, number) for number, last in counters.values()]
                )
                if source is not None:
                    db.execute("insert or replace into source values (?, ?, ?, ?, ?, ?)", (*source, now))
            self._terminals |= counters
            self.merchants.update(merchant for merchant, _ in counters)
            self._last_id = last_id
            self._pending += len(rows)
        return taking

    def take_due(self, now_ms: int, limit: int) -> list[Spooled]:
        """At most `limit` records whose time to be emitted (again) has come; each is put off by its doubling pause."""
        with self._lock, self._transaction() as db:
            return [
                Spooled(*row)
                for row in db.execute(
                    "update pending set emissions = emissions + 1, due_ms = ?1 + min(?2, ?3 << min(emissions, 20)) where id in"
                    " (select id from pending where due_ms <= ?1 order by due_ms limit ?4) returning id, topic, key, record",
                    (now_ms, self._longest_pause_ms, self._first_pause_ms, limit),
                )
            ]

    def pending(self) -> list[tuple[str, str, int, bytes]]:
        """(merchant, terminal, sequence, digest) of everything unanswered."""
        with self._lock:
            return self._db.execute(
                "select merchant_id, terminal_id, sequence, digest from pending join terminal on terminal.id = terminal"
            ).fetchall()

    def next_due_ms(self) -> int | None:
        """When the next record is to be emitted; None when nothing is pending."""
        with self._lock:
            due: int | None = self._db.execute("select min(due_ms) from pending").fetchone()[0]
            return due

    def not_delivered(self, ids: Iterable[int]) -> None:
        """The broker did not take these: they are due at once, and the attempt does not count."""
        with self._lock, self._transaction() as db:
            db.executemany("update pending set due_ms = 0, emissions = max(emissions - 1, 0) where id = ?", [(i,) for i in ids])

    def all_due(self, merchant_id: str | None = None) -> None:
        """Let everything unanswered, perhaps of one merchant alone, be emitted again at once."""
        with self._lock, self._transaction() as db:
            db.execute(
                "update pending set due_ms = 0 where emissions > 0 and (?1 is null or terminal in"
                " (select id from terminal where merchant_id = ?1))",
                (merchant_id,),
            )

    def release(self) -> None:
        """Let what was held back for later be emitted now."""
        with self._lock, self._transaction() as db:
            db.execute("update pending set due_ms = 0 where emissions = 0")

    def cursor(self, merchant_id: str) -> bytes | None:
        """Behind what a merchant's outcomes are in the spool; None when none were ever heard."""
        return self._cursors.get(merchant_id)

    def answer(self, outcomes: Iterable[Outcome], cursors: Mapping[str, bytes] | None = None) -> list[Answer]:
        """Note outcomes, in any order and any number of times; the newly answered transactions come back.

        An outcome answers only the transaction with its identity and digest. Outcomes of transactions that are not of this
        spool are passed over; of one that was answered before the highest revision is kept. `cursors` says how far each
        merchant's outcomes were heard with these; it is noted in the same transaction.
        """
        highest: dict[tuple[int, int, bytes], Outcome] = {}
        for outcome in outcomes:
            terminal = self._terminals.get((outcome.merchant_id, outcome.terminal_id))
            if terminal is None:
                continue
            key = (terminal[0], outcome.terminal_sequence, outcome.digest)
            seen = highest.get(key)
            if seen is None or outcome.revision > seen.revision:
                highest[key] = outcome
        if not highest and not cursors:
            return []
        answers: list[Answer] = []
        now = _now_ms()
        ids: list[tuple[int]] = []
        rows: list[tuple[object, ...]] = []
        adjusted: list[tuple[object, ...]] = []
        with self._lock:
            with self._transaction() as db:
                for key, outcome in highest.items():
                    found = db.execute(
                        "select id, keep_ms from pending where terminal = ? and sequence = ? and digest = ?", key
                    ).fetchone()
                    if found is None:
                        adjusted.append((*outcome[4:], *key, outcome.revision))
                        continue
                    ids.append((found[0],))
                    rows.append((*key, *outcome[4:], now))
                    answers.append(Answer(outcome, found[1]))
                db.executemany("insert into answered values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                db.executemany("delete from pending where id = ?", ids)
                db.executemany(
                    "update answered set revision = ?, verdict = ?, reason = ?, fare_fen = ?, charged_fen = ?, batch = ?,"
                    " row = ?, decide_ms = ? where terminal = ? and sequence = ? and digest = ? and revision < ?",
                    adjusted,
                )
                db.executemany("insert or replace into heard values (?, ?)", list((cursors or {}).items()))
            self._pending -= len(ids)
            self._cursors.update(cursors or {})
        return answers

    def source(self, digest: bytes) -> Source | None:
        """How far a file was taken, or None if it was never seen."""
        with self._lock:
            row = self._db.execute(
                "select digest, name, last_line, taken, rejected from source where digest = ?", (digest,)
            ).fetchone()
            return row and Source(*row)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("begin immediate")
        try:
            yield self._db
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    @staticmethod
    def _register(db: sqlite3.Connection, name: tuple[str, str]) -> tuple[int, int]:
        row: tuple[int, int] = db.execute(
            "insert into terminal (merchant_id, terminal_id, last_sequence) values (?, ?, 0) returning id, last_sequence", name
        ).fetchone()
        return row

    @staticmethod
    def _digest_of(db: sqlite3.Connection, terminal: int, sequence: int, named: dict[tuple[int, int], bytes]) -> bytes | None:
        if (terminal, sequence) in named:
            return named[terminal, sequence]
        row = db.execute(
            "select digest from pending where terminal = ?1 and sequence = ?2"
            " union all select digest from answered where terminal = ?1 and sequence = ?2",
            (terminal, sequence),
        ).fetchone()
        return row[0] if row else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
