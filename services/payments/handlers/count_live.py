"""Count taps in the live windows. Nothing is verified and nothing posted: a repeated record counts again."""

import hmac
from collections.abc import Sequence

from services.payments import metrics
from services.payments.adapters.registry import Registry
from services.payments.adapters.tac import Verifier
from services.payments.adapters.wire import Received, Undecided, decode
from services.payments.domain.alert import Alert
from services.payments.domain.live import LiveWindows
from services.payments.domain.tap import Terminal

_DIGEST_BYTES = 16


class CardDigest:
    """Makes of a card identifier what the same card always has, and what nobody reads it from."""

    def __init__(self, secret: bytes) -> None:
        """The key is derived, so that nobody who gets it can make digests of batches."""
        self._key = hmac.digest(secret, b"onecard live windows: cards", "sha256")

    def of(self, card_identifier: str) -> bytes:
        """16 bytes."""
        return hmac.digest(self._key, card_identifier.encode(), "sha256")[:_DIGEST_BYTES]


class Unverified(Verifier):
    """Takes every code: whoever needs no proof needs no keys."""

    def __init__(self) -> None:
        """Of no epoch."""

    def check(self, terminal: Terminal, epoch: int, body: bytes, tac: bytes) -> None:
        """Nothing is wrong."""


class CountLive:
    """Counts what was fetched."""

    def __init__(self, windows: LiveWindows, registry: Registry, digest: CardDigest) -> None:
        self._windows = windows
        self._registry = registry
        self._digest = digest
        self._verifier = Unverified()

    def count(self, records: Sequence[Received], now_ms: int) -> list[Alert]:
        """Count records of the transactions topics; answers the alerts that they raise."""
        alerts: list[Alert] = []
        skipped = 0
        for record in records:
            tap = decode(record, self._registry, self._verifier)
            if isinstance(tap, Undecided):
                skipped += 1
                continue
            alerts += self._windows.count(tap, self._digest.of(tap.card_identifier), now_ms)
        metrics.LIVE_RECORDS.labels("counted").inc(len(records) - skipped)
        metrics.LIVE_RECORDS.labels("skipped").inc(skipped)
        return alerts
