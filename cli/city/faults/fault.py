"""A fault: something that goes wrong in a city on purpose, from outside, as the real trouble would, and is mended again."""

from collections.abc import Callable
from dataclasses import dataclass

from cli.city.city import City
from deploy.prometheus.alerts import Table

Act = Callable[[City], None]


def nothing(_: City) -> None:
    """There is nothing to be done."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Which alerts it fires stands in deploy/prometheus/alerts.toml, and nowhere else."""

    name: str
    what: str
    """In a line, for people."""
    begin: Act
    mend: Act
    prepare: Act = nothing
    """What a city must have for it, before it begins."""
    also: frozenset[str] = frozenset()
    """Alerts that may fire beside those it is for: what else it does to a city, or did until it has caught up."""
    seconds: int = 0
    """How long it takes from its begin to the last word of its end, about, in a city that is well."""
    alone: bool = False
    """Whether it takes away what others need: those that do not are run side by side."""


def fired_by(table: Table, fault: str) -> list[str]:
    """The alerts that a fault is for."""
    return [name for name, alert in table.alerts.items() if alert.fault == fault]


def gaps(table: Table, names: list[str]) -> list[str]:
    """Faults that alerts name and nobody makes, and faults that are for nothing."""
    wanted = {alert.fault for alert in table.alerts.values() if alert.fault}
    return [f"nobody makes the fault {name}" for name in sorted(wanted - set(names))] + [
        f"no alert is fired by the fault {name}" for name in sorted(set(names) - wanted)
    ]
