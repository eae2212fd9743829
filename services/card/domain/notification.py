"""What people are told about their applications and cards: in which words, and when it is tried again.

A message holds no name and no whole number: whoever reads it on somebody else's telephone learns nothing to use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final


class NotificationKind(IntEnum):
    """What a message says. The numbers are stored: never changed, never used again."""

    ACCEPTED = 1
    REFUSED = 2
    READY = 3
    LOST = 4
    RELEASED = 5
    EXPIRING = 6
    NEW_CARD = 7
    CANCELLED = 8


_K = NotificationKind
OF_APPLICATIONS: Final = frozenset({_K.ACCEPTED, _K.REFUSED, _K.READY})
"""Their subject is an application; of the others it is a card."""


class Outcome(IntEnum):
    """How an attempt to tell somebody ended."""

    SENT = 1
    NO_PHONE = 2
    """Nobody can be told; that is no fault."""
    AGAIN = 3
    GIVEN_UP = 4


_APPLICATION, _CARD = frozenset({"application", "outlet"}), frozenset({"card"})
PLACES: Final[Mapping[NotificationKind, frozenset[str]]] = {
    _K.ACCEPTED: _APPLICATION | {"day"},
    _K.REFUSED: frozenset({"application", "cause"}),
    _K.READY: _APPLICATION,
    _K.LOST: _CARD,
    _K.RELEASED: _CARD,
    _K.EXPIRING: _CARD | {"day"},
    _K.NEW_CARD: _CARD | {"day"},
    _K.CANCELLED: _CARD,
}
"""What a text may name, in braces: `card` is the end of the card's number, `day` the last day."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A city's words, by what a message says."""

    accepted: str
    refused: str
    ready: str
    lost: str
    released: str
    expiring: str
    new_card: str
    cancelled: str

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = NotificationKind[field.name.upper()]
            try:
                self.text(kind, dict.fromkeys(PLACES[kind], ""))
            except (KeyError, ValueError, IndexError):
                raise ValueError(f"{field.name}: it may name {', '.join(sorted(PLACES[kind]))}, in braces") from None

    def text(self, kind: NotificationKind, facts: Mapping[str, str]) -> str:
        """The words for one holder."""
        template: str = getattr(self, kind.name.lower())
        return template.format_map({place: facts[place] for place in PLACES[kind]})


@dataclass(frozen=True, slots=True)
class SendingRules:
    """How long a message is tried."""

    retry_seconds: int
    """The first pause; each further one is twice as long."""
    give_up_hours: int


_HOUR_MS: Final = 3600 * 1000


def next_try_ms(rules: SendingRules, attempts: int, created_ms: int, now_ms: int) -> int | None:
    """When a message that was not taken is tried again, after so many earlier attempts; None: it is given up."""
    if now_ms - created_ms >= rules.give_up_hours * _HOUR_MS:
        return None
    return now_ms + min(rules.retry_seconds * 1000 << min(attempts, 16), _HOUR_MS)
