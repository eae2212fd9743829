"""Who acts: a person of the staff who is signed in at a terminal, as the card service says."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a person of the staff is trusted with. The numbers are those of onecard.card.v1.Role."""

    CLERK = 1
    SUPERVISOR = 2
    BLANK_KEEPER = 3
    CUSTODIAN = 4
    OPERATOR = 5
    AUDITOR = 6
    SECURITY_ADMINISTRATOR = 7
    DATABASE_ADMINISTRATOR = 8
    HOTLINE = 9


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, where, and with what trust."""

    staff: int
    """0: nobody of the staff. The service acts by itself."""
    roles: frozenset[Role]
    shift: int
    """The signed-in session."""
    terminal: str
    """The subject of the certificate that asks."""
    outlet: str
    expire_ms: int
    """When the session ends."""
    abroad: bool = False
    """At a service point across the border, as its certificate says."""

    @property
    def name(self) -> str:
        """As it stands in the audit: no person's name."""
        return f"staff:{self.staff}" if self.staff else "service:issuance"
