"""What becomes of a tap: exactly one of posted, refused with a reason, dead-lettered with a cause."""

from enum import IntEnum
from typing import NamedTuple

from services.payments.domain.tap import Terminal


class Reason(IntEnum):
    """Why a tap was refused; the numbers are stored and are those of onecard.payments.v1.Reason."""

    NONE = 0
    INSUFFICIENT_FUNDS = 1
    HOTLISTED = 2
    CARD_SEALED = 3
    CARD_LOCKED = 4
    CARD_CANCELLED = 5
    ACCOUNT_FROZEN = 6
    ACCOUNT_CLOSED = 7
    BAD_TIME = 8
    TOO_LATE = 9
    PRICE_NOT_ALLOWED = 10
    BAD_PRICE = 11
    IDENTITY_CONFLICT = 12
    CARD_LOST = 13
    OVER_PAYMENT_LIMIT = 14
    OVER_DAY_LIMIT = 15
    OVER_DAY_COUNT = 16
    OVER_CATEGORY_LIMIT = 17
    VOIDED = 18
    NOT_HELD = 19
    EXCEEDS_HOLD = 20
    EXCEEDS_PAID = 21
    NAME_TAKEN = 22
    ACCOUNT_NOT_EMPTY = 23
    ACCOUNT_STATUS_FINAL = 24
    TOKEN_UNKNOWN = 25
    TOKEN_SPENT = 26
    ELECTRONIC_CARD_BARRED = 27
    OVER_PERIOD_COUNT = 28
    OVER_PERIOD_LIMIT = 29
    SAME_PLACE_TOO_SOON = 30
    PASS_USED_UP = 31
    PASS_STILL_VALID = 32
    NO_PASS = 33
    OUTSIDE_HOURS = 34
    TOO_MANY_RIDERS = 35
    TOO_MANY_LOANS = 36
    LOAN_OVERDUE = 37
    PURSE_STILL_VALID = 38
    PURSE_TOO_LONG = 39
    QUOTA_FULL = 40
    NO_RESERVATION = 41
    ALREADY_RESERVED = 42
    NOT_YET_RESERVABLE = 43
    OVER_GUARDIAN_PAYMENT = 45
    OVER_GUARDIAN_DAY = 46
    OVER_GUARDIAN_COUNT = 47
    OVER_GUARDIAN_SCENE = 48


class Cause(IntEnum):
    """Why a record has no verdict; the numbers are stored and are those of onecard.payments.v1.Cause."""

    UNDECODABLE = 1
    BAD_TEXT = 2
    UNKNOWN_MERCHANT = 3
    UNKNOWN_TERMINAL = 4
    RETIRED_TERMINAL = 5
    WRONG_SCENE = 6
    UNKNOWN_CARD = 7
    IDENTITY_CONFLICT = 8
    DATABASE_REJECTED = 9
    NO_TARIFF = 10
    UNKNOWN_EPOCH = 11
    RETIRED_EPOCH = 12
    WRONG_TAC = 13


class Verdict(NamedTuple):
    """A stored decision, final. (batch, row) is its place in the journal."""

    digest: bytes
    """SHA-256 of the body it was given for."""
    reason: Reason
    """NONE: posted."""
    fare_fen: int
    charged_fen: int
    batch: int
    row: int
    decide_time_ms: int

    @property
    def posted(self) -> bool:
        """Whether it posted; otherwise it was refused for `reason`."""
        return not self.reason


class Revised(NamedTuple):
    """What a tap costs after another one has changed its fare."""

    terminal: Terminal
    sequence: int
    digest: bytes
    revision: int
    fare_fen: int
    charged_fen: int
    batch: int
    row: int
    decide_time_ms: int


class Answer(NamedTuple):
    """What one tap of a batch is answered: a verdict, first given or repeated, or a cause why there is none."""

    verdict: Verdict | None
    """For IDENTITY_CONFLICT None: the first verdict belongs to another body."""
    cause: Cause | None = None
    repeated: bool = False
    adjusted: tuple[Revised, ...] = ()
    """Fares of other taps that this one has changed."""
    late: bool = False
    """Whether it was put among rides that had to be read again."""
