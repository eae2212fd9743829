"""One operation while it is decided, and what the rules say of it."""

from dataclasses import dataclass
from typing import NamedTuple

from services.payments.domain.book import Book, Journal, Rules
from services.payments.domain.operation import Request
from services.payments.domain.transfer import CNY, Code, Leg
from services.payments.domain.verdict import Reason


class Finding(NamedTuple):
    """What the rules say of one operation."""

    reason: Reason
    amount_fen: int
    account_id: int = 0
    payment: bytes | None = None


@dataclass(slots=True)
class Turn:
    """One operation's turn: what it is decided on, and where its legs go."""

    request: Request
    book: Book
    rules: Rules
    journal: Journal
    batch: int
    row: int
    now_ms: int
    moved_fen: int = 0
    legs: int = 0

    def move(
        self, code: Code, debit: int, credit: int, amount_fen: int, account_id: int, *, currency: int = CNY, at_ms: int = 0
    ) -> None:
        """Post a transfer; accounts that are not locked accrue it."""
        if (account := self.book.locked.get(debit)) is not None:
            account.take(amount_fen)
        if (account := self.book.locked.get(credit)) is not None:
            account.give(amount_fen)
        leg = Leg(
            self.request.caller.number, 0, at_ms or self.now_ms, self.row, self.legs, code, debit, credit, amount_fen,
            account_id, currency,
        )  # fmt: skip
        self.journal.legs.append(leg)
        self.legs += 1
        self.moved_fen += amount_fen
