"""Reads the Prometheus endpoints of the city's processes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from prometheus_client.parser import text_string_to_metric_families

from cli.servers.ports import HOST

Labels = tuple[tuple[str, str], ...]
Scrape = Mapping[tuple[str, Labels], float]
"""One reading of one process: sample name and sorted labels → value."""


def address(port: int) -> str:
    """Where a process on this machine shows its metrics."""
    return f"http://{HOST}:{port}/metrics"


def scrape(port: int, timeout_seconds: float = 2.0) -> Scrape | None:
    """Every sample named `onecard_…`; None while the process does not answer."""
    connection = HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return parse(text) if response.status == 200 else None


def parse(text: str) -> Scrape:
    """The samples of the text format that are ours."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        if family.name.startswith("onecard_")
        for sample in family.samples
    }


@dataclass
class Counters:
    """Counters summed over all processes, going on where a restarted process begins again at zero."""

    _last: dict[str, Scrape] = field(default_factory=dict)
    _totals: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def take(self, process: str, reading: Scrape) -> None:
        """Add what a process has counted since it was read last."""
        before = self._last.get(process, {})
        for key, value in reading.items():
            if key[0].endswith(("_total", "_bucket")):
                known = before.get(key, 0.0)
                self._totals[key] = self._totals.get(key, 0.0) + (value - known if value >= known else value)
        self._last[process] = reading

    def named(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and total of every counter of that name."""
        return ((dict(labels), total) for (sample, labels), total in self._totals.items() if sample == name)
