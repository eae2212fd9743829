"""A card: its three axes, social, financial and production, which are kept apart, and what else decides about it."""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum


class SocialStatus(IntEnum):
    """社会保障应用状态, by the official codes."""

    SEALED = 0
    NORMAL = 1
    FORMALLY_LOST = 2
    LOCKED = 3
    TEMPORARILY_LOST = 4
    CANCELLED = 9


class FinancialStatus(IntEnum):
    """What the bank's side of the card can do."""

    INACTIVE = 1
    ACTIVE = 2
    BANK_REFUSED = 3
    """The bank opens no account; the social side stays."""
    CLOSED = 9
    NONE = 10
    """A temporary card has no financial function."""


class Production(IntEnum):
    """Where the plastic is, by the field's codes."""

    BATCHED = 10
    BANK_SENT = 20
    BANK_RETURNED = 21
    FACTORY = 30
    CENTRE = 40
    INSTANT_DONE = 50
    INSTANT_FAILED = 51
    AT_OUTLET = 60
    ISSUED = 70


class CardKind(IntEnum):
    """An ordinary card, or the one that bridges the wait for it."""

    ORDINARY = 1
    TEMPORARY = 2
    """Lives for days, without financial function."""


class ElectronicLevel(IntEnum):
    """What the electronic card that goes with a card was signed up for."""

    NONE = 0
    """There is none."""
    QUERY = 1
    """To show who its holder is, and to query."""
    PAYMENT = 2


class Underway(IntEnum):
    """An application that is open, by what it means for the applicant's cards."""

    CAN_END = 1
    """It was not sent anywhere yet, or its card is made and not enabled: it can end with a card."""
    AT_BANK = 2
    IN_PRODUCTION = 3


LIVE = frozenset({SocialStatus.NORMAL, SocialStatus.FORMALLY_LOST, SocialStatus.LOCKED, SocialStatus.TEMPORARILY_LOST})
"""A person has at most one card of a kind in one of these, and beside it at most one sealed one, its successor."""
LOST = frozenset({SocialStatus.FORMALLY_LOST, SocialStatus.TEMPORARILY_LOST})
BARRED = LOST | {SocialStatus.LOCKED, SocialStatus.CANCELLED}
"""Such a card stands on the hotlist."""


@dataclass(frozen=True, slots=True)
class Card:
    """What decides about a card."""

    id: int
    holder: int
    card_identifier: str
    kind: CardKind
    social: SocialStatus
    financial: FinancialStatus
    production: Production
    version: int
    has_bank_account: bool = False
    valid_until: date | None = None
    """The last day; for a temporary card its short life."""
    loss_until_ms: int = 0
    """When a temporary loss ends by itself."""
    successor: int | None = None
    """The card that took this one's place."""
    predecessor: int | None = None
    """The card whose place this one takes at the switch."""
    predecessor_in_hand: bool = False
    """The card whose place this one takes is not lost: it is to be given back."""
    underway: Underway | None = None
    """What its holder has applied for; None: nothing that is open."""
    issue_date: date | None = None
    electronic: ElectronicLevel = ElectronicLevel.NONE
    electronic_locked: bool = False
    """After too many wrong passwords, until its holder comes."""
    electronic_outlives_loss: bool = False
    """While the card is lost for a time its holder lets the electronic one be used."""
