"""All faults, in the order in which they are run: what leaves least behind comes first."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table as Grid

from cli.city.faults import habits, processes, rows
from cli.city.faults.fault import Fault, fired_by
from deploy.prometheus.alerts import Table

FAULTS: Final = {
    fault.name: fault
    for fault in (
        rows.IMBALANCE,
        rows.PENDING_IMBALANCE,
        rows.ALTERED_ACCOUNT,
        habits.GARBAGE,
        habits.FORGED,
        habits.STALE_KEYS,
        habits.REPEATS,
        habits.SKEWED_CLOCK,
        habits.BANK_MISMATCH,
        habits.LOW_STOCK,
        rows.SEAL_BROKEN,
        rows.AUDIT_UNSEALED,
        rows.HOTLIST_STUCK,
        rows.AUDITOR_STUCK,
        processes.RECEIVER_AWAY,
        processes.WORKER_AWAY,
        processes.WORKERS_FROZEN,
        processes.WORKERS_AWAY,
        processes.CARDS_AWAY,
        rows.DATABASE_SLOW,
        processes.DATABASE_AWAY,
    )
}
ALL: Final = "all"


def chosen(names: str) -> list[Fault]:
    """Those that a person named, with commas between them, or all; raises ValueError with those there are."""
    asked = list(FAULTS) if names == ALL else [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in asked if name not in FAULTS]
    if unknown or not asked:
        raise ValueError(f"no fault is called {', '.join(unknown) or 'nothing'}: take some of {', '.join(FAULTS)}, or {ALL}")
    return [fault for name, fault in FAULTS.items() if name in asked]


def rounds(faults: Sequence[Fault], alerts: Mapping[str, set[str]]) -> list[list[Fault]]:
    """Which are run side by side: each alert of a round tells of one of its faults alone. `alerts`: those each is for."""
    made: list[list[Fault]] = []
    for fault in faults:
        together = [] if fault.alone else [some for some in made if not some[0].alone]
        mine = alerts[fault.name] | fault.also
        for some in together:
            theirs = {alert for other in some for alert in alerts[other.name] | other.also}
            if not mine & theirs:
                some.append(fault)
                break
        else:
            made.append([fault])
    return made


def fault_grid(table: Table) -> Grid:
    """The list for people."""
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    grid.add_column("fault", no_wrap=True)
    grid.add_column("what goes wrong")
    grid.add_column("alerts", no_wrap=True)
    grid.add_column("seconds", justify="right")
    for fault in FAULTS.values():
        grid.add_row(fault.name, fault.what, "\n".join(fired_by(table, fault.name)), f"{fault.seconds}")
    return grid
