"""What people of the staff may do: one table of rights and the roles that hold them."""

from enum import IntEnum
from typing import Final

from services.card.domain.actor import SEPARATE, Actor, ActorKind, Role


class Right(IntEnum):
    """What can be asked for. The numbers are stored with approvals: never changed, never used again."""

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
    READ_AUDIT = 14
    BANK_FILES = 15
    ROTATE_KEYS = 16
    EXPORT_HOLDER = 17
    DELETE_HOLDER = 18


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
    Right.READ_AUDIT: frozenset({Role.AUDITOR}),
    Right.BANK_FILES: frozenset({Role.OPERATOR}),
    Right.ROTATE_KEYS: _SECURITY,
    Right.EXPORT_HOLDER: _SUPERVISOR,
    Right.DELETE_HOLDER: _SUPERVISOR,
}


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


LEAST_PASSWORD: Final = 10
"""Characters."""


def good_password(login: str, password: str) -> bool:
    """Long enough, and neither the login nor one character over and over."""
    return len(password) >= LEAST_PASSWORD and login not in password and len(set(password)) > 4


def may(actor: Actor, right: Right) -> bool:
    """Whether somebody who is signed in holds a right."""
    return actor.kind is ActorKind.STAFF and bool(actor.roles & RIGHTS[right])


def separate(roles: frozenset[Role]) -> bool:
    """Whether one person may hold all of these: nobody holds two of database, security and audit administration."""
    return len(roles & SEPARATE) <= 1
