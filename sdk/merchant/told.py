"""Reads a spool for people: what became of its transactions. Works beside the process that holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple


class Tally(NamedTuple):
    """How many transactions of a merchant ended the same way, and what they came to."""

    merchant_id: str
    verdict: int
    """onecard.payments.v1.Verdict; 0 for those that have no outcome yet."""
    reason: int
    """onecard.payments.v1.Reason"""
    transactions: int
    fare_fen: int
    charged_fen: int


class Told(NamedTuple):
    """One transaction and its outcome."""

    merchant_id: str
    terminal_id: str
    terminal_sequence: int
    verdict: int
    reason: int
    fare_fen: int
    charged_fen: int
    decide_ms: int


class SpoolReader:
    """A view of a spool file that changes nothing."""

    def __init__(self, path: Path, *, merchant_id: str | None = None, reason: int | None = None) -> None:
        """Of one merchant and of one reason, or of all. Raises FileNotFoundError."""
        if not path.exists():
            raise FileNotFoundError(path)
        self._path = path
        self._wanted = {"merchant": merchant_id, "reason": reason}

    def tallies(self) -> list[Tally]:
        """All transactions, counted; those without an outcome only when no reason is asked for."""
        query = (
            "select merchant_id, verdict, reason, count(*), sum(fare_fen), sum(charged_fen)"
            " from answered join terminal on terminal.id = terminal"
            " where merchant_id = coalesce(:merchant, merchant_id) and reason = coalesce(:reason, reason) group by 1, 2, 3"
            " union all select merchant_id, 0, 0, count(*), 0, 0 from pending join terminal on terminal.id = terminal"
            " where merchant_id = coalesce(:merchant, merchant_id) and :reason is null group by 1 order by 1, 2, 3"
        )
        with self._opened() as db:
            return [Tally(*row) for row in db.execute(query, self._wanted)]

    def latest(self, limit: int) -> list[Told]:
        """The transactions that were decided last, the newest first."""
        query = (
            "select merchant_id, terminal_id, sequence, verdict, reason, fare_fen, charged_fen, decide_ms"
            " from answered join terminal on terminal.id = terminal"
            " where merchant_id = coalesce(:merchant, merchant_id) and reason = coalesce(:reason, reason)"
            " order by decide_ms desc, batch desc, row desc limit :limit"
        )
        with self._opened() as db:
            return [Told(*row) for row in db.execute(query, {**self._wanted, "limit": limit})]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            yield db
