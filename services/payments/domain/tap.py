"""What a terminal tells us: a transaction that has already happened."""

from enum import IntEnum
from typing import NamedTuple


class Scene(IntEnum):
    """Where cards are tapped; the numbers are stored."""

    BUS = 1
    CAMPUS = 2
    SCENIC = 3
    OFFICE = 9
    """The city's own desk: openings and top-ups, never a topic."""


SERVICES = "service:"
"""What the merchant id begins with under which a service acts."""
ITSELF = "*"
"""The terminal id under which a merchant or a service asks for itself."""


class Terminal(NamedTuple):
    """A registered terminal: what the ledger knows of (merchant, terminal)."""

    number: int
    """Stands for (merchant, terminal) in every row of the ledger."""
    merchant_id: str
    terminal_id: str
    scene: Scene
    payable_account: int
    """The account that collects what the merchant is owed."""
    retired: bool
    mark: int = 0
    """Every sequence up to this one is decided, and may be forgotten."""

    def is_merchant_of(self, merchant_id: str) -> bool:
        """Whether this is the merchant itself, which may act for all of its terminals."""
        return self.terminal_id == ITSELF and self.merchant_id == merchant_id

    @property
    def is_service(self) -> bool:
        """Whether it stands for a service of the city, which is no merchant."""
        return self.merchant_id.startswith(SERVICES)

    @property
    def is_window(self) -> bool:
        """Whether it serves the city's own desks, which may see balances and take top-ups."""
        return self.scene is Scene.OFFICE and self.terminal_id != ITSELF


class Side(IntEnum):
    """Of a ride; the numbers are those of onecard.payments.v1.RideSide."""

    SINGLE = 0
    """One tap a ride."""
    ENTRY = 1
    EXIT = 2


class CardForm(IntEnum):
    """What was held to the terminal; the numbers are those of onecard.payments.v1.CardForm."""

    UNSPECIFIED = 0
    SECOND_GENERATION = 1
    THIRD_GENERATION = 2
    ELECTRONIC = 3


class Facts(NamedTuple):
    """What a terminal tells beside who, when and how much; tariffs rate by it."""

    line: str = ""
    stop: str = ""
    vehicle: str = ""
    side: Side = Side.SINGLE
    riders: int = 1
    """On one card."""
    outlet: str = ""
    """Of a campus: a canteen window, a shop, a library."""
    gate: str = ""
    """Of a scenic site."""
    ticket: str = ""
    """The kind of ticket or pass; empty: the ordinary one."""
    item: str = ""
    """What is lent, or comes back."""
    returned: bool = False
    """Whether it comes back."""


NO_FACTS = Facts()


class Tap(NamedTuple):
    """One decoded transaction of a registered terminal. A NamedTuple because thousands are made for each batch."""

    terminal: Terminal
    sequence: int
    digest: bytes
    """SHA-256 of the signed body: sameness is the digest, never the amount."""
    card_identifier: str
    event_time_ms: int
    """The terminal's clock, UTC milliseconds since 1970."""
    price_fen: int | None
    """What the body says, for scenes where the merchant names the price."""
    facts: Facts = NO_FACTS
    form: CardForm = CardForm.UNSPECIFIED
    body: bytes = b""
    """The signed body; kept of taps that may have to be rated again."""

    @property
    def place(self) -> tuple[int, int, int]:
        """(event time, terminal number, sequence): where it stands among the taps of its holder."""
        return self.event_time_ms, self.terminal.number, self.sequence

    @property
    def identity(self) -> tuple[int, int]:
        """(terminal number, sequence): one identity has one verdict for ever."""
        return self.terminal.number, self.sequence
