"""The electronic card: it goes with one physical card, and what it may be used for follows from both."""

from enum import IntEnum

from services.card.domain.card import Card, ElectronicLevel, FinancialStatus, SocialStatus
from services.card.domain.refusal import Refusal


class ElectronicUse(IntEnum):
    """What an electronic card may be used for now. The numbers travel in events and are stored."""

    NOTHING = 1
    IDENTIFY = 2
    PAY = 3


class TokenPurpose(IntEnum):
    """What a one-time token is for."""

    IDENTIFY = 1
    PAY = 2


def use_of(card: Card) -> ElectronicUse:
    """Loss and locks of the card, and the bank's side, considered."""
    lost_but_let = card.social is SocialStatus.TEMPORARILY_LOST and card.electronic_outlives_loss
    if card.electronic_locked or not (card.social is SocialStatus.NORMAL or lost_but_let):
        return ElectronicUse.NOTHING
    match card.electronic:
        case ElectronicLevel.NONE:
            return ElectronicUse.NOTHING
        case ElectronicLevel.PAYMENT if card.financial is FinancialStatus.ACTIVE:
            return ElectronicUse.PAY
    return ElectronicUse.IDENTIFY


def unusable(card: Card, purpose: TokenPurpose) -> Refusal | None:
    """Why no token is made, or taken, for a purpose; None: it may be."""
    use = use_of(card)
    if use is ElectronicUse.NOTHING:
        return _why_not(card)
    if purpose is TokenPurpose.PAY and use is not ElectronicUse.PAY:
        return Refusal.ACCOUNT_NOT_ACTIVE if card.electronic is ElectronicLevel.PAYMENT else Refusal.ELECTRONIC_LEVEL_TOO_LOW
    return None


def _why_not(card: Card) -> Refusal:
    if card.social is SocialStatus.CANCELLED:
        return Refusal.CANCELLED
    if card.electronic is ElectronicLevel.NONE:
        return Refusal.NO_ELECTRONIC_CARD
    if card.electronic_locked:
        return Refusal.ELECTRONIC_LOCKED
    return Refusal.LOCKED if card.social is SocialStatus.LOCKED else Refusal.CARD_IS_LOST
