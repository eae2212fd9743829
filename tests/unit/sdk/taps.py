from sdk.merchant.spool import Outcome
from sdk.merchant.transaction import BusRide, SignedRecord
from tests.support.terminal_keys import sign

NOON_MS = 1_767_672_000_000


def ride(card: int = 1, *, terminal: str = "V-1", sequence: int | None = None, event_time_ms: int = NOON_MS) -> BusRide:
    return BusRide(
        merchant_id="BUS",
        terminal_id=terminal,
        card_identifier=f"CARD{card}",
        event_time_ms=event_time_ms,
        terminal_sequence=sequence,
        line_id="L1",
        stop_id="S1",
    )


def signed(card: int = 1, sequence: int = 1, *, terminal: str = "V-1") -> SignedRecord:
    return sign(ride(card, terminal=terminal), sequence)


def outcome_of(record: SignedRecord, *, revision: int = 0, verdict: int = 1, reason: int = 0, fare_fen: int = 200) -> Outcome:
    identity = (record.merchant_id, record.terminal_id, record.terminal_sequence)
    return Outcome(
        *identity, record.digest, revision, verdict, reason, fare_fen, fare_fen, 7, record.terminal_sequence, NOON_MS
    )
