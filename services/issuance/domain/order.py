"""What is to be made: a card of the registry, with all that goes onto its chip and its plastic."""

from dataclasses import dataclass, field

from services.issuance.domain.card_data import CardData


@dataclass(frozen=True, slots=True)
class Order:
    """Asked for when it is needed, and never stored."""

    application: int
    """0: none is open for this card any more."""
    card: int
    data: CardData
    photo: bytes = field(repr=False, default=b"")
    """JPEG; empty where none is kept any more."""
    temporary: bool = False
    old_card_wanted: bool = False
    """The holder's older card has to be given back."""
