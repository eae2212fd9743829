"""What changes of a holder who stays the same person: each form says it anew."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from services.card.domain.document import Document
from services.card.domain.person import Person
from services.card.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Particulars:
    """As a form says; what is empty, or None, it does not say, and it stays."""

    phone: str = field(repr=False, default="")
    address: str = field(repr=False, default="")
    nationality: str = field(repr=False, default="")
    category: str = ""
    resident: bool | None = None
    document: Document | None = None
    """That was shown, and that leads to the holder."""
    valid_until: date | None = field(repr=False, default=None)
    """The document's last day; None: the form names none, or it has no end."""


def on_form(person: Person, document: Document, valid_until: date | None) -> Particulars:
    """What a form says of a person; category and residence stand elsewhere on it."""
    return Particulars(person.phone, person.address, person.nationality, document=document, valid_until=valid_until)


OF_PERSON: Final = ("phone", "address", "nationality")
"""What is sealed with the person."""


def brought_up_to_date(person: Person, told: Particulars, *, gaps_alone: bool) -> Person:
    """A person with what a form says. `gaps_alone`: it is another's word, and what is known already stays."""
    said = {part: getattr(told, part) for part in OF_PERSON if not (gaps_alone and getattr(person, part))}
    return replace(person, **{part: text for part, text in said.items() if text})


def may_tell(age: int, below_years: int, guardian: bool | None, *, verified: bool) -> Refusal | None:
    """Why somebody who stands there does not change a holder's phone and address; None: they do.

    `guardian`: whether who acts for the holder is one; None: nobody acts for the holder.
    """
    if not verified:
        return Refusal.IDENTITY_NOT_VERIFIED
    if age < below_years:
        return None if guardian else Refusal.GUARDIAN_NEEDED
    if guardian is None:
        return None
    return Refusal.NOT_A_MINOR if guardian else Refusal.PROXY_MAY_NOT
