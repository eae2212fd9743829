"""Accounts: a holder's purses under one lock, guarded accounts of the city, and accounts that only accrue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from services.payments.domain.card import Card
from services.payments.domain.tap import Terminal

FIRST_HOLDER_ACCOUNT = 2**32
"""Holders' accounts are numbered from here by the card service; lower numbers are the ledger's own accounts."""
FIRST_PURSE_ACCOUNT = 2**60
"""Purses bound to a purpose are numbered from here."""

Usage = Mapping[str, Any]
"""What tariffs and limits count about a holder (rides, spend, last boarding); JSON values, each keeps its own key."""
SPENT_ONLINE, SPENT_WATCHED, RESERVED = "online", "guardian", "reserved"
"""Keys of usage that no tariff may have."""


class AccountKind(IntEnum):
    """What an account is for; the numbers are stored."""

    HOLDER = 1
    MERCHANT_PAYABLE = 2
    FUND = 3
    HOTLIST_LOSSES = 4
    BANK_SETTLEMENT = 5
    PURSE = 6
    BACK_OFFICE = 7
    PLACES = 8
    """The other sides of the places of sites."""


class AccountStatus(IntEnum):
    """The numbers are stored and are those of onecard.payments.v1.AccountStatus."""

    OPEN = 1
    FROZEN = 2
    """Nothing is taken from it; money may come."""
    CLOSED = 3
    """Empty, for ever."""


@dataclass(slots=True)
class Account:
    """A locked account while a batch is decided: made for that batch and changed by nothing but `decide`.

    The changes stand apart, for they are what is written.
    """

    id: int
    available_fen: int
    """Posted credits minus posted and pending debits: held money is not available."""
    overdraft_fen: int
    status: AccountStatus
    held_fen: int = 0
    """Pending debits."""
    debits_fen: int = 0
    """What this batch takes from it."""
    credits_fen: int = 0
    held_change_fen: int = 0
    status_changed: bool = False

    def can_pay(self, amount_fen: int) -> bool:
        """Whether money and overdraft bear the whole amount."""
        return self.available_fen + self.overdraft_fen >= amount_fen

    def gives(self, amount_fen: int) -> bool:
        """Whether so much may be taken from it now, overdraft included."""
        return self.status is AccountStatus.OPEN and self.can_pay(amount_fen)

    def take(self, amount_fen: int) -> None:
        """Take an amount that was found to be there."""
        self.available_fen -= amount_fen
        self.debits_fen += amount_fen

    def give(self, amount_fen: int) -> None:
        """Bring an amount."""
        self.available_fen += amount_fen
        self.credits_fen += amount_fen

    def hold(self, amount_fen: int) -> None:
        """Hold an amount that was found to be there; a negative one lets go."""
        self.available_fen -= amount_fen
        self.held_fen += amount_fen
        self.held_change_fen += amount_fen

    @property
    def empty(self) -> bool:
        """Whether it may be closed."""
        return not self.available_fen and not self.held_fen

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self.debits_fen or self.credits_fen or self.held_change_fen or self.status_changed)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a bound purse pays for: kinds of merchants, and merchants by name."""

    scenes: frozenset[int] = frozenset()
    merchants: frozenset[str] = frozenset()
    one_at_a_time: bool = False
    """Whether a holder gets the next one only when the last one is void or closed."""
    longest_ms: int = 0
    """How long a purse may be good at most; 0: for ever."""

    def covers(self, terminal: Terminal) -> bool:
        """Whether it pays at this terminal."""
        return terminal.scene in self.scenes or terminal.merchant_id in self.merchants


@dataclass(slots=True)
class Purse(Account):
    """A purse bound to a purpose (meal subsidy, training voucher), under its holder's lock."""

    owner: int = 0
    purpose: str = ""
    void_after_ms: int = 0
    """From then on it pays no more; 0: never."""
    fund_account: int = 0
    """Where its money goes when it is void."""

    def void_at(self, time_ms: int) -> bool:
        """Whether it pays no more."""
        return bool(self.void_after_ms) and time_ms >= self.void_after_ms


@dataclass(slots=True)
class HolderAccount(Account):
    """A holder's main purse, and all that hangs on its lock."""

    cards: tuple[Card, ...] = ()
    usage: Usage = field(default_factory=dict)
    usage_changed: bool = False
    purse_count: int = 0
    purses: list[Purse] = field(default_factory=list)

    def card(self, card_identifier: str) -> Card:
        """The card that was tapped; the card table said that it points here."""
        for card in self.cards:
            if card.card_identifier == card_identifier:
                return card
        raise AssertionError("the card table points to an account that does not know the card")

    def use(self, usage: Usage) -> None:
        """Note what is counted from now on."""
        if usage is not self.usage:
            self.usage = usage
            self.usage_changed = True

    def split(
        self, amount_fen: int, terminal: Terminal, purposes: Mapping[str, Purpose], time_ms: int, *, overdraft: bool
    ) -> list[tuple[Account, int]] | None:
        """Which purse pays how much: those bound to a purpose where they may, the soonest void first, then the main purse.

        None when all of them together do not bear the amount. Bound purses never go below zero.
        """
        parts, rest = self._from_bound(amount_fen, terminal, purposes, time_ms)
        if rest:
            if rest > self.available_fen + (self.overdraft_fen if overdraft else 0):
                return None
            parts.append((self, rest))
        return parts

    def bear(
        self, amount_fen: int, terminal: Terminal, purposes: Mapping[str, Purpose], time_ms: int
    ) -> tuple[list[tuple[Account, int]], int]:
        """As much of an amount as there is, overdraft included, by purse; and what is not there. None of it while not open."""
        if self.status is not AccountStatus.OPEN:
            return [], amount_fen
        parts, rest = self._from_bound(amount_fen, terminal, purposes, time_ms)
        part = min(rest, max(0, self.available_fen + self.overdraft_fen))
        if part:
            parts.append((self, part))
        return parts, rest - part

    def _from_bound(
        self, amount_fen: int, terminal: Terminal, purposes: Mapping[str, Purpose], time_ms: int
    ) -> tuple[list[tuple[Account, int]], int]:
        """What bound purses pay, and the rest."""
        parts: list[tuple[Account, int]] = []
        rest = amount_fen
        for purse in self._bound(terminal, purposes, time_ms):
            part = min(rest, purse.available_fen)
            if part > 0:
                parts.append((purse, part))
                rest -= part
        return parts, rest

    def _bound(self, terminal: Terminal, purposes: Mapping[str, Purpose], time_ms: int) -> Iterable[Purse]:
        may = [
            purse
            for purse in self.purses
            if purse.status is AccountStatus.OPEN
            and not purse.void_at(time_ms)
            and (purpose := purposes.get(purse.purpose)) is not None
            and purpose.covers(terminal)
        ]
        return sorted(may, key=lambda purse: (purse.void_after_ms or _NEVER, purse.id))

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self.debits_fen or self.credits_fen or self.held_change_fen or self.usage_changed or self.status_changed)


_NEVER = 2**63
