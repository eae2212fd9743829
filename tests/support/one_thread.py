"""A ledger in memory: one batch after the other, decided by the product's own rules, with no database between."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.payments.domain.account import Account, AccountStatus, HolderAccount
from services.payments.domain.book import Book, Journal, Rules
from services.payments.domain.card import Card, CardStatus, CategoryPeriod, SpendingLimitPeriod, StatusPeriod
from services.payments.domain.operation import Answered, OpenAccount, Operation, Ruling
from services.payments.domain.payment import Payment
from services.payments.domain.posting import decide, histories_wanted
from services.payments.domain.ride import History
from services.payments.domain.tap import Tap
from services.payments.domain.verdict import Reason

SINCE_EVER = (StatusPeriod(CardStatus.NORMAL, 0),)


def a_card(
    name: str,
    periods: tuple[StatusPeriod, ...] = SINCE_EVER,
    *,
    category: str = "ordinary",
    birth_date: date = date(1990, 6, 15),
    limits: tuple[SpendingLimitPeriod, ...] = (),
) -> Card:
    """In order since ever, unless it is said otherwise."""
    categories = (CategoryPeriod(category, resident=True, valid_from_ms=0),)
    return Card(name, birth_date, periods, categories, 1, 1, spending_limit_periods=limits)


@dataclass(slots=True)
class OneThread:
    """What a ledger knows, and `decide`."""

    rules: Rules
    now_ms: int
    book: Book = field(default_factory=lambda: Book({}, {}))
    batch: int = 0
    accrued_fen: Counter[int] = field(default_factory=Counter)
    """Credits minus debits of the accounts that are not guarded."""
    promised_fen: Counter[int] = field(default_factory=Counter)
    """What holds promise them."""
    rides: dict[tuple[int, str], History] = field(default_factory=dict)

    def add(self, *accounts: Account) -> None:
        """Accounts that are there from the beginning."""
        locked, cards = dict(self.book.locked), dict(self.book.accounts)
        for account in accounts:
            locked[account.id] = account
            if isinstance(account, HolderAccount):
                cards.update((card.card_identifier, account) for card in account.cards)
        self.book.locked, self.book.accounts = locked, cards

    def post(
        self, operations: Sequence[Operation] = (), taps: Sequence[Tap] = (), *, batch: int = 0, now_ms: int = 0
    ) -> Journal:  # fmt: skip
        """Decide a batch; what it opened is there for the next one."""
        self.batch = batch or self.batch + 1
        wanted = histories_wanted(taps, self.book, self.rules)
        self.book.histories = {place: self.rides.setdefault(place, History()) for place in wanted}
        journal = decide(taps, operations, self.book, self.rules, self.batch, now_ms or self.now_ms)
        for ride in journal.rides:
            history = self.rides.setdefault((ride.account_id, ride.key), History())
            if not history.has(ride.place):
                history.rides.insert(history.position(ride.place), ride)
        for leg in journal.legs:
            if leg.debit_account not in self.book.locked:
                self.accrued_fen[leg.debit_account] -= leg.amount_fen
            if leg.credit_account not in self.book.locked:
                self.accrued_fen[leg.credit_account] += leg.amount_fen
        self.promised_fen.update(journal.pending)
        self._open(journal.opened)
        return journal

    def _open(self, opened: Iterable[OpenAccount]) -> None:
        for asked in opened:
            if asked.purse is not None:
                holder = self.book.locked[asked.purse.owner]
                assert isinstance(holder, HolderAccount)
                holder.purses.append(asked.purse)
                self.add(asked.purse)
            elif asked.guarded:
                self.add(Account(asked.account_id, 0, asked.overdraft_fen, AccountStatus.OPEN))

    def ask(self, operation: Operation, *, now_ms: int = 0) -> Answered:
        """An operation that comes alone."""
        (answer,) = self.post([operation], now_ms=now_ms).answered
        return answer

    def rule(self, operation: Operation, *, now_ms: int = 0) -> Ruling:
        """One that is decided."""
        answer = self.ask(operation, now_ms=now_ms)
        assert answer.ruling is not None, answer.problem
        return answer.ruling

    def reason(self, operation: Operation, *, now_ms: int = 0) -> Reason:
        return self.rule(operation, now_ms=now_ms).reason

    def funds(self, account_id: int) -> tuple[int, int]:
        """(available, held)"""
        account = self.book.locked[account_id]
        return account.available_fen, account.held_fen

    def payment(self, ruling: Ruling) -> Payment:
        assert ruling.payment is not None
        return self.book.payments[ruling.payment]
