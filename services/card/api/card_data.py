"""What issuance asks and is told: who acts, which blank, and what goes onto a card."""

from typing import Any, Final

from onecard.card.v1 import cards_pb2 as cards
from services.card.api.actors import ISSUANCE
from services.card.api.answers import card_summary
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.card import CardKind
from services.card.domain.card_data import CardData, birthplace_on_chip, nationality_on_chip
from services.card.domain.card_number import is_card_identifier
from services.common.grpc.reading import bad

_NOT_COMPARED: Final = ("acting", "new_pin", "with_card_data")
"""By these a repeat is not told from the first request."""


def acting_of(acting: cards.Acting) -> Actor:
    """On whose behalf issuance asks. Raises DomainError for nobody."""
    if acting.staff_id <= 0:
        raise bad("acting", "who acts must be named")
    where = (acting.terminal, acting.outlet)
    return Actor(ActorKind.STAFF, acting.staff_id, frozenset(), acting.shift_id or None, *where, service=ISSUANCE)


def identifier_of(text: str) -> str:
    """A card identifier as it is stored. Raises DomainError for what cannot be one."""
    identifier = text.upper()
    if not is_card_identifier(identifier):
        raise bad("card_identifier", "32 hexadecimal digits are wanted: city, D156000005, serial number, MAC")
    return identifier


def compared(request: Any) -> bytes:
    """A request of issuance as a repeat of it is known: whoever carries it."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in _NOT_COMPARED:
        if field in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(field)
    content: bytes = copy.SerializeToString(deterministic=True)
    return content


def card_data_of(data: CardData) -> cards.CardData:
    """For issuance alone."""
    card, person = data.card, data.person
    told = cards.CardData(
        application_id=data.application,
        card_id=card.id,
        holder_id=card.holder,
        card_identifier=card.card_identifier,
        temporary_card=card.kind is CardKind.TEMPORARY,
        old_card_wanted=card.predecessor_in_hand,
        card=card_summary(card),
    )
    if person is None:
        return told
    told.card_number = data.card_number
    told.social_security_number = person.social_security_number
    told.name = person.name
    told.sex = person.sex
    told.nationality = nationality_on_chip(person)
    told.birthplace = birthplace_on_chip(person)
    told.birth_date = person.birth_date.isoformat()
    told.issue_date = card.issue_date.isoformat() if card.issue_date else ""
    told.expiry_date = card.valid_until.isoformat() if card.valid_until else ""
    told.photo = data.photo
    return told
