"""Reads what became of transactions from `payments.outcomes`."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Self

from onecard.payments.v1.outcomes_pb2 import Outcome as OutcomeMessage
from sdk.merchant.spool import Outcome
from sdk.merchant.tail import Tail

OUTCOMES = "payments.outcomes"


class OutcomeReader:
    """Outcomes of some merchants; their order is not the order of the taps, and repeats are ordinary."""

    def __init__(
        self,
        bootstrap: str,
        merchants: AbstractSet[str] | None = None,
        *,
        from_oldest: bool = False,
        connect_timeout_seconds: float = 5,
    ) -> None:
        """Connect; `merchants` may be a live set, None reads everybody's. Raises KafkaError while the broker is away.

        Make it before the first emission: an outcome that was written earlier is read only with `from_oldest`.
        """
        self._merchants = merchants
        self._tail = Tail(bootstrap, OUTCOMES, from_oldest=from_oldest, connect_timeout_seconds=connect_timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self, timeout_seconds: float) -> list[Outcome]:
        """Outcomes that have come since the last call; waits at most so long for the first."""
        mine = self._merchants
        return [
            outcome_of(OutcomeMessage.FromString(record.value))
            for record in self._tail.poll(timeout_seconds)
            if record.value is not None and (mine is None or record.key is None or record.key.decode() in mine)
        ]

    def close(self) -> None:
        """Disconnect."""
        self._tail.close()


def outcome_of(message: OutcomeMessage) -> Outcome:
    """The plain value of an outcome's message."""
    identity = message.identity
    return Outcome(
        identity.merchant_id,
        identity.terminal_id,
        identity.terminal_sequence,
        message.body_digest,
        message.revision,
        message.verdict,
        message.reason,
        message.fare.amount_fen,
        message.charged.amount_fen,
        message.batch_number,
        message.batch_row,
        message.decide_time_ms,
    )
