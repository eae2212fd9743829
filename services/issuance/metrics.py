"""Every metric of the issuance service, declared in one place. No person, card, terminal or member of staff is a label."""

from prometheus_client import Counter, Gauge, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to annotate it

ISSUES = Counter("onecard_issuance_streams_total", "Streams of personalisation that ended", ["outcome", "reason"])
IN_FLIGHT = Gauge("onecard_issuance_streams_open", "Cards that are being made at this moment")
COMMANDS = Counter("onecard_issuance_chip_commands_total", "Commands that were released to chips")
OWED = Gauge("onecard_issuance_owed", "What the card service was not told yet", ["what"])
EVENTS_SENT = Counter("onecard_issuance_events_sent_total", "Rows of the outbox that were published")
