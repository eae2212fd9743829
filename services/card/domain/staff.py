"""What people of the staff may do: one table of rights and the roles that hold them."""

from enum import IntEnum
from typing import Final

from services.card.domain.actor import SEPARATE, Actor, ActorKind, Role
from services.card.domain.refusal import Refusal


class Right(IntEnum):
    """What can be asked for. The numbers are stored with approvals: never changed, never used again. 14 to 16 were never given.

    The audit is verified, keys are changed and the bank's files are carried by commands: who may is who has the vault's PIN.
    """

    SUBMIT_APPLICATION = 1
    READ_HOLDER = 2
    """Masked."""
    READ_HOLDER_UNMASKED = 3
    CHANGE_CARD = 4
    REPORT_TEMPORARY_LOSS = 5
    CANCEL_CARD = 6
    CORRECT_IDENTITY = 7
    WAIVE_FEE = 8
    RESET_PIN = 9
    APPROVE = 10
    MANAGE_STAFF = 11
    ENROL_TERMINAL = 12
    REVOKE_TERMINAL = 13
    EXPORT_HOLDER = 17
    DELETE_HOLDER = 18
    APPROVE_TERMINAL = 19


_COUNTER: Final = frozenset({Role.CLERK, Role.SUPERVISOR})
_SUPERVISOR: Final = frozenset({Role.SUPERVISOR})
_SECURITY: Final = frozenset({Role.SECURITY_ADMINISTRATOR})

RIGHTS: Final[dict[Right, frozenset[Role]]] = {
    Right.SUBMIT_APPLICATION: _COUNTER,
    Right.READ_HOLDER: _COUNTER | {Role.HOTLINE},
    Right.READ_HOLDER_UNMASKED: _COUNTER,
    Right.CHANGE_CARD: _COUNTER,
    Right.REPORT_TEMPORARY_LOSS: _COUNTER | {Role.HOTLINE},
    Right.CANCEL_CARD: _COUNTER,
    Right.CORRECT_IDENTITY: _COUNTER,
    Right.WAIVE_FEE: _COUNTER,
    Right.RESET_PIN: _COUNTER,
    Right.APPROVE: _SUPERVISOR,
    Right.MANAGE_STAFF: _SECURITY,
    Right.ENROL_TERMINAL: _SECURITY | {Role.OPERATOR},
    Right.REVOKE_TERMINAL: _SECURITY,
    Right.APPROVE_TERMINAL: _SECURITY,
    Right.EXPORT_HOLDER: _SUPERVISOR,
    Right.DELETE_HOLDER: _SUPERVISOR,
}

NOT_ABROAD: Final = frozenset(
    {
        Right.READ_HOLDER_UNMASKED,
        Right.CORRECT_IDENTITY,
        Right.EXPORT_HOLDER,
        Right.DELETE_HOLDER,
    }
)
"""Nobody holds these at a service point across the border: nothing unmasked ever goes there."""


class StaffState(IntEnum):
    """Whether somebody works here."""

    ACTIVE = 1
    SUSPENDED = 2
    LEFT = 3


class Ending(IntEnum):
    """How a shift ended before its time."""

    SIGNED_OUT = 1
    SIGNED_IN_ELSEWHERE = 2
    SUSPENDED = 3
    REVOKED = 4
    """The terminal's certificate was."""
    ACCOUNT_CHANGED = 5
    """Other roles, another outlet, other secrets, or the person has left."""


class StaffVerb(IntEnum):
    """What is done to somebody's account."""

    SUSPEND = 1
    RESUME = 2
    UNLOCK = 3
    """After too many wrong passwords."""
    LEAVE = 4
    CHANGE = 5
    """Roles, outlet."""
    RESET = 6
    """Password and second factor."""


_HERE: Final = frozenset({StaffState.ACTIVE, StaffState.SUSPENDED})
STAFF_TABLE: Final[dict[StaffVerb, tuple[frozenset[StaffState], StaffState | None, Ending | None]]] = {
    StaffVerb.SUSPEND: (frozenset({StaffState.ACTIVE}), StaffState.SUSPENDED, Ending.SUSPENDED),
    StaffVerb.RESUME: (frozenset({StaffState.SUSPENDED}), StaffState.ACTIVE, None),
    StaffVerb.UNLOCK: (_HERE, None, None),
    StaffVerb.LEAVE: (_HERE, StaffState.LEFT, Ending.ACCOUNT_CHANGED),
    StaffVerb.CHANGE: (_HERE, None, Ending.ACCOUNT_CHANGED),
    StaffVerb.RESET: (_HERE, None, Ending.ACCOUNT_CHANGED),
}
"""From which states, to which one (None: as it is), and how an open shift ends (None: it goes on)."""
_WHY_NOT: Final = {
    StaffState.ACTIVE: Refusal.NOT_SUSPENDED,
    StaffState.SUSPENDED: Refusal.ALREADY_SUSPENDED,
    StaffState.LEFT: Refusal.STAFF_LEFT,
}


def manage(verb: StaffVerb, state: StaffState, *, own: bool) -> StaffState | Refusal:
    """The state afterwards, or why not. Nobody changes their own account: so one security administrator always remains."""
    if own:
        return Refusal.OWN_ACCOUNT
    allowed, to, _ = STAFF_TABLE[verb]
    return (to or state) if state in allowed else _WHY_NOT[state]


LEAST_PASSWORD: Final = 10
"""Characters."""


def good_password(login: str, password: str) -> bool:
    """Long enough, and neither the login nor one character over and over."""
    return len(password) >= LEAST_PASSWORD and login not in password and len(set(password)) > 4


def may(actor: Actor, right: Right) -> bool:
    """Whether somebody who is signed in holds a right, where they stand."""
    if actor.abroad and right in NOT_ABROAD:
        return False
    return actor.kind is ActorKind.STAFF and bool(actor.roles & RIGHTS[right])


def separate(roles: frozenset[Role]) -> bool:
    """Whether one person may hold all of these: nobody holds two of database, security and audit administration."""
    return len(roles & SEPARATE) <= 1
