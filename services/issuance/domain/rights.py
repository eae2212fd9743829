"""What people of the staff may do in issuance: one table of rights and the roles that hold them."""

from enum import IntEnum
from typing import Final

from services.issuance.domain.actor import Actor, Role


class Right(IntEnum):
    """What can be asked for."""

    ISSUE = 1
    """Make cards."""
    UPDATE_CARD = 2
    SEE_BLANKS = 3
    RECEIVE_BLANKS = 4
    """From the supplier, and what comes back to the depot: whoever takes them answers for them."""
    ASSIGN_BLANKS = 5
    TRANSFER_BLANKS = 6
    SPOIL_BLANK = 7
    DESTROY_BLANKS = 8
    REPORT_MISSING = 9
    COUNTERSIGN = 10
    CLOSE_SHIFT = 11
    CHECK_CARD = 12
    """Look at what is on a chip."""


_COUNTER: Final = frozenset({Role.CLERK, Role.SUPERVISOR})
_KEEPER: Final = frozenset({Role.BLANK_KEEPER})

RIGHTS: Final[dict[Right, frozenset[Role]]] = {
    Right.ISSUE: _COUNTER,
    Right.UPDATE_CARD: _COUNTER,
    Right.SEE_BLANKS: _COUNTER | _KEEPER,
    Right.RECEIVE_BLANKS: _KEEPER,
    Right.ASSIGN_BLANKS: _KEEPER,
    Right.TRANSFER_BLANKS: _COUNTER | _KEEPER,
    Right.SPOIL_BLANK: _COUNTER | _KEEPER,
    Right.DESTROY_BLANKS: _KEEPER,
    Right.REPORT_MISSING: _COUNTER | _KEEPER,
    Right.COUNTERSIGN: frozenset({Role.SUPERVISOR, Role.BLANK_KEEPER}),
    Right.CLOSE_SHIFT: _COUNTER,
    Right.CHECK_CARD: _COUNTER | _KEEPER,
}

NOT_ABROAD: Final = frozenset({Right.ISSUE, Right.UPDATE_CARD})
"""Nobody holds these at a service point across the border: what goes onto a card is not masked."""


def may(actor: Actor, right: Right) -> bool:
    """Whether somebody who is signed in holds a right."""
    return bool(actor.roles & RIGHTS[right]) and not (actor.abroad and right in NOT_ABROAD)
