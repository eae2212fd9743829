"""Consents: each to one purpose by itself, given and withdrawn (PIPL Art. 28-31)."""

from dataclasses import dataclass
from enum import IntEnum

from services.card.domain.refusal import Refusal


class ConsentKind(IntEnum):
    """To what. The numbers are stored and travel: never changed, never used again."""

    FINANCE = 1
    """The bank's side of the card."""
    LOCATION = 2
    """Where the card was used."""
    MINOR = 3
    """A guardian's, to the data of a child."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A word on one purpose, by the holder or a guardian."""

    kind: ConsentKind
    given: bool
    time_ms: int
    by_guardian: bool
    actor: str
    """Who wrote it down."""
    outlet: str


def consentable(kind: ConsentKind, age: int, below_years: int, guardian: bool | None) -> Refusal | None:
    """Why a word on a purpose does not count; None: it does. For a child the guardian speaks, and nobody else.

    `guardian`: whether who acts for the holder is one; None: nobody acts for the holder.
    """
    if age < below_years:
        return None if guardian else Refusal.GUARDIANS_CONSENT_NEEDED
    if kind is ConsentKind.MINOR:
        return Refusal.NOT_A_MINOR
    return Refusal.PROXY_MAY_NOT if guardian is False else None
