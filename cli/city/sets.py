"""The sets of a reconciliation in one temporary SQLite file, compared by primary key: memory stays small, however many."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

from onecard.payments.v1.dead_letters_pb2 import CAUSE_IDENTITY_CONFLICT
from onecard.payments.v1.outcomes_pb2 import REASON_IDENTITY_CONFLICT
from sdk.merchant.transaction import identity_of

EXAMPLES = 5

SCHEMA = """
create table terminal (
    id integer primary key, merchant_id text not null, terminal_id text not null, unique (merchant_id, terminal_id)
);
create table emitted (          -- by a spool, with the outcome that came back
    terminal integer, sequence integer, digest blob, revision integer,
    verdict integer, reason integer, fare_fen integer, charged_fen integer, batch integer, row integer,
    primary key (terminal, sequence, digest)
) without rowid;
create table decided (          -- by the ledger, with the latest adjustment
    terminal integer, sequence integer, digest blob, revision integer not null default 0,
    verdict integer, reason integer, fare_fen integer, charged_fen integer, batch integer, row integer,
    primary key (terminal, sequence, digest)
) without rowid;
create table aside (            -- an open dead letter whose identity can be read
    terminal integer, sequence integer, digest blob, cause integer,
    primary key (terminal, sequence, digest)
) without rowid;
create table noise (            -- sent without an identity
    digest blob primary key
) without rowid;
create table noise_aside (      -- an open dead letter without an identity
    digest blob primary key, cause integer
) without rowid;
"""

SPOOL_TERMINALS = (
    "insert or ignore into main.terminal (merchant_id, terminal_id) select merchant_id, terminal_id from spool.terminal"
)
SPOOL_RECORDS = """
insert into main.emitted
select t.id, r.sequence, r.digest, {columns} from spool.{table} r
join spool.terminal s on s.id = r.terminal
join main.terminal t on t.merchant_id = s.merchant_id and t.terminal_id = s.terminal_id where true
on conflict do {conflict}"""
PENDING = SPOOL_RECORDS.format(table="pending", columns="null, null, null, null, null, null, null", conflict="nothing")
ANSWERED = SPOOL_RECORDS.format(
    table="answered",
    columns="r.revision, r.verdict, r.reason, r.fare_fen, r.charged_fen, r.batch, r.row",
    conflict="""update set revision = excluded.revision, verdict = excluded.verdict, reason = excluded.reason,
    fare_fen = excluded.fare_fen, charged_fen = excluded.charged_fen, batch = excluded.batch, row = excluded.row
    where emitted.revision is null or excluded.revision > emitted.revision""",
)


class Check(NamedTuple):
    """A rule, the rows that break it, and what an example says of one."""

    rule: str
    rows: str
    example: str = "merchant_id || ' ' || terminal_id || ' ' || sequence || ', digest ' || lower(hex(substr(digest, 1, 4)))"


SAME = "using (terminal, sequence, digest)"
NAMED = "join terminal on terminal.id = terminal"
FIELDS = "{0}.verdict, {0}.reason, {0}.revision, {0}.fare_fen, {0}.charged_fen, {0}.batch, {0}.row"
CHECKS = (
    Check(
        "emitted, but neither decided nor put aside",
        f"emitted e {NAMED} left join decided d {SAME} left join aside a {SAME} where d.verdict is null and a.cause is null",
    ),
    Check("decided and put aside at once", f"decided d {NAMED} join aside a {SAME}"),
    Check("decided, but never emitted", f"decided d {NAMED} left join emitted e {SAME} where e.terminal is null"),
    Check("put aside, but never emitted", f"aside a {NAMED} left join emitted e {SAME} where e.terminal is null"),
    Check("decided, but its outcome never came back", f"decided d {NAMED} join emitted e {SAME} where e.verdict is null"),
    Check(
        "the outcome is not the verdict, or not its latest adjustment",
        f"decided d {NAMED} join emitted e {SAME} where e.verdict is not null"
        f" and ({FIELDS.format('e')}) is not ({FIELDS.format('d')})",
    ),
    Check(
        "a conflict whose outcome never came back, or says something else",
        f"aside a {NAMED} join emitted e {SAME}"
        f" where a.cause = {CAUSE_IDENTITY_CONFLICT} and e.reason is not {REASON_IDENTITY_CONFLICT}",
    ),
    Check(
        "answered, although it was put aside",
        f"aside a {NAMED} join emitted e {SAME} where a.cause <> {CAUSE_IDENTITY_CONFLICT} and e.verdict is not null",
    ),
    Check(
        "sent without an identity, but not put aside",
        "noise left join noise_aside a using (digest) where a.cause is null",
        "'SHA-256 ' || lower(hex(digest))",
    ),
    Check(
        "put aside without an identity, but never sent",
        "noise_aside left join noise n using (digest) where n.digest is null",
        "'SHA-256 ' || lower(hex(digest))",
    ),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that is broken, how often, and the first few cases."""

    rule: str
    count: int
    examples: Sequence[str]


class Decided(NamedTuple):
    """A verdict of the ledger."""

    terminal: int
    """As `Sets.terminal` numbers it."""
    sequence: int
    digest: bytes
    verdict: int
    reason: int
    fare_fen: int
    charged_fen: int
    batch: int
    row: int


class Adjusted(NamedTuple):
    """What a tap costs after another one has changed its fare."""

    terminal: int
    """As `Sets.terminal` numbers it."""
    sequence: int
    revision: int
    fare_fen: int
    charged_fen: int
    batch: int
    row: int


ADJUST = """
update decided set revision = ?3, fare_fen = ?4, charged_fen = ?5, batch = ?6, row = ?7
where terminal = ?1 and sequence = ?2 and revision < ?3"""


class Sets:
    """What was emitted, what was decided, what was put aside. `with Sets() as sets:` removes the file afterwards."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="onecard-sets-")
        self._db = sqlite3.connect(Path(self._folder.name) / "sets.sqlite", isolation_level=None, uri=True)
        for setting in ("journal_mode = off", "synchronous = off", "cache_size = -65536"):
            self._db.execute(f"pragma {setting}")
        self._db.executescript(SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._folder.cleanup()

    def add_spool(self, path: Path) -> None:
        """Everything that a spool emitted, with the outcomes that came back."""
        with self._attached(path):
            self._db.execute(SPOOL_TERMINALS)
            self._db.execute(PENDING)
            self._db.execute(ANSWERED)

    def add_noise(self, path: Path) -> None:
        """Everything that was sent without an identity."""
        with self._attached(path):
            self._db.execute("insert or ignore into main.noise select digest from spool.raw")

    def add_decided(self, verdicts: Iterable[Decided]) -> None:
        """Verdicts, thousands at once."""
        self._db.execute("begin")
        self._db.executemany("insert into decided values (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)", verdicts)
        self._db.execute("commit")

    def add_adjusted(self, adjustments: Iterable[Adjusted]) -> None:
        """Adjustments of verdicts that are there, in any order."""
        self._db.execute("begin")
        self._db.executemany(ADJUST, adjustments)
        self._db.execute("commit")

    def add_aside(self, record: bytes, cause: int) -> None:
        """An open dead letter; one record that was put aside several times counts once."""
        identity = identity_of(record)
        if identity is None:
            self._db.execute("insert or ignore into noise_aside values (?, ?)", (sha256(record).digest(), cause))
            return
        merchant_id, terminal_id, sequence, digest = identity
        terminal = self.terminal(merchant_id, terminal_id)
        self._db.execute("insert or ignore into aside values (?, ?, ?, ?)", (terminal, sequence, digest, cause))

    def terminal(self, merchant_id: str, terminal_id: str) -> int:
        """The number that stands for a terminal here."""
        name = (merchant_id, terminal_id)
        self._db.execute("insert or ignore into terminal (merchant_id, terminal_id) values (?, ?)", name)
        found = self._db.execute("select id from terminal where merchant_id = ? and terminal_id = ?", name).fetchone()
        return int(found[0])

    def count(self, what: str) -> int:
        """How many rows a table has, perhaps with a condition behind its name."""
        return int(self._db.execute(f"select count(*) from {what}").fetchone()[0])  # noqa: S608  # our own words

    def count_by(self, column: str, what: str) -> dict[int, int]:
        """How many rows there are of each value of a column."""
        return dict(self._db.execute(f"select {column}, count(*) from {what} group by 1 order by 1"))  # noqa: S608

    def problems(self) -> list[Problem]:
        """The rules that are broken."""
        return [problem for check in CHECKS if (problem := self._problem(check))]

    def _problem(self, check: Check) -> Problem | None:
        count = self.count(check.rows)
        if not count:
            return None
        examples = self._db.execute(f"select {check.example} from {check.rows} limit {EXAMPLES}")  # noqa: S608
        return Problem(check.rule, count, [example for (example,) in examples])

    @contextmanager
    def _attached(self, path: Path) -> Iterator[None]:
        self._db.execute("attach ? as spool", (f"{path.absolute().as_uri()}?mode=ro",))
        try:
            yield
        finally:
            self._db.execute("detach spool")
