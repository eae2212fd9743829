"""The road between terminals and ledger: a broker that speaks Kafka's protocol, of one of two kinds."""

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from cli.servers.kafka import Kafka
from cli.servers.tansu import Tansu

Kind = Literal["tansu", "kafka"]


Broker: TypeAlias = Kafka | Tansu


def kind_of(name: str) -> Kind:
    """The kind that a person named; raises ValueError naming the kinds there are."""
    for kind in get_args(Kind):
        if kind == name:
            return kind  # type: ignore[no-any-return]  # get_args loses the type
    raise ValueError(f"no broker is called {name!r}: take one of {', '.join(get_args(Kind))}")


def make_broker(kind: Kind, folder: Path, port: int | None = None) -> Broker:
    """A broker for the city in `folder`, not yet started."""
    return Kafka(folder, port) if kind == "kafka" else Tansu(folder, port)
