"""What a till is told, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.outcomes_pb2 import Reason


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verdict; every repeat of its request gets the same one."""

    request_id: str
    approved: bool
    reason: str
    """Why it was declined: `INSUFFICIENT_FUNDS`; empty when it was approved."""
    message: str
    """The same for people, in the language of the city."""
    payment_id: str
    """Empty where no payment is concerned."""
    amount_fen: int
    """What was held, taken, let go, given back or brought."""
    decide_time_ms: int
    """UTC milliseconds since 1970."""
    place: tuple[int, int]
    """(batch number, row) in the ledger's journal."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as it is now."""

    payment_id: str
    """Empty when it was declined."""
    request_id: str
    status: str
    """`HELD`, `CAPTURED`, `VOIDED`, `EXPIRED` or `DECLINED`."""
    message: str
    """Why it was declined, for people."""
    amount_fen: int
    held_fen: int
    captured_fen: int
    refunded_fen: int
    decide_time_ms: int
    expire_time_ms: int
    """When its hold runs out; 0 for a payment taken at once."""


def receipt_of(request_id: str, message: messages.Receipt) -> Receipt:
    """The plain value of a receipt."""
    approved = message.decision == messages.DECISION_APPROVED
    return Receipt(
        request_id,
        approved,
        "" if approved else Reason.Name(message.reason).removeprefix("REASON_"),
        message.message,
        message.payment_id,
        message.amount.amount_fen,
        message.decide_time_ms,
        (message.batch_number, message.batch_row),
    )


def payment_of(message: messages.Payment) -> Payment:
    """The plain value of a payment."""
    return Payment(
        message.payment_id,
        message.authorize_request_id,
        messages.PaymentStatus.Name(message.status).removeprefix("PAYMENT_STATUS_"),
        message.message,
        message.amount.amount_fen,
        message.held.amount_fen,
        message.captured.amount_fen,
        message.refunded.amount_fen,
        message.decide_time_ms,
        message.expire_time_ms,
    )
