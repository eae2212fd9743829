"""The road between terminals and ledger: a broker that speaks Kafka's protocol, of one of two kinds."""

from pathlib import Path
from typing import Literal, Protocol, get_args

from cli.servers.child import Child
from cli.servers.kafka import Kafka
from cli.servers.tansu import Tansu

Kind = Literal["tansu", "kafka"]


class Broker(Protocol):
    """What the city and the tests ask of either kind."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102

    @property
    def bootstrap(self) -> str:
        """`host:port`, the same over restarts."""
        ...

    @property
    def child(self) -> Child:
        """The broker's process."""
        ...

    def start(self) -> None:
        """Start and wait until it answers; raises ServerFailedError."""
        ...

    def stop(self) -> None:
        """End it cleanly."""
        ...

    def restart(self) -> None:
        """Stop and start again on the same port. Tansu has forgotten everything then."""
        ...

    def kill(self) -> None:
        """SIGKILL it."""
        ...


def kind_of(name: str) -> Kind:
    """The kind that a person named; raises ValueError naming the kinds there are."""
    for kind in get_args(Kind):
        if kind == name:
            return kind  # type: ignore[no-any-return]  # get_args loses the type
    raise ValueError(f"no broker is called {name!r}: take one of {', '.join(get_args(Kind))}")


def make_broker(kind: Kind, folder: Path, port: int | None = None) -> Broker:
    """A broker for the city in `folder`, not yet started."""
    return Kafka(folder, port) if kind == "kafka" else Tansu(folder, port)
