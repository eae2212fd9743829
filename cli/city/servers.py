"""The city's servers: PostgreSQL, a broker, Valkey. How they start, come back and end."""

import threading
from collections.abc import Callable
from pathlib import Path

from cli import paths
from cli.city.processes import EndingError, Processes
from cli.city.steps import Steps
from cli.city.supervisor import Supervisor
from cli.servers.broker import Kind, make_broker
from cli.servers.jars import fetch_jars
from cli.servers.postgres import Postgres
from cli.servers.secured_kafka import OF_ONE_MACHINE, SecuredKafka
from cli.servers.valkey import Valkey

PAYMENTS = "services.payments"


class Servers:
    """Each on a port of its own that stays the same over restarts."""

    def __init__(self, folder: Path, kind: Kind, *, secured: bool, steps: Steps, ending: threading.Event) -> None:
        """`ending`: set, nothing starts any more."""
        self._kind = kind
        self._steps = steps
        self._ending = ending
        self.postgres = Postgres(folder)
        self.broker = make_broker(kind, folder, secured=secured)
        self.valkey = Valkey(folder)

    def begin(self, start: Callable[[], None]) -> None:
        """Start one of them. Raises EndingError when the city ends."""
        if self._ending.is_set():
            raise EndingError
        start()

    def fetch(self) -> None:
        """What a broker needs that is not here yet."""
        if self._kind == "kafka" and not paths.KAFKA_LIBS.exists():
            with self._steps.step("Apache Kafka's jars"):
                fetch_jars(paths.KAFKA_LIBS, self._steps.say)

    def start_ledger(self, folder: Path, processes: Processes) -> None:
        """PostgreSQL, with the schema of payments."""
        with self._steps.step("PostgreSQL"):
            self.begin(self.postgres.start)
        if not self.postgres.data.is_relative_to(folder):
            self._steps.say(f"  its user may not enter {folder}: its data is in {self.postgres.data} until `make clean`")
        with self._steps.step("ledger schema"):
            processes.run("migrate", PAYMENTS, "migrate")

    def start_road(self, processes: Processes) -> None:
        """The broker, with its topics."""
        with self._steps.step("Apache Kafka" if self._kind == "kafka" else "Tansu, a broker in memory"):
            self.begin(self.broker.start)
        with self._steps.step("topics"):
            self.create_topics(processes)

    def start_shared(self) -> None:
        """What processes share, and may forget."""
        with self._steps.step("Valkey, what processes share"):
            self.begin(self.valkey.start)

    def create_topics(self, processes: Processes) -> None:
        """Those that are there stay."""
        env = self.broker.administrator() if isinstance(self.broker, SecuredKafka) else {}
        processes.run("create-topics", PAYMENTS, "create-topics", env=env)

    def give_rights(self, processes: Processes) -> None:
        """Each merchant may write its scene's topic, should it come with a certificate of its own."""
        if isinstance(self.broker, SecuredKafka):
            with self._steps.step("rights on Kafka"):
                processes.run("rights", PAYMENTS, "kafka", "rights", "--simulation", env=self.broker.administrator())

    def as_user(self, user: str) -> dict[str, str]:
        """The variables by which a process comes to Kafka as this user, where Kafka asks who comes."""
        return self.broker.user(user) if isinstance(self.broker, SecuredKafka) else {}

    def users(self) -> dict[str, dict[str, str]]:
        """Those of all users of Kafka."""
        return {name: self.as_user(name) for name in OF_ONE_MACHINE} if isinstance(self.broker, SecuredKafka) else {}

    def watch(self, supervisor: Supervisor, revive_broker: Callable[[], None]) -> None:
        """Have them started again when they die."""
        supervisor.watch(self.postgres.name, lambda: self.postgres.child, lambda: self.begin(self.postgres.start))
        supervisor.watch(self.valkey.name, lambda: self.valkey.child, lambda: self.begin(self.valkey.start))
        supervisor.watch(self.broker.kind, lambda: self.broker.child, revive_broker)

    def stop(self) -> None:
        """End them cleanly; PostgreSQL last."""
        for server in (self.broker, self.valkey, self.postgres):
            server.stop()

    def kill(self) -> None:
        """End them at once."""
        for server in (self.broker, self.valkey, self.postgres):
            server.kill()
