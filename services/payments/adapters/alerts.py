"""Alerts as messages."""

from onecard.payments.v1.alerts_pb2 import Alert as AlertMessage
from services.payments.domain.alert import Alert


def encode_alert(alert: Alert, now_ms: int) -> tuple[bytes, bytes]:
    """Key and value of a record of `payments.alerts`."""
    message = AlertMessage(
        kind=alert.kind.value,  # type: ignore[arg-type]  # numbers agree, a test holds it
        merchant_id=alert.merchant_id,
        terminal_id=alert.terminal_id,
        event_time_ms=alert.event_time_ms,
        card_digest=alert.card,
        create_time_ms=now_ms,
    )
    return alert.merchant_id.encode(), message.SerializeToString()
