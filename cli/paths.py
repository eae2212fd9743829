"""Where things are: the repository, the city's folder and Apache Kafka's jars."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CITY = ROOT / ".city"
KAFKA_LIBS = ROOT / ".kafka" / "libs"
KAFKA_SETTINGS = ROOT / "deploy" / "kafka"
