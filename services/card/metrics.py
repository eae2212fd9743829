"""Every metric of the card service, declared in one place. No person, card, terminal or member of the staff is ever a label."""

from prometheus_client import Counter, Gauge, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to annotate it

APPLICATIONS = Counter("onecard_applications_total", "Applications decided", ["route", "outcome", "reason"])
APPLICATIONS_OVERDUE = Gauge("onecard_applications_overdue", "Open applications that are later than they should be")
CARD_VERBS = Counter("onecard_card_verbs_total", "What was done to cards, or refused", ["verb", "outcome", "reason"])
FEES = Counter("onecard_card_fees_total", "What payments was asked to post about fees", ["move", "outcome"])
MONEY_WAITING = Gauge("onecard_card_money_waiting", "Fees and remainders that payments has not posted yet", ["what"])
AUDIT_SEAL = Gauge("onecard_audit_seal_number", "The newest seal of the audit")
AUDIT_SEALED_ROWS = Counter("onecard_audit_sealed_rows_total", "Rows of the audit that were sealed")
AUDIT_UNSEALED_AGE = Gauge("onecard_audit_oldest_unsealed_seconds", "Age of the oldest row of the audit that has no seal")
EVENTS_SENT = Counter("onecard_card_events_sent_total", "Rows of the outbox whose cards were published")
RELAYED_UP_TO = Gauge("onecard_card_relayed_timestamp_seconds", "All that was committed up to then has been published")
