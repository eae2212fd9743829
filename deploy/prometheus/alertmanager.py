"""Whom Alertmanager tells of which alert, made of the table and of the receivers' addresses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.prometheus.alerts import Alert, Severity, Table
from deploy.prometheus.times import scaled

RECEIVERS: Final = Path(__file__).parents[1] / "alertmanager" / "receivers"


def alertmanager_of(table: Table, receivers: Path = RECEIVERS, scale: float = 1) -> Mapping[str, Any]:
    """`receivers`: a folder with the address of each one's webhook, a file each. Raises OSError where one is missing."""
    names = sorted({severity.receiver for severity in table.severities.values()})
    first = next(iter(table.severities.values()))
    return {
        "route": {
            "receiver": first.receiver,  # what nobody foresaw is urgent
            "group_by": ["alertname"],
            "routes": [_route(name, severity, scale) for name, severity in table.severities.items()],
        },
        "inhibit_rules": [_inhibition(name, alert) for name, alert in table.alerts.items() if alert.hides],
        "receivers": [_receiver(name, receivers) for name in names],
    }


def _route(name: str, severity: Severity, scale: float) -> Mapping[str, Any]:
    return {
        "receiver": severity.receiver,
        "matchers": [f'severity="{name}"'],
        "group_wait": scaled(severity.group_wait, scale),
        "group_interval": scaled(severity.group_interval, scale),
        "repeat_interval": severity.repeat_interval,
    }


def _inhibition(name: str, alert: Alert) -> Mapping[str, Any]:
    rule: dict[str, Any] = {
        "source_matchers": [f'alertname="{name}"'],
        "target_matchers": [f'alertname=~"{"|".join(alert.hides)}"'],
    }
    return rule | ({"equal": alert.alike} if alert.alike else {})


def _receiver(name: str, folder: Path) -> Mapping[str, Any]:
    address = (folder / name).read_text(encoding="utf-8").strip()
    return {"name": name, "webhook_configs": [{"url": address, "send_resolved": True}]}
