"""What is asked online: operations that wait for an answer, and the answers they get."""

from enum import Enum, IntEnum
from typing import Final, NamedTuple

from services.payments.domain.account import AccountStatus, Purse
from services.payments.domain.places import Admission, ReservationTerms, Slot
from services.payments.domain.tap import Terminal
from services.payments.domain.verdict import Reason


class Kind(IntEnum):
    """The numbers are stored and are those of onecard.payments.v1.Operation."""

    AUTHORIZE = 1
    CAPTURE = 2
    VOID = 3
    REFUND = 4
    TOP_UP = 5
    POST = 6
    OPEN_ACCOUNT = 7
    SET_ACCOUNT_STATUS = 8
    EXPIRE = 9
    ADJUST = 10
    RESERVE = 11
    ADMIT = 12


class Request(NamedTuple):
    """Who asks, and under which name: (caller, request id) has one verdict for ever."""

    caller: Terminal
    request_id: str
    digest: bytes
    """SHA-256 of `body`: sameness is the digest, never the amount."""
    body: bytes
    """What was asked, in our own lasting form; see adapters/requests.py."""

    @property
    def identity(self) -> tuple[int, str]:
        """(caller's number, request id)"""
        return self.caller.number, self.request_id


class PaymentReference(NamedTuple):
    """A payment by one of its names."""

    payment: bytes | None
    authorize_request_id: str
    """Of the same caller; empty when the payment's id is given."""


class Token(NamedTuple):
    """A one-time token of an electronic card."""

    number: bytes
    """SHA-256 of its text."""
    expire_time_ms: int = 0
    """0: nobody knows it, or no longer."""


class Authorize(NamedTuple):
    """Hold money of a card for the caller's merchant, or take it at once."""

    request: Request
    card_identifier: str
    """Empty for a token that nobody knows."""
    amount_fen: int
    capture: bool
    hold_ms: int
    token: Token | None = None
    """Shown in place of the card."""


class Capture(NamedTuple):
    """Take held money."""

    request: Request
    reference: PaymentReference
    amount_fen: int | None
    """None: all that is held."""
    more_to_come: bool


class Void(NamedTuple):
    """Let a hold go, or take back a one-step payment; bar the way of one that never arrived."""

    request: Request
    reference: PaymentReference


class Refund(NamedTuple):
    """Give back what was paid."""

    request: Request
    reference: PaymentReference
    amount_fen: int | None
    """None: all that is left."""


class TopUp(NamedTuple):
    """Bring money to a holder's main purse."""

    request: Request
    account_id: int
    source_account: int
    amount_fen: int


class Entry(NamedTuple):
    """One side of a posting."""

    account_id: int
    debit: bool
    amount_fen: int


class Post(NamedTuple):
    """Post a balanced set of entries of one currency, all or none."""

    request: Request
    entries: tuple[Entry, ...]
    currency: int
    event_time_ms: int
    may_overdraw: bool
    """Whether the caller holds the overdraft right: then an account's overdraft counts."""


class OpenAccount(NamedTuple):
    """Open a back-office account, or a holder's purse."""

    request: Request
    account_id: int
    """Allocated for it; a repeat answers the first one's."""
    name: str
    currency: int
    guarded: bool
    overdraft_fen: int
    purse: Purse | None


class SetAccountStatus(NamedTuple):
    """Freeze, open again, or close a guarded account."""

    request: Request
    account_id: int
    status: AccountStatus


class Reserve(NamedTuple):
    """Keep places of a slot for a holder."""

    request: Request
    card_identifier: str
    slot: Slot
    places: int
    terms: ReservationTerms
    """Settings of the moment."""


class Expire(NamedTuple):
    """Let go a hold that has run out; asked by the ledger itself."""

    request: Request
    reference: PaymentReference


class Adjust(NamedTuple):
    """A fare that another tap has changed; asked by the ledger itself, in the name of the terminal of that tap."""

    request: Request
    terminal: Terminal
    sequence: int
    """With the terminal: the tap whose fare it is."""
    revision: int
    fare_fen: int
    charged_fen: int


class Admit(NamedTuple):
    """Somebody entered a site with a quota; asked by the ledger itself, in the name of the terminal of the tap."""

    request: Request
    admission: Admission


Operation = (
    Authorize | Capture | Void | Refund | TopUp | Post | OpenAccount | SetAccountStatus | Expire | Adjust | Reserve | Admit
)
KIND: Final = {
    Authorize: Kind.AUTHORIZE,
    Capture: Kind.CAPTURE,
    Void: Kind.VOID,
    Refund: Kind.REFUND,
    TopUp: Kind.TOP_UP,
    Post: Kind.POST,
    OpenAccount: Kind.OPEN_ACCOUNT,
    SetAccountStatus: Kind.SET_ACCOUNT_STATUS,
    Expire: Kind.EXPIRE,
    Adjust: Kind.ADJUST,
    Reserve: Kind.RESERVE,
    Admit: Kind.ADMIT,
}
NO_DIGEST: Final = bytes(32)
"""Of the verdict that a Void leaves for a payment that has not arrived: whatever its body, it is refused."""


class Ruling(NamedTuple):
    """A stored decision about an operation, final. (batch, row) is its place in the journal."""

    digest: bytes
    kind: Kind
    reason: Reason
    """NONE: approved."""
    amount_fen: int
    """What was held, taken, let go, given back or brought; for a decline what was asked."""
    moved_fen: int
    """The sum of its transfers."""
    account_id: int
    """Whose it is; the account that it opened; 0: nobody's."""
    payment: bytes | None
    batch: int
    row: int
    decide_time_ms: int


class Problem(Enum):
    """Why an operation cannot be decided; its identity stays free."""

    CONFLICT = "the same request id was used before with another body"
    UNKNOWN_CARD = "no card has this identifier"
    UNKNOWN_PAYMENT = "the caller made no such payment"
    UNKNOWN_ACCOUNT = "there is no such account"
    NOT_DUE = "the hold has not run out yet"
    SWITCH_IN_PROGRESS = "another card takes this one's place at this moment"


class Answered(NamedTuple):
    """What one operation of a batch is answered."""

    ruling: Ruling | None
    problem: Problem | None = None
    repeated: bool = False
