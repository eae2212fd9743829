"""What a batch is decided on, and what comes of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.payments.domain.account import Account, HolderAccount, Purpose
from services.payments.domain.limits import Limits
from services.payments.domain.operation import Answered, OpenAccount, Operation, Ruling, Token
from services.payments.domain.payment import Payment
from services.payments.domain.places import Admission, Admitted, Slot
from services.payments.domain.ride import Adjusted, History, Ride
from services.payments.domain.tap import Tap
from services.payments.domain.tariff import Tariffs
from services.payments.domain.transfer import Leg
from services.payments.domain.verdict import Answer, Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """City settings that decide whether money moves."""

    tariffs: Tariffs
    hotlist_losses_account: int
    acceptance_horizon_ms: int
    """Older taps post nothing, for ever."""
    clock_tolerance_ms: int
    """How far ahead of our clock a terminal's may be."""
    hotlist_grace_ms: int
    """How long after the hotlist's publication the city still pays for a lost card's taps."""
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """Of online payments, by the holder's category; "" is everybody else's."""
    purposes: Mapping[str, Purpose] = field(default_factory=dict)
    """What bound purses pay for, by name."""
    fare_shortfalls_account: int = 0
    """Pays what of a fare that was raised later nobody can pay any more."""
    places_given_account: int = 0
    """Where the places of slots come from."""
    places_taken_account: int = 0
    """Collects the places of visitors who have entered."""

    def slots(self, taps: Iterable[Tap], now_ms: int) -> set[Slot]:
        """Whose places taps may take that are accepted now."""
        return self.tariffs.slots(taps, now_ms - self.acceptance_horizon_ms, now_ms + self.clock_tolerance_ms)


NO_RULES = Rules(Tariffs(()), 0, 0, 0, 0)
"""Where no tap and no payment is decided: openings, the back office."""


class Decided(NamedTuple):
    """A tap's verdict to be stored."""

    tap: Tap
    account_id: int
    verdict: Verdict


class Ruled(NamedTuple):
    """An operation's ruling to be stored."""

    operation: Operation
    ruling: Ruling


class Barred(NamedTuple):
    """The ruling that a Void leaves for a payment of its caller that has not arrived."""

    terminal: int
    request_id: str
    ruling: Ruling


@dataclass(slots=True)
class Book:
    """What a batch is decided on, all of it read after the accounts were locked.

    `decide` changes the accounts and payments and adds the verdicts it gives, so that what comes later in the batch sees them.
    """

    accounts: Mapping[str, HolderAccount]
    """By card identifier; two cards of one holder share an account."""
    locked: Mapping[int, Account] = field(default_factory=dict)
    """Holders, their purses, and guarded accounts, by number. Every other account accrues."""
    verdicts: dict[tuple[int, int], Verdict] = field(default_factory=dict)
    """Of known taps."""
    rulings: dict[tuple[int, str], Ruling] = field(default_factory=dict)
    """Of known operations, and of those that the batch refers to."""
    payments: dict[bytes, Payment] = field(default_factory=dict)
    """Those that the batch refers to, and those that it makes."""
    spent: set[bytes] = field(default_factory=set)
    """Numbers of tokens that were used before."""
    histories: dict[tuple[int, str], History] = field(default_factory=dict)
    """By account and key of the tariff: earlier rides, where some of the batch's taps need them, and those that it makes."""
    places: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """The accounts of places, by slot."""
    names: set[str] = field(default_factory=set)
    """Of the accounts to be opened: those that are taken."""


@dataclass(slots=True)
class Journal:
    """What `decide` returns: answers in order, and the rows to write."""

    answers: list[Answer] = field(default_factory=list)
    """One a tap."""
    answered: list[Answered] = field(default_factory=list)
    """One an operation."""
    decided: list[Decided] = field(default_factory=list)
    ruled: list[Ruled] = field(default_factory=list)
    barred: list[Barred] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    rides: list[Ride] = field(default_factory=list)
    """That were accepted."""
    disturbed: tuple[History, int] | None = None
    """Rides that the tap at hand was put before; they are rated again when it has its verdict."""
    adjusted: list[Adjusted] = field(default_factory=list)
    admission: Admission | None = None
    """What lets the holder of the tap at hand in, when the tap is accepted."""
    admitted: list[Admitted] = field(default_factory=list)
    spent: list[Token] = field(default_factory=list)
    opened: list[OpenAccount] = field(default_factory=list)
    pending: dict[int, int] = field(default_factory=dict)
    """What accruing accounts are promised by holds, or no longer: changes in fen by account."""

    @property
    def batch(self) -> int:
        """The number of the batch; 0: nothing was decided in it."""
        if self.decided:
            return self.decided[0].verdict.batch
        if self.ruled:
            return self.ruled[0].ruling.batch
        return self.adjusted[0].batch if self.adjusted else 0

    @property
    def row(self) -> int:
        """The next row of the batch."""
        return len(self.decided) + len(self.ruled) + len(self.barred) + len(self.adjusted) + len(self.admitted)

    def promise(self, payee: int, amount_fen: int) -> None:
        """Note what a hold promises its payee; a negative amount takes the promise back."""
        self.pending[payee] = self.pending.get(payee, 0) + amount_fen


class Sitting(NamedTuple):
    """A batch while it is decided: on what, by which rules, and what has come of it so far."""

    book: Book
    rules: Rules
    journal: Journal
    batch: int
    now_ms: int
