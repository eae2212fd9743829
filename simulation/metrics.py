"""What the simulation measures, all of it declared here."""

from prometheus_client import Counter, Gauge, Histogram

EMITTED = Counter("onecard_simulation_emitted", "Transactions given to the spools", ["channel"])
HOTLISTED = Counter("onecard_simulation_hotlisted", "Taps that a validator refused by its hotlist", ["channel"])
FAULTS = Counter("onecard_simulation_faults", "Bad records sent on purpose", ["fault"])
ANSWERED = Counter("onecard_simulation_answered", "Outcomes that came back", ["channel", "outcome"])
PENDING = Gauge("onecard_simulation_pending", "Transactions that wait for their outcome")
WINDOW_ACTS = Counter("onecard_simulation_window_acts", "What was done at the windows, or refused", ["act", "outcome"])
CARDS_MADE = Counter("onecard_simulation_cards_made", "Streams in which a card was made, by how they ended", ["outcome"])
LINK_CUTS = Counter("onecard_simulation_link_cuts", "Connections of mobile kits that broke")
MESSAGES = Counter("onecard_simulation_messages", "Short messages that the gateway was asked to send", ["outcome"])
TAP_TO_OUTCOME = Histogram(
    "onecard_simulation_tap_to_outcome_seconds",
    "From the tap's submission to its outcome; taps held back by a validator out of coverage are long",
    ["channel"],
    buckets=(0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
