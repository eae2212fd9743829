"""The road between terminals and ledger: a broker that speaks Kafka's protocol, of one of two kinds."""

from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from cli.servers.kafka import Kafka
from cli.servers.secured_kafka import SecuredKafka
from cli.servers.tansu import Tansu

Kind = Literal["tansu", "kafka"]
SECURED: Final = "kafka-secured"


Broker: TypeAlias = Kafka | Tansu


def kind_of(name: str) -> Kind:
    """The kind that a person named; raises ValueError naming the kinds there are."""
    for kind in get_args(Kind):
        if kind == name:
            return kind  # type: ignore[no-any-return]  # get_args loses the type
    raise ValueError(f"no broker is called {name!r}: take one of {', '.join(get_args(Kind))}")


def choose(name: str) -> tuple[Kind, bool]:
    """The kind that a person named, and whether it asks who comes (`kafka-secured`); raises ValueError as `kind_of`."""
    return ("kafka", True) if name == SECURED else (kind_of(name), False)


def make_broker(kind: Kind, folder: Path, port: int | None = None, *, secured: bool = False) -> Broker:
    """A broker for the city in `folder`, not yet started; a secured one is an Apache Kafka that asks who comes."""
    if secured:
        return SecuredKafka(folder, port)
    return Kafka(folder, port) if kind == "kafka" else Tansu(folder, port)
