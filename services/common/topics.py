"""The topics of the platform; messages are in proto/."""

from typing import Final

TRANSACTIONS_BUS: Final = "transactions.bus"
TRANSACTIONS_CAMPUS: Final = "transactions.campus"
TRANSACTIONS_SCENIC: Final = "transactions.scenic"
CARD_EVENTS: Final = "card.events"
OUTCOMES: Final = "payments.outcomes"
DEAD_LETTERS: Final = "payments.dead-letters"
ALERTS: Final = "payments.alerts"
SEALS: Final = "ledger.seals"
AUDIT_SEALS: Final = "audit.seals"
CARD_HOTLIST: Final = "card.hotlist"
CARD_DELETIONS: Final = "card.deletions"
ISSUANCE_EVENTS: Final = "issuance.events"

ALL: Final = (
    TRANSACTIONS_BUS,
    TRANSACTIONS_CAMPUS,
    TRANSACTIONS_SCENIC,
    CARD_EVENTS,
    CARD_HOTLIST,
    OUTCOMES,
    DEAD_LETTERS,
    ALERTS,
    SEALS,
    AUDIT_SEALS,
    CARD_DELETIONS,
    ISSUANCE_EVENTS,
)
WEEK_MS: Final = 7 * 24 * 3_600_000
"""The least that is kept of a topic: a way back to a moment reads again what came since."""
COMPACTED: Final = frozenset({CARD_EVENTS, CARD_DELETIONS})
ORDERED: Final = frozenset({CARD_HOTLIST})
"""Of one partition, because its records follow each other; kept for a week."""

LIVE: Final = "payments-live"
"""The group that keeps the live windows; its tables lie in topics named after it."""
LIVE_TABLES: Final = ("riders", "takings", "taps", "cards", "terminals", "whereabouts")
CHANGELOGS: Final = tuple(f"{LIVE}-{table}-changelog" for table in LIVE_TABLES)
"""What Faust rebuilds its tables from, compacted; where the broker compacts nothing, there are none."""
