"""Who acts: a person of the staff at a terminal, a holder, the hotline, a service, or the clock."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a person of the staff is trusted with; one person may hold several."""

    CLERK = 1
    SUPERVISOR = 2
    BLANK_KEEPER = 3
    CUSTODIAN = 4
    """Holds a component of a key."""
    OPERATOR = 5
    AUDITOR = 6
    """Audit administration."""
    SECURITY_ADMINISTRATOR = 7
    DATABASE_ADMINISTRATOR = 8
    HOTLINE = 9
    """By telephone: may report a temporary loss, and sees masked data."""


SEPARATE = frozenset({Role.AUDITOR, Role.SECURITY_ADMINISTRATOR, Role.DATABASE_ADMINISTRATOR})
"""Nobody holds two of these (三员分立)."""


class ActorKind(IntEnum):
    """What kind of party acts."""

    STAFF = 1
    HOLDER = 2
    """In a session of one's own, at a kiosk or online."""
    SERVICE = 3
    """Another service of the platform, by its certificate."""
    TIMER = 4
    """Ourselves, because a time has come."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, where, and with what trust."""

    kind: ActorKind
    number: int = 0
    """Of the staff account, or of the holder."""
    roles: frozenset[Role] = frozenset()
    shift: int | None = None
    """The signed-in session."""
    terminal: str = ""
    """The subject of the certificate that asks."""
    outlet: str = ""
    """Where the terminal stands: the service outlet's code; empty for none."""
    service: str = ""

    @property
    def name(self) -> str:
        """As it stands in the audit and on timelines: no person's name."""
        match self.kind:
            case ActorKind.STAFF:
                return f"staff:{self.number}"
            case ActorKind.HOLDER:
                return f"holder:{self.number}"
            case ActorKind.SERVICE:
                return f"service:{self.service}"
            case ActorKind.TIMER:
                return "timer"


TIMER = Actor(ActorKind.TIMER)
