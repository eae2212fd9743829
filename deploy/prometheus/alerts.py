"""The table of alerts: how alerts.toml is read, and what it may say."""

from pathlib import Path
from typing import Final

import msgspec

from deploy.prometheus.times import seconds_of

ALERTS: Final = Path(__file__).parent / "alerts.toml"


class Severity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How urgent, who is told, and how often again."""

    meaning: str
    receiver: str
    group_wait: str
    group_interval: str
    repeat_interval: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that Prometheus keeps over several windows, because asking anew each time costs too much."""

    name: str
    """With ${window}, as in the table whatever the scale."""
    interval: str
    windows: list[str]
    expressions: dict[str, str]
    """By what they are about, which becomes the label `what`."""


class Alert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One alert, without its name."""

    summary: str
    description: str
    severity: str
    runbook: str
    expression: str
    fault: str = ""
    """The fault of the simulation that fires it."""
    proof: str = ""
    """Why no fault does, and promtool alone shows that it fires."""
    times: dict[str, str] = {}
    wait: str = msgspec.field(name="for", default="")
    hides: list[str] = []
    alike: list[str] = []


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    severities: dict[str, Severity]
    records: dict[str, Record]
    alerts: dict[str, Alert]


def read_alerts(file: Path = ALERTS) -> Table:
    """Raises msgspec.ValidationError where the file does not say what it must."""
    return msgspec.toml.decode(file.read_bytes(), type=Table)


def holes(table: Table, runbooks: Path) -> list[str]:
    """What is missing or leads nowhere."""
    found = []
    for name, alert in table.alerts.items():
        if alert.severity not in table.severities:
            found.append(f"{name}: there is no severity {alert.severity}")
        if not (runbooks / f"{alert.runbook}.md").is_file():
            found.append(f"{name}: there is no page docs/runbooks/{alert.runbook}.md")
        if bool(alert.fault) == bool(alert.proof):
            found.append(f"{name}: either a fault fires it, or there is a reason why none does")
        found += [f"{name}: it hides {other}, which is no alert" for other in alert.hides if other not in table.alerts]
        found += [f"{name}: {key} is no time: {time}" for key, time in alert.times.items() if not seconds_of(time)]
    pages = {page.stem for page in runbooks.glob("*.md")} - {"README"}
    found += [f"docs/runbooks/{page}.md: no alert leads there" for page in sorted(pages - _pages(table))]
    index = (runbooks / "README.md").read_text(encoding="utf-8") if (runbooks / "README.md").exists() else ""
    found += [
        f"{name}: docs/runbooks/README.md has no row for it"
        for name, alert in table.alerts.items()
        if f"| `{name}` | {alert.severity} | [{alert.runbook}]({alert.runbook}.md) |" not in index
    ]
    return found


def _pages(table: Table) -> set[str]:
    return {alert.runbook for alert in table.alerts.values()}
