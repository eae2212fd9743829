"""What a look has found: one plain line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """How a thing is; the sign that people see."""

    WELL = "✓"
    SICK = "✗"
    UNSEEN = "?"


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing, how it is, and what to do about it."""

    thing: str
    health: Health
    said: str
    todo: str = ""
    runbook: str = ""
    """The page in docs/runbooks, without its ending."""


def well(thing: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(thing, Health.WELL, said)


def sick(thing: str, said: str, todo: str, runbook: str = "") -> Finding:
    """Somebody has to do something."""
    return Finding(thing, Health.SICK, said, todo, runbook)


def unseen(thing: str, why: str, todo: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(thing, Health.UNSEEN, why, todo)


def exit_status(found: Iterable[Finding]) -> int:
    """0: all is well; 1: something is wrong; 2: nothing seen is wrong, but something could not be looked at."""
    seen = {finding.health for finding in found}
    return 1 if Health.SICK in seen else 2 if Health.UNSEEN in seen else 0


def lasting(seconds: float) -> str:
    """How long, as people say it."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"
