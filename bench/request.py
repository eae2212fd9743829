"""What is asked online, again and again: a payment in one step, of one terminal."""

from typing import Final

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1.payments_pb2 import AuthorizeRequest
from services.common.peer import Subject
from simulation.city import HANDHELD, MERCHANTS
from simulation.riders import card_identifier

SUBJECT: Final = Subject(MERCHANTS[0].merchant_id, HANDHELD).uri
"""Who asks."""
REQUEST: Final = AuthorizeRequest(
    request_id="0" * 10, card_identifier=card_identifier(0), amount=Money(amount_fen=1), capture=True
).SerializeToString()
"""The process that is measured gives each arrival a name and a card of its own, about as long as these."""
