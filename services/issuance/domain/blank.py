"""A blank from the supplier's delivery to its destruction: one table of transitions; it is in exactly one place."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.issuance.domain.refusal import Refusal


class BlankState(IntEnum):
    """Where a blank is in its life. The numbers are stored and travel: never changed, never used again."""

    ANNOUNCED = 0
    """It stands in a delivery file that is being read; no transaction ends like that."""
    RECEIVED = 1
    BOXED = 2
    ASSIGNED = 3
    """In the hands of a window or a kit, and good for a card."""
    RESERVED = 4
    PERSONALISING = 5
    VERIFIED = 6
    PRINTED = 7
    HANDED_OVER = 8
    SPOILED = 9
    RETURNED = 10
    """Spoiled, or found again, and back at the depot."""
    DESTROYED = 11
    IN_TRANSFER = 12
    RETURNED_UNUSED = 13
    MISSING = 14


class Verb(IntEnum):
    """What is done to a blank. The numbers are stored: never changed, never used again."""

    RECEIVE = 1
    BOX = 2
    ASSIGN = 3
    RESERVE = 4
    RELEASE = 5
    """The applicant has left before the chip was touched."""
    BEGIN = 6
    VERIFY = 7
    PRINT = 8
    HAND_OVER = 9
    SPOIL = 10
    RETURN = 11
    RETURN_UNUSED = 12
    DESTROY = 13
    TRANSFER = 14
    ARRIVE = 15
    MISS = 16
    FIND = 17
    RESUME = 18
    """Another stream has taken the record; it stays as it is, under a higher epoch."""
    BAR = 19
    """The vault gives nothing for it any more."""


DEPOT: Final = "DEPOT"
TRANSIT: Final = "TRANSIT"
HOLDER: Final = "HOLDER"
DESTROYED: Final = "DESTROYED"
MISSING: Final = "MISSING"
NO_TERMINALS: Final = frozenset({DEPOT, TRANSIT, HOLDER, DESTROYED, MISSING})
"""Places that are no terminal; every other place is the subject of a terminal's certificate: a window, or a kit."""

_S, _V = BlankState, Verb
UNFINISHED: Final = frozenset({_S.RESERVED, _S.PERSONALISING, _S.VERIFIED})
"""A record holds it, and its plastic is not printed yet."""
UNUSED: Final = UNFINISHED | {_S.ASSIGNED}
"""Its plastic is white: a clerk counts it among those that can be used."""
ON_HAND: Final = UNUSED | {_S.PRINTED}
"""A card may still come of it, at a terminal."""
_AT_DEPOT: Final = frozenset({_S.BOXED, _S.RETURNED_UNUSED})


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    states: frozenset[BlankState]
    to: BlankState | None
    """None: the state stays; of a blank that arrives it is the one that it had before."""
    signatures: int = 1
    """How many people answer for it; of a spoiled blank the second one signs when it is returned at the latest."""
    barred: bool = False
    """Also for a blank that is barred."""
    goes: bool = False
    """To another place."""


TABLE: Final[dict[Verb, Rule]] = {
    _V.RECEIVE: Rule(frozenset({_S.ANNOUNCED}), _S.RECEIVED),
    _V.BOX: Rule(frozenset({_S.RECEIVED}), _S.BOXED),
    _V.ASSIGN: Rule(_AT_DEPOT, _S.ASSIGNED, goes=True),
    _V.RESERVE: Rule(frozenset({_S.ASSIGNED}), _S.RESERVED),
    _V.RELEASE: Rule(frozenset({_S.RESERVED}), _S.ASSIGNED, barred=True),
    _V.BEGIN: Rule(frozenset({_S.RESERVED}), _S.PERSONALISING),
    _V.VERIFY: Rule(frozenset({_S.PERSONALISING}), _S.VERIFIED),
    _V.PRINT: Rule(frozenset({_S.VERIFIED}), _S.PRINTED),
    _V.HAND_OVER: Rule(frozenset({_S.PRINTED}), _S.HANDED_OVER, goes=True),
    _V.SPOIL: Rule(ON_HAND | _AT_DEPOT, _S.SPOILED, barred=True),
    _V.RETURN: Rule(frozenset({_S.SPOILED}), _S.RETURNED, barred=True, goes=True),
    _V.RETURN_UNUSED: Rule(frozenset({_S.ASSIGNED}), _S.RETURNED_UNUSED, goes=True),
    _V.DESTROY: Rule(frozenset({_S.RETURNED}), _S.DESTROYED, 2, barred=True, goes=True),
    # By hand only those that nobody has begun with; a record that is resumed elsewhere takes its blank along as it is.
    _V.TRANSFER: Rule(ON_HAND, _S.IN_TRANSFER, goes=True),
    _V.ARRIVE: Rule(frozenset({_S.IN_TRANSFER}), None, goes=True),
    _V.MISS: Rule(ON_HAND | _AT_DEPOT | {_S.SPOILED, _S.RETURNED, _S.IN_TRANSFER}, _S.MISSING, 2, barred=True, goes=True),
    _V.FIND: Rule(frozenset({_S.MISSING}), _S.RETURNED, 2, barred=True, goes=True),
    _V.RESUME: Rule(UNFINISHED | {_S.PRINTED}, None),
    _V.BAR: Rule(UNUSED, None),
}
HELD: Final = frozenset({_V.RELEASE, _V.BEGIN, _V.VERIFY, _V.PRINT, _V.HAND_OVER, _V.RESUME})
"""Done by whoever has the record that holds the blank, and by nobody else."""

_WHY_NOT: Final = {
    _S.ANNOUNCED: Refusal.BLANK_AT_DEPOT,
    _S.RECEIVED: Refusal.BLANK_AT_DEPOT,
    _S.BOXED: Refusal.BLANK_AT_DEPOT,
    _S.RETURNED_UNUSED: Refusal.BLANK_AT_DEPOT,
    _S.ASSIGNED: Refusal.BLANK_NOT_BEGUN,
    _S.RESERVED: Refusal.BLANK_IN_USE,
    _S.PERSONALISING: Refusal.BLANK_IN_USE,
    _S.VERIFIED: Refusal.BLANK_IN_USE,
    _S.PRINTED: Refusal.BLANK_PRINTED,
    _S.HANDED_OVER: Refusal.BLANK_HANDED_OVER,
    _S.SPOILED: Refusal.BLANK_SPOILED,
    _S.RETURNED: Refusal.BLANK_RETURNED,
    _S.DESTROYED: Refusal.BLANK_DESTROYED,
    _S.IN_TRANSFER: Refusal.BLANK_IN_TRANSFER,
    _S.MISSING: Refusal.BLANK_MISSING,
}


@dataclass(frozen=True, slots=True)
class Blank:
    """A blank as it is now. Nothing in it is personal."""

    serial: str
    card_identifier: str
    product: str
    box: str
    state: BlankState
    place: str
    destination: str = ""
    """Where it goes, in transfer."""
    before: BlankState = BlankState.ANNOUNCED
    """In transfer: what it was before."""
    record: int = 0
    """Which issuance record it is, or was last, made for; 0: none."""
    epoch: int = 0
    application: int = 0
    barred: bool = False
    attempts: int = 0
    """How often a stream has taken it."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A record, and the epoch under which somebody has taken it."""

    record: int
    epoch: int


def decide(blank: Blank, verb: Verb, fence: Fence | None = None, *, at: str = "") -> BlankState | Refusal:
    """The state afterwards, or why not; `fence`: of whoever makes the card; `at`: where they stand, when it is reserved."""
    rule = TABLE[verb]
    if fence and blank.record == fence.record and fence.epoch < blank.epoch:
        return Refusal.SUPERSEDED
    if blank.state not in rule.states:
        return _WHY_NOT[blank.state]
    if blank.barred and not rule.barred:
        return Refusal.BLANK_BARRED
    if (fence or verb in HELD) and verb is not Verb.RESERVE and (fence is None or blank.record != fence.record):
        return Refusal.BLANK_OF_ANOTHER
    if verb is Verb.RESERVE and blank.place != at:
        return Refusal.BLANK_ELSEWHERE
    return _arrived(blank) if verb is Verb.ARRIVE else rule.to or blank.state


def place_after(blank: Blank, verb: Verb, wanted: str = "") -> str:
    """Where it is afterwards; `wanted`: to whom it is assigned."""
    if not TABLE[verb].goes:
        return blank.place
    match verb:
        case Verb.HAND_OVER:
            return HOLDER
        case Verb.RETURN | Verb.RETURN_UNUSED | Verb.FIND:
            return DEPOT
        case Verb.DESTROY:
            return DESTROYED
        case Verb.TRANSFER:
            return TRANSIT
        case Verb.MISS:
            return MISSING
        case Verb.ARRIVE:
            return blank.destination
    return wanted


def _arrived(blank: Blank) -> BlankState:
    return BlankState.RETURNED_UNUSED if blank.destination == DEPOT else blank.before
