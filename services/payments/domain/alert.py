"""An alert: something about taps that a person should look at. It decides nothing."""

from enum import IntEnum
from typing import NamedTuple


class AlertKind(IntEnum):
    """What showed; the numbers are those of onecard.payments.v1.AlertKind."""

    IMPOSSIBLE_TRAVEL = 1
    CARD_BURST = 2
    TERMINAL_BURST = 3


class Alert(NamedTuple):
    """What is told of it."""

    kind: AlertKind
    merchant_id: str
    terminal_id: str
    event_time_ms: int
    """Of the tap with which it showed."""
    card: bytes = b""
    """Keyed digest of the card identifier; empty where it is about a terminal."""
