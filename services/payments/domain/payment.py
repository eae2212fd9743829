"""A payment: money held or taken from the purses of one holder for one merchant. Changed only under the holder's lock.

A reservation is one, too: places held for a holder, from the account of a slot.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.payments.domain.account import FIRST_HOLDER_ACCOUNT


class PaymentStatus(IntEnum):
    """The numbers are stored and are those of onecard.payments.v1.PaymentStatus. All but HELD are final."""

    HELD = 1
    CAPTURED = 2
    VOIDED = 3
    EXPIRED = 4


@dataclass(slots=True)
class Part:
    """What one purse contributes, in fen."""

    account_id: int
    held_fen: int
    """What was held, or taken at once."""
    captured_fen: int = 0
    refunded_fen: int = 0

    @property
    def open_fen(self) -> int:
        """What may still be captured while the payment is held."""
        return self.held_fen - self.captured_fen

    @property
    def paid_fen(self) -> int:
        """What may still be given back."""
        return self.captured_fen - self.refunded_fen


@dataclass(slots=True)
class Payment:
    """As it stands."""

    id: bytes
    terminal: int
    merchant_id: str
    scene: int
    request_id: str
    """Of its Authorize."""
    account_id: int
    payee: int
    one_step: bool
    status: PaymentStatus
    parts: Sequence[Part]
    """In the order in which the purses pay."""
    create_time_ms: int
    expire_time_ms: int
    """When its hold may be let go; a capture that comes before that is committed wins."""
    stored: bool = False
    """Whether it has a row of its own: a one-step payment gets one when something happens to it."""
    changed: bool = False
    """Whether there is something to store."""

    @property
    def is_reservation(self) -> bool:
        """Whether it holds places of a site, and no money."""
        return self.parts[0].account_id < FIRST_HOLDER_ACCOUNT

    @property
    def amount_fen(self) -> int:
        """What was asked for."""
        return sum(part.held_fen for part in self.parts)

    @property
    def captured_fen(self) -> int:
        """What was taken."""
        return sum(part.captured_fen for part in self.parts)

    @property
    def refunded_fen(self) -> int:
        """What was given back of it."""
        return sum(part.refunded_fen for part in self.parts)

    @property
    def held_fen(self) -> int:
        """What is still held."""
        return sum(part.open_fen for part in self.parts) if self.status is PaymentStatus.HELD else 0

    @property
    def paid_fen(self) -> int:
        """What may still be given back."""
        return self.captured_fen - self.refunded_fen

    def end(self, status: PaymentStatus) -> None:
        """Final: an ended payment holds nothing."""
        assert self.status is PaymentStatus.HELD, "a payment that has ended stays as it ended"
        self.status = status
        self.changed = True

    def capture(self, amount_fen: int) -> Iterator[tuple[Part, int]]:
        """Take an amount, from the purses in the order in which they were held: which part pays how much."""
        self.changed = True
        for part, share in _spread(((part, part.open_fen) for part in self.parts), amount_fen):
            part.captured_fen += share
            yield part, share

    def refund(self, amount_fen: int) -> Iterator[tuple[Part, int]]:
        """Give an amount back, to the purses in the reverse order: which part gets how much."""
        self.changed = True
        for part, share in _spread(((part, part.paid_fen) for part in reversed(self.parts)), amount_fen):
            part.refunded_fen += share
            yield part, share


def _spread(room: Iterable[tuple[Part, int]], amount_fen: int) -> Iterator[tuple[Part, int]]:
    for part, most in room:
        share = min(amount_fen, most)
        if share:
            yield part, share
        amount_fen -= share
    assert not amount_fen, "the caller has looked whether there is so much"
