"""What is said between us and a terminal at which a card is made, and by whom else a card's making is helped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, TypeAlias

from onecard.card.v1.cards_pb2 import CardSummary, Presented
from services.issuance.adapters.card_service import Declined
from services.issuance.domain.actor import Actor
from services.issuance.domain.apdu import Command
from services.issuance.domain.blank import Blank
from services.issuance.domain.effects import Answers, AskVault, Cryptogram, Proof, VaultRefused
from services.issuance.domain.journal import Due, Entry, Note
from services.issuance.domain.order import Order
from services.issuance.domain.product import Product
from services.issuance.domain.record import Record, Taken
from services.issuance.domain.refusal import Refusal
from services.issuance.domain.stage import Stage


@dataclass(frozen=True, slots=True)
class Begin:
    """A card lies in the reader."""

    application: int
    """0: whatever this card was begun for."""
    atr: bytes
    blank_serial: str
    """As it is printed on the plastic; empty where it cannot be read."""
    printer_ready: bool


@dataclass(frozen=True, slots=True)
class Position:
    """To what a message belongs."""

    record: int
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class Run:
    """Commands for the chip."""

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Print:
    """What goes onto the plastic."""

    order: Order


@dataclass(frozen=True, slots=True)
class Look:
    """Was it printed?"""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The card is ready for its holder."""

    card: int
    old_card_wanted: bool


class PrintOutcome(IntEnum):
    """As in the messages."""

    DONE = 1
    NOT_BEGUN = 2
    UNKNOWN = 3


class Looks(IntEnum):
    """As in the messages."""

    BLANK = 1
    GOOD = 2
    SPOILED = 3


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The holder has it."""

    presented: Presented = field(repr=False)
    new_pin: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class GivenUp:
    """At any time."""

    reason: Refusal


class IssueOutcome(IntEnum):
    """As in the messages."""

    ISSUED = 1
    WAITING_TO_BE_ENABLED = 2
    LYING = 3
    RELEASED = 4
    SPOILED = 5
    TRY_AGAIN = 6
    REFUSED = 7


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended."""

    outcome: IssueOutcome
    refusal: Refusal | Declined | None = None
    card: int = 0
    serial: str = ""
    commands: int = 0


Asked: TypeAlias = Run | Print | Look | HandOver
Said: TypeAlias = Answers | PrintOutcome | Looks | HandedOver | GivenUp


class Terminal(Protocol):
    """A reader, a printer, and a clerk with somebody in front of them."""

    async def ask(self, at: Position, stage: Stage, what: Asked) -> Said:
        """Raises DomainError when the answer belongs elsewhere, makes no sense, or does not come in time."""


class Journal(Protocol):
    """Where streams meet."""

    async def find(self, card_identifier: str) -> Blank | None:
        """The blank with that chip."""

    async def record(self, number: int) -> Record | None:
        """As it is now."""

    async def open_of(self, application: int) -> Record | None:
        """The record that holds an application."""

    async def reserve(self, blank: Blank, application: int, actor: Actor) -> Taken | Refusal | None:
        """A new record with its first epoch; None: somebody was quicker, look again."""

    async def take(self, record: Record, actor: Actor) -> Taken | Refusal | None:
        """Raise the epoch and read the journal; None: somebody was quicker, look again."""

    async def write(self, entry: Entry) -> int | None:
        """The number of what is owed now, or 0; None: another stream has taken the record, and nothing was written."""

    async def note_check(self, record: Record, actor: Actor) -> bool:
        """Write down that somebody looks at an issued card; not where it was looked at too often in a day."""

    async def keep_evidence(self, record: Record, note: Note) -> None:
        """An answer that came too late."""

    async def owed_completion(self, record: Record) -> tuple[int, bytes] | None:
        """What the card service was not told of a card that was handed over: its number, and who took it."""

    async def due(self) -> Sequence[Due]:
        """Debts that no stream has paid in time; whoever asks has them for a while."""

    async def abandoned(self, seconds: float) -> Sequence[Taken]:
        """Records with a blank that nobody has come back to for so long, nothing written; or whose blank is gone or barred."""

    async def lying(self, after: int, seconds: float) -> Sequence[Taken]:
        """Records behind that number whose card lies at its outlet for so long already, as far as we know."""

    async def account_of(self, serial: str) -> str:
        """The bank account that came with a blank; empty: none."""


class CardService(Protocol):
    """Raises Away."""

    async def begin(self, request_id: str, application: int, card_identifier: str, actor: Actor) -> Order | Declined:
        """The making of a card begins with this blank; what goes onto it."""

    async def order_of(self, application: int, actor: Actor) -> Order | Declined:
        """What is to be made for an application; who asks stands in its audit."""

    async def end(
        self, request_id: str, application: int, card_identifier: str, *, made: bool, bank_account: str = ""
    ) -> Declined | None:
        """The card of a blank is made, or its numbers are retired."""

    async def complete(
        self, request_id: str, application: int, actor: Actor, presented: Presented, new_pin: str = ""
    ) -> Declined | None:
        """The holder has it."""


class Registry(Protocol):
    """The card service, asked about cards that were issued. Raises Away."""

    async def order_by(self, card_identifier: str, actor: Actor) -> Order | Declined:
        """What stands on a card; who asks stands in its audit."""

    async def summary_by(self, card_identifier: str, actor: Actor) -> CardSummary | None:
        """How a card stands; None: there is none of this identifier."""


class Lease(Protocol):
    """What the vault does for one blank that a record holds reserved."""

    async def ask(self, question: AskVault, step: int) -> Cryptogram | Proof | VaultRefused:
        """One cryptogram, or one judgement."""

    async def close(self) -> None:
        """Nothing more is wanted."""


class Vault(Protocol):
    """The keys of chips."""

    async def open(self, taken: Taken, product: Product) -> Lease | VaultRefused:
        """For the identifier of the blank that the record holds, and no other."""

    async def open_issued(
        self, record: Record, card_identifier: str, product: Product, staff: int, terminal: str, approval: int = 0
    ) -> Lease | VaultRefused:
        """Of a card that was made: to check it; with a countersignature's number to update it."""
