"""Every metric of the card service, declared in one place. No person, card, terminal or member of the staff is ever a label."""

from prometheus_client import Counter, Gauge, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to annotate it

APPLICATIONS = Counter("onecard_applications_total", "Applications decided", ["route", "outcome", "reason"])
APPLICATIONS_OVERDUE = Gauge(
    "onecard_applications_overdue", "Open applications that are later than they should be", ["kind", "mode"]
)
SEALED_APPLICATIONS = Counter(
    "onecard_card_sealed_applications_total", "What mobile kits had queued without a network, handed in", ["outcome"]
)
CARD_VERBS = Counter("onecard_card_verbs_total", "What was done to cards, or refused", ["verb", "outcome", "reason"])
CARD_PINS = Counter("onecard_card_pins_total", "PINs of cards that were tried", ["outcome"])
ELECTRONIC_TOKENS = Counter(
    "onecard_card_electronic_tokens_total", "One-time tokens of electronic cards made, or why not", ["purpose", "outcome"]
)
FEES = Counter("onecard_card_fees_total", "What payments was asked to post about fees", ["move", "outcome"])
MONEY_WAITING = Gauge(
    "onecard_card_money_waiting",
    "What payments has not posted yet of fees, remainders and cash handed out, and what waits to be handed out",
    ["what"],
)
MONEY_PUT_OFF = Counter("onecard_card_money_put_off_total", "What payments did not post of one alone", ["what", "why"])
BANK_ROWS = Counter("onecard_card_bank_rows_total", "Rows that went to the bank and came back", ["outcome"])
BANK_RETURNS = Counter("onecard_card_bank_returns_total", "Files that came back from the bank", ["outcome"])
BANK_WAITING = Gauge("onecard_card_bank_rows_waiting", "Rows that the bank has not answered")
BANK_WAITING_AGE = Gauge("onecard_card_bank_oldest_waiting_seconds", "Age of the oldest row that the bank has not answered")
NOTIFICATIONS = Counter("onecard_notifications_total", "Attempts to tell people something", ["kind", "outcome"])
NOTIFICATIONS_WAITING = Gauge("onecard_notifications_waiting", "Messages that were neither sent nor given up")
TERMINAL_ENDS = Gauge(
    "onecard_card_terminal_ends_timestamp_seconds",
    "When the first terminal will be without a good certificate; 0: none",
    ["kind"],
)
EVENTS_SENT = Counter("onecard_card_events_sent_total", "Rows of the outbox whose cards were published")
RELAYED_UP_TO = Gauge("onecard_card_relayed_timestamp_seconds", "All that was committed up to then has been published")
HOTLIST_PUBLISHED = Gauge("onecard_hotlist_published_timestamp_seconds", "All cards barred by then stand on the newest hotlist")
HOTLIST_ENTRIES = Gauge("onecard_hotlist_entries", "Cards on the newest hotlist")
HOTLIST_SENT = Counter("onecard_hotlist_sent_total", "Updates of the hotlist that its topic has taken", ["kind"])
HOTLIST_PULLS = Counter("onecard_hotlist_pulls_total", "Who asked for the hotlist, by what they were given", ["kind"])
