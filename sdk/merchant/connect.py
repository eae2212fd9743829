"""Makes clients of the Kafka library so that nothing is left of one that found no broker."""

from __future__ import annotations

from typing import Any, TypeVar

ClientT = TypeVar("ClientT")


def connect(client: type[ClientT], **settings: Any) -> ClientT:
    """Make a KafkaProducer, KafkaConsumer or KafkaAdminClient; raises KafkaError while the broker is away.

    When its constructor fails, the library leaves a running thread and open sockets behind: while a broker is away for an
    hour that would be a thousand threads.
    """
    defaults: dict[str, Any] = client.DEFAULT_CONFIG  # type: ignore[attr-defined]  # all three have it
    connections = []

    def keep(**configs: Any) -> Any:
        connections.append(defaults["kafka_client"](**configs))
        return connections[-1]

    try:
        return client(kafka_client=keep, **settings)  # type: ignore[call-arg]  # all three take it
    except BaseException:
        for connection in connections:
            connection.close()
        raise
