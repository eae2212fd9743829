"""Messages about cards, read and written."""

from typing import Any, Final

from onecard.issuance.v1 import issuance_pb2 as messages
from services.common.grpc.reading import bad, request_id
from services.issuance.adapters.card_service import Declined
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.handlers.check_card import Checked
from services.issuance.handlers.update_card import Update

_MOST_ATR: Final = 33


def atr_of(atr: bytes) -> bytes:
    """Raises DomainError."""
    if not 0 < len(atr) <= _MOST_ATR:
        raise bad("atr", f"1 to {_MOST_ATR} bytes are wanted")
    return atr


def update_of(begin: messages.BeginUpdate) -> Update:
    """Raises DomainError."""
    if begin.WhichOneof("change") is None:
        raise bad("change", "it must be named")
    pin = begin.new_pin if begin.HasField("new_pin") else None
    content = messages.BeginUpdate()
    content.CopyFrom(begin)
    content.request_id = ""
    if pin is not None:
        content.new_pin = ""
    return Update(
        request_id(begin.request_id),
        content.SerializeToString(deterministic=True),
        atr_of(begin.atr),
        begin.card_identifier.upper(),
        begin.presented,
        pin,
    )


def checked_of(checked: Checked) -> messages.Checked:
    """Nothing in it is personal."""
    blank = checked.blank
    records: list[Any] = [{"place": one.place, "state": one.state} for one in checked.records]
    proof: Any = checked.proof  # the numbers agree, a test holds it
    return messages.Checked(
        product=checked.product,
        card_identifier=checked.card_identifier,
        blank_serial=blank.serial if blank else "",
        blank_state=blank.state.name if blank else "",
        card=checked.card,
        records=[messages.CheckedRecord(**one) for one in records],
        agrees=checked.agrees,
        refusal=refusal_of(checked.refusal),
        proof=proof,
    )


def refusal_of(refusal: Refusal | Declined | None) -> messages.Refusal | None:
    """With the sentence that a clerk can say."""
    match refusal:
        case None:
            return None
        case Declined(reason, message):
            return messages.Refusal(reason=reason, message=message)
        case reason:
            return messages.Refusal(reason=reason, message=sentence(reason))
