"""Apache Kafka: one node, broker and controller in one process, its data kept over restarts."""

import secrets
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from cli import paths
from cli.servers.child import Child, ServerFailedError
from cli.servers.jars import fetch_jars, java
from cli.servers.ports import HOST, free_port, listening
from cli.servers.server import Server

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
log.dirs={data}
# One node: whatever Kafka would keep three times, it keeps once.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=12
group.initial.rebalance.delay.ms=0
# A killed node comes back as soon as its old registration has run out: four seconds instead of nine.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
"""
PLAIN = """\
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
"""


class Kafka(Server):
    """One broker for the city in `folder`. A restarted or killed one has all that it acknowledged."""

    name = "Apache Kafka"
    stop_seconds = 30
    kind: Literal["kafka"] = "kafka"
    java_options: ClassVar[tuple[str, ...]] = ("-Xmx1g",)

    def __init__(self, folder: Path, port: int | None = None, say: Callable[[str], None] = print) -> None:
        super().__init__(folder, port)
        self._controller_port = free_port()
        self._say = say
        self._writing: Path | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port`, the same over restarts."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Fetch the jars and format the storage if that was never done, start, and wait until it answers."""
        fetch_jars(paths.KAFKA_LIBS, self._say)
        home = self.folder / "kafka"
        home.mkdir(parents=True, exist_ok=True)
        data = home / "data"
        properties = home / "server.properties"
        properties.write_text(
            PROPERTIES.format(host=HOST, controller_port=self._controller_port, data=data.absolute()) + self._listening()
        )
        if not (data / "meta.properties").exists():
            _format(properties)
        archive = _archive()
        # Written by the first one at its end.
        self._writing = None if archive.exists() else archive.with_name(f"{self.port}.jsa")
        classes = f"-XX:ArchiveClassesAtExit={self._writing}" if self._writing else f"-XX:SharedArchiveFile={archive}"
        command: list[str | Path] = [*_java(classes, *self.java_options), "kafka.Kafka", properties.absolute()]
        self._child = Child("kafka", self.folder, command, port=self.port)
        self._child.start()
        self._child.wait_ready(self._answers, f"Apache Kafka answers on {self.bootstrap}", within=240)

    def stop(self) -> None:
        """End it cleanly."""
        super().stop()
        if self._writing and self._writing.exists():
            self._writing.replace(_archive())

    def _answers(self) -> bool:
        if not listening(self.port):
            return False
        try:
            admin = self._client()
        except KafkaError:
            return False
        try:
            admin.describe_cluster()
        except KafkaError:
            return False
        finally:
            admin.close()
        return True

    def _client(self) -> KafkaAdminClient:
        """Of whoever may ask everything. Raises KafkaError while it does not answer."""
        return KafkaAdminClient(bootstrap_servers=self.bootstrap)

    def _listening(self) -> str:
        """The properties that say where it listens, and whom it lets in."""
        return PLAIN.format(host=HOST, port=self.port, controller_port=self._controller_port)


def _java(*options: str) -> list[str]:
    log = paths.KAFKA_SETTINGS / "log4j2.properties"
    return [java(), *options, f"-Dlog4j2.configurationFile={log}", "-cp", f"{paths.KAFKA_LIBS}/*"]


def _archive() -> Path:
    """Kafka's classes as this Java has loaded and checked them once: with it a start takes half as long."""
    return paths.KAFKA_LIBS / f"{Path(java()).resolve().stat().st_mtime_ns}.jsa"


def _format(properties: Path) -> None:
    # Kafka's ids are 16 bytes in base64 that do not begin with a dash.
    cluster = urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
    command = [*_java(f"-XX:SharedArchiveFile={_archive()}", "-Xmx256m"), "kafka.tools.StorageTool"]
    command += ["format", "--cluster-id", cluster, "--config", str(properties)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerFailedError(f"Apache Kafka could not format its storage: {(done.stderr or done.stdout).strip()}")
