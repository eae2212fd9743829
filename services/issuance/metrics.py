"""Every metric of the issuance service, declared in one place. No person, card, terminal or member of staff is a label."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to annotate it

ISSUES = Counter("onecard_issuance_streams_total", "Streams of personalisation that ended", ["outcome", "reason"])
IN_FLIGHT = Gauge("onecard_issuance_streams_open", "Cards that are being made at this moment")
COMMANDS = Counter("onecard_issuance_chip_commands_total", "Commands that were released to chips")
OWED = Gauge("onecard_issuance_owed", "What the card service was not told yet", ["what"])
EVENTS_SENT = Counter("onecard_issuance_events_sent_total", "Rows of the outbox that were published")
STOCK = Gauge("blank_card_stock", "Blanks that can still be used, at the depot and at all terminals", ["depot", "product"])
LOW_STOCK = Gauge("blank_low_stock", "Places with fewer blanks than the city wants there", ["depot"])
TRANSITIONS = Counter("issuance_transitions_total", "Moves of blanks", ["from_state", "to_state"])
SPOILED = Counter("onecard_issuance_spoiled_total", "Blanks that were spoiled", ["product", "reason"])
BARRED_AFTER = Histogram(
    "onecard_issuance_barred_after_seconds",
    "From the revocation of a terminal until its blanks were barred",
    buckets=(0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 30, 60),
)
SHIFTS_CLOSED = Counter("onecard_issuance_shifts_closed_total", "Shifts that were closed")
CASH_WAITING = Gauge("onecard_issuance_cash_differences_waiting", "Differences in cash that payments has not posted yet")
CASH_DECLINED = Gauge("onecard_issuance_cash_differences_declined", "Of these, those that it has declined")
VAULT_ANSWERS = Counter("onecard_issuance_vault_answers_total", "Answers of the vault", ["operation", "outcome"])
VAULT_LEASES = Gauge("onecard_issuance_vault_leases_open", "Blanks that the vault computes for at this moment")
VAULT_CONNECTIONS_REFUSED = Counter(
    "onecard_issuance_vault_connections_refused_total", "Connections that the vault ended", ["reason"]
)
