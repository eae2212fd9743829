"""Who watches the city: Prometheus over all processes that show metrics, where it is installed."""

from collections.abc import Callable, Mapping
from pathlib import Path

from cli import paths
from cli.city.steps import Steps
from cli.city.supervisor import Supervisor
from cli.servers.ports import HOST
from cli.servers.prometheus import MISSING, Prometheus, Target, installed

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
RULES = paths.ROOT / "deploy" / "prometheus" / "rules.yml"


def targets(ports: Mapping[str, int]) -> list[Target]:
    """The city's processes, by the port of their metrics, under the names that rules and dashboards know."""
    return [Target(JOBS.get(name, WORKERS), name, f"{HOST}:{port}") for name, port in ports.items()]


class Monitoring:
    """Starts and ends with the city, and is brought back as everything else."""

    def __init__(self, folder: Path, ports: Mapping[str, int], steps: Steps) -> None:
        self._steps = steps
        self._prometheus = Prometheus(folder, targets(ports), [RULES]) if installed() else None

    @property
    def address(self) -> str:
        """Where people ask Prometheus; empty: there is none."""
        return self._prometheus.url if self._prometheus else ""

    def start(self, start_server: Callable[[Callable[[], None]], None]) -> None:
        """Start it where it is installed, and say where; say what to install elsewhere."""
        if not self._prometheus:
            self._steps.say(MISSING)
            return
        with self._steps.step("Prometheus"):
            start_server(self._prometheus.start)
        self._steps.say(f"Prometheus: {self.address}, alerts at {self.address}/alerts")

    def watch(self, supervisor: Supervisor, start_server: Callable[[Callable[[], None]], None]) -> None:
        """Have it started again when it dies."""
        if prometheus := self._prometheus:
            supervisor.watch(prometheus.name, lambda: prometheus.child, lambda: start_server(prometheus.start))

    def stop(self) -> None:
        """End it cleanly."""
        if self._prometheus:
            self._prometheus.stop()

    def kill(self) -> None:
        """End it at once."""
        if self._prometheus:
            self._prometheus.kill()
