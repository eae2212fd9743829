"""Accounts: a holder's purse under its lock, and the city's own accounts that only accrue."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from services.payments.domain.card import Card

FIRST_HOLDER_ACCOUNT = 2**32
"""Holders' accounts are numbered from here by the card service; lower numbers are the ledger's own accounts."""

Usage = Mapping[str, Any]
"""What tariffs count about a holder (rides, spend, last boarding); JSON values, each tariff keeps its own key."""


class AccountKind(IntEnum):
    """What an account is for; the numbers are stored."""

    HOLDER = 1
    MERCHANT_PAYABLE = 2
    FUND = 3
    HOTLIST_LOSSES = 4
    BANK_SETTLEMENT = 5


class AccountStatus(IntEnum):
    """The numbers are stored."""

    OPEN = 1
    FROZEN = 2
    CLOSED = 3


@dataclass(slots=True)
class HolderAccount:
    """A locked account while a batch is decided: made for that batch and changed by nothing but `decide`."""

    id: int
    available_fen: int
    """Posted credits minus posted and pending debits: held money is not available."""
    overdraft_fen: int
    status: AccountStatus
    cards: tuple[Card, ...]
    usage: Usage
    debits_fen: int = 0
    """What this batch takes from it."""
    usage_changed: bool = False

    def card(self, card_identifier: str) -> Card:
        """The card that was tapped; the card table said that it points here."""
        for card in self.cards:
            if card.card_identifier == card_identifier:
                return card
        raise AssertionError("the card table points to an account that does not know the card")

    def can_pay(self, amount_fen: int) -> bool:
        """Whether purse and overdraft bear the whole amount."""
        return self.available_fen + self.overdraft_fen >= amount_fen

    def pay(self, amount_fen: int) -> None:
        """Take an amount that `can_pay` allowed."""
        self.available_fen -= amount_fen
        self.debits_fen += amount_fen
