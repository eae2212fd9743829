"""The topics of the platform; messages are in proto/."""

from typing import Final

TRANSACTIONS_BUS: Final = "transactions.bus"
TRANSACTIONS_CAMPUS: Final = "transactions.campus"
TRANSACTIONS_SCENIC: Final = "transactions.scenic"
CARD_EVENTS: Final = "card.events"
OUTCOMES: Final = "payments.outcomes"
DEAD_LETTERS: Final = "payments.dead-letters"
SEALS: Final = "ledger.seals"
AUDIT_SEALS: Final = "audit.seals"
CARD_DELETIONS: Final = "card.deletions"
ISSUANCE_EVENTS: Final = "issuance.events"

ALL: Final = (
    TRANSACTIONS_BUS,
    TRANSACTIONS_CAMPUS,
    TRANSACTIONS_SCENIC,
    CARD_EVENTS,
    OUTCOMES,
    DEAD_LETTERS,
    SEALS,
    AUDIT_SEALS,
    CARD_DELETIONS,
    ISSUANCE_EVENTS,
)
COMPACTED: Final = frozenset({CARD_EVENTS, CARD_DELETIONS})
