"""Who watches the city: Prometheus over all processes that show metrics, and Alertmanager, where they are installed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cli.city.notices import Board, Receivers
from cli.city.steps import Steps
from cli.city.supervisor import Supervisor
from cli.servers import alertmanager, prometheus
from cli.servers.alertmanager import Alertmanager
from cli.servers.ports import HOST, free_port
from cli.servers.prometheus import Prometheus, Target
from cli.servers.server import Server, write_settings
from deploy.prometheus.alertmanager import alertmanager_of
from deploy.prometheus.alerts import Table, read_alerts
from deploy.prometheus.rules import rules_of

JOBS = {
    "payments-live": "payments-live",
    "payments-api": "payments-api",
    "card-api": "card",
    "issuance-api": "issuance",
    "issuance-vault": "issuance-vault",
    "sms": "simulation",
    "taps": "simulation",
    "windows": "simulation",
}
WORKERS = "payments-streams"
Begin = Callable[[Callable[[], None]], None]


def targets(ports: Mapping[str, int]) -> list[Target]:
    """The city's processes, by the port of their metrics, under the names that rules and dashboards know."""
    return [Target(JOBS.get(name, WORKERS), name, f"{HOST}:{port}") for name, port in ports.items()]


class Monitoring:
    """Starts and ends with the city, and is brought back as everything else. What it tells people hangs on the board."""

    def __init__(self, folder: Path, ports: Mapping[str, int], steps: Steps, scale: float = 1) -> None:
        """`scale`: how many times faster alerts go than in a city where people sleep."""
        self._folder = folder
        self._steps = steps
        self._scale = scale
        self._table = read_alerts()
        self.board = Board()
        self._receivers = Receivers(self.board, free_port())
        self._rules = folder / "prometheus" / "rules.json"
        self._alertmanager = Alertmanager(folder, self._routes()) if alertmanager.installed() else None
        told = f"{HOST}:{self._alertmanager.port}" if self._alertmanager else ""
        self._prometheus = Prometheus(folder, targets(ports), [self._rules], told) if prometheus.installed() else None

    @property
    def address(self) -> str:
        """Where people ask Prometheus; empty: there is none."""
        return self._prometheus.url if self._prometheus else ""

    @property
    def alertmanager_address(self) -> str:
        """Where people see whom Alertmanager told, and silence it; empty: there is none."""
        return self._alertmanager.url if self._alertmanager and self._prometheus else ""

    @property
    def table(self) -> Table:
        """Which alerts there are."""
        return self._table

    @property
    def missing(self) -> list[str]:
        """What to install, in sentences."""
        sentences = {prometheus.MISSING: self._prometheus, alertmanager.MISSING: self._alertmanager}
        return [sentence for sentence, server in sentences.items() if server is None]

    def firing(self) -> set[str]:
        """Alerts that fire for Prometheus at this moment."""
        return self._prometheus.firing() if self._prometheus else set()

    def start(self, begin: Begin) -> None:
        """Start what is installed, and say where; say what to install elsewhere."""
        for sentence in self.missing:
            self._steps.say(sentence)
        if not self._prometheus:
            return
        write_settings(self._rules, rules_of(self._table, self._scale))
        if self._alertmanager:
            self._receivers.start()
        for server in self._servers:
            with self._steps.step(server.name):
                begin(server.start)
        self._steps.say(f"Prometheus: {self.address}, alerts at {self.address}/alerts")
        if self._alertmanager:
            self._steps.say(f"Alertmanager: {self.alertmanager_address}; what it tells people is said here")

    def watch(self, supervisor: Supervisor, begin: Begin) -> None:
        """Have them started again when they die."""
        for server in self._servers:
            supervisor.watch(server.name, lambda s=server: s.child, lambda s=server: begin(s.start))  # type: ignore[misc]

    def stop(self) -> None:
        """End them cleanly."""
        for server in reversed(self._servers):
            server.stop()
        self._receivers.stop()

    def kill(self) -> None:
        """End them at once."""
        for server in self._servers:
            server.kill()
        self._receivers.stop()

    @property
    def _servers(self) -> list[Server]:
        """In the order in which they start: nobody is told of an alert by one that is not there yet."""
        return [server for server in (self._alertmanager, self._prometheus) if server] if self._prometheus else []

    def _routes(self) -> Mapping[str, Any]:
        names = sorted({severity.receiver for severity in self._table.severities.values()})
        folder = self._receivers.addresses(self._folder / "alertmanager" / "receivers", names)
        return alertmanager_of(self._table, folder, self._scale)
