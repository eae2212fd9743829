"""Terminals and their certificates: what they are, how long one is good, and why one is not given."""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from services.card.domain.refusal import Refusal


class TerminalKind(IntEnum):
    """What a terminal is. The numbers are stored and travel: never changed, never used again."""

    WINDOW = 1
    KIOSK = 2
    """Its identity reader is believed."""
    KIT = 3
    """On wheels, for on-site issuance."""
    EMPLOYER = 4
    """An employer's program."""


class TerminalState(IntEnum):
    """How far a request, or its certificate, has come. The numbers are stored and travel."""

    PENDING = 1
    """Asked for by one person, not yet approved by another."""
    ENROLLED = 2
    REVOKED = 3
    REJECTED = 4


@dataclass(frozen=True, slots=True)
class TerminalRules:
    """How long certificates are good, by what they are for."""

    window_days: int
    kiosk_days: int
    kit_days: int
    employer_days: int

    def life(self, kind: TerminalKind) -> timedelta:
        """From the moment of issue."""
        days = {
            TerminalKind.WINDOW: self.window_days,
            TerminalKind.KIOSK: self.kiosk_days,
            TerminalKind.KIT: self.kit_days,
            TerminalKind.EMPLOYER: self.employer_days,
        }
        return timedelta(days=days[kind])


def decidable(state: TerminalState, requested_by: int, staff: int) -> Refusal | None:
    """Why somebody who holds the right may not approve or reject a request; None: go on."""
    if state is not TerminalState.PENDING:
        return Refusal.TERMINAL_DECIDED
    return Refusal.OWN_REQUEST if requested_by == staff else None
