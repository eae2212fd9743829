"""Tells one life of the broker from the next: one that lost its memory comes back as another cluster."""

from __future__ import annotations

from typing import Self

from kafka import KafkaAdminClient

from sdk.merchant.connect import connect
from sdk.merchant.kafka_security import PLAIN_TEXT, KafkaSecurity


class Life:
    """Asks the broker which cluster it is. Positions and acknowledgements are worth nothing in another life."""

    def __init__(self, bootstrap: str, security: KafkaSecurity = PLAIN_TEXT) -> None:
        """Raises KafkaError while the broker is away."""
        self._admin = connect(
            KafkaAdminClient,
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=2000,
            request_timeout_ms=5000,
            reconnect_backoff_max_ms=1000,
            **security.arguments(bootstrap),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()

    def cluster_id(self) -> str:
        """The cluster's id; raises KafkaError while the broker is away."""
        return str(self._admin.describe_cluster()["cluster_id"])
