"""Who a card in the reader is: what it tells everybody."""

from collections.abc import Generator
from dataclasses import dataclass

from services.issuance.domain.conversation import Conversation, ConversationEnded, read_identifier
from services.issuance.domain.effects import Answer, Effect, Past, Refused
from services.issuance.domain.product import Product


@dataclass(frozen=True, slots=True)
class Probed:
    """32 hexadecimal digits in capitals; nothing has proven them yet."""

    card_identifier: str


def probe(product: Product) -> Generator[Effect, Answer, Probed | Refused]:
    """Select the application and read the identifier; the product was told by the answer to reset."""
    talk = Conversation(product, Past())
    try:
        return Probed((yield from read_identifier(talk)).hex().upper())
    except ConversationEnded as ended:
        return ended.refused
