"""The rules of Prometheus, made of the table."""

from collections.abc import Mapping
from string import Template
from typing import Any, Final

from deploy.grafana.expressions import FAULTS_OF_CALLS, RATE
from deploy.prometheus.alerts import Alert, Record, Table
from deploy.prometheus.times import scaled, scaled_seconds

RUNBOOKS: Final = "docs/runbooks"


def rules_of(table: Table, scale: float = 1) -> Mapping[str, Any]:
    """What a file of rules holds; `scale`: how many times faster than the clock of a city."""
    records = [_record_group(name, record, scale) for name, record in table.records.items()]
    alerts = [_alert(name, alert, scale) for name, alert in table.alerts.items()]
    return {"groups": [*records, {"name": "alerts", "rules": alerts}]}


def _record_group(name: str, record: Record, scale: float) -> Mapping[str, Any]:
    rules = [
        {
            "record": Template(record.name).substitute(window=window),
            "expr": _over(scaled(window, scale), expression),
            "labels": {"what": what},
        }
        for window in record.windows
        for what, expression in record.expressions.items()
    ]
    return {"name": name, "interval": scaled(record.interval, scale), "rules": rules}


def _over(window: str, expression: str) -> str:
    return Template(expression).substitute(window=window, faults_of_calls=FAULTS_OF_CALLS.replace(RATE, window))


def _alert(name: str, alert: Alert, scale: float) -> Mapping[str, Any]:
    times = {key: scaled(span, scale) for key, span in alert.times.items()}
    times |= {f"{key}_seconds": scaled_seconds(span, scale) for key, span in alert.times.items()}
    made: dict[str, Any] = {"alert": name, "expr": Template(alert.expression).substitute(times)}
    if alert.wait:
        made["for"] = Template(alert.wait).substitute(times)
    return made | {
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook": f"{RUNBOOKS}/{alert.runbook}.md",
        },
    }
