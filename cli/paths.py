"""Where things are: the repository, the cities' folders and Apache Kafka's jars."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CITY = ROOT / ".city"
FAULTS = ROOT / ".city-faults"
"""The city of a run of faults, which is thrown away before the next one."""
KAFKA_LIBS = ROOT / ".kafka" / "libs"
KAFKA_SETTINGS = ROOT / "deploy" / "kafka"
