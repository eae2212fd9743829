"""An issuance record: one blank on its way to one application's card. It is taken by one stream at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.issuance.domain.actor import Actor
from services.issuance.domain.blank import Blank, Fence
from services.issuance.domain.effects import Past
from services.issuance.domain.stage import Stage


class RecordState(IntEnum):
    """How it stands. The numbers are stored: never changed, never used again."""

    RESERVED = 1
    """The blank is held; perhaps the card service has begun a card with it."""
    TOUCHED = 2
    """Something was perhaps written onto the chip."""
    VERIFIED = 3
    """The chip is whole, and the plastic white."""
    PRINT_RELEASED = 4
    """It was perhaps printed: nobody but a person who looks at it can tell."""
    PRINTED = 5
    """It lies at the outlet."""
    COMPLETING = 6
    """The holder takes it, and the card service is asked for the switch."""
    WAITING = 7
    """In its holder's hand; the card service was away, and is told as soon as it answers."""
    WITHDRAWING = 8
    """Nothing was written; the card service has to be told that nothing comes of it."""
    SPOILING = 9
    """The blank is spoiled; its number has to be retired before another one is reserved."""
    ISSUED = 10
    RELEASED = 11
    SPOILED = 12


_S = RecordState
NEXT: Final[Mapping[RecordState, frozenset[RecordState]]] = {
    _S.RESERVED: frozenset({_S.TOUCHED, _S.VERIFIED, _S.PRINT_RELEASED, _S.WITHDRAWING, _S.SPOILING, _S.RELEASED, _S.SPOILED}),
    _S.TOUCHED: frozenset({_S.VERIFIED, _S.PRINT_RELEASED, _S.SPOILING}),
    _S.VERIFIED: frozenset({_S.PRINT_RELEASED, _S.SPOILING}),
    _S.PRINT_RELEASED: frozenset({_S.VERIFIED, _S.PRINTED, _S.SPOILING}),
    _S.PRINTED: frozenset({_S.COMPLETING, _S.SPOILING, _S.ISSUED, _S.SPOILED}),
    _S.COMPLETING: frozenset({_S.PRINTED, _S.WAITING, _S.ISSUED}),
    _S.WAITING: frozenset({_S.ISSUED}),
    _S.WITHDRAWING: frozenset({_S.RELEASED, _S.SPOILED}),
    _S.SPOILING: frozenset({_S.SPOILED}),
    _S.ISSUED: frozenset(),
    _S.RELEASED: frozenset(),
    _S.SPOILED: frozenset(),
}
OPEN: Final = frozenset(state for state, after in NEXT.items() if after)
"""Its blank and its application are held."""
UNWRITTEN: Final = frozenset({_S.RESERVED})
"""The blank can be given back."""
WITHOUT_CHIP: Final = frozenset({_S.RESERVED, _S.TOUCHED, _S.VERIFIED, _S.PRINT_RELEASED, _S.PRINTED})
"""Somebody who has only the plastic may end it: nobody has the card yet, and nobody takes it at this moment."""


class Debt(IntEnum):
    """What the card service has to be told. The numbers are stored: never changed, never used again."""

    MADE = 1
    FAILED = 2
    """Its numbers are retired, and the application waits for another blank."""
    COMPLETE = 3


@dataclass(frozen=True, slots=True)
class Record:
    """As it was when it was taken."""

    id: int
    epoch: int
    state: RecordState
    application: int
    serial: str
    stage: Stage
    card: int = 0
    """Of the registry; 0: not known here."""
    spoiled_because: str = ""

    @property
    def fence(self) -> Fence:
        """Under which its blank is moved."""
        return Fence(self.id, self.epoch)


@dataclass(frozen=True, slots=True)
class Taken:
    """A stream has it now, and no other one."""

    record: Record
    blank: Blank
    past: Past
    actor: Actor
