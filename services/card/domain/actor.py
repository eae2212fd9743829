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
    TERMINAL = 5
    """Nobody is known at it yet."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, where, and with what trust."""

    kind: ActorKind
    number: int = 0
    """Of the staff account, or of the holder; 0: a holder to be, who is not registered yet."""
    roles: frozenset[Role] = frozenset()
    shift: int | None = None
    """The signed-in session: a shift of the staff, a session of a holder."""
    terminal: str = ""
    """The subject of the certificate that asks."""
    outlet: str = ""
    """Where the terminal stands: the service outlet's code; empty for none."""
    service: str = ""
    abroad: bool = False
    """At a service point across the border, as its certificate says."""
    reading: bytes = b""
    """Of a holder to be: the digest of the document that was read."""

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
            case ActorKind.TERMINAL:
                return f"terminal:{self.terminal}"

    @property
    def caller(self) -> str:
        """Whose request ids they are: a terminal's, and there each holder's own."""
        return f"{self.terminal} {self.name}" if self.kind is ActorKind.HOLDER else self.terminal

    def may_touch(self, holder: int) -> bool:
        """A holder acts for themselves alone."""
        return self.kind is not ActorKind.HOLDER or self.number == holder


TIMER = Actor(ActorKind.TIMER)
OPERATOR = Actor(ActorKind.SERVICE, service="card")
"""Whoever runs the service's own commands."""
