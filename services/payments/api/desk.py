"""What every method begins and ends with: who calls, may it go on, and the ledger's answer."""

from typing import Protocol

from services.common.grpc.calls import current_peer
from services.payments.adapters.callers import Caller, Callers
from services.payments.batcher import Batcher
from services.payments.domain.operation import Answered, Operation
from services.payments.handlers.operate import Rejected


class Freshness(Protocol):
    """How old the projection of the cards is."""

    def check(self) -> None:
        """Raises DomainError when it is too old to decide on."""


class RateLimit(Protocol):
    """How often a caller may ask."""

    def take(self, caller: str) -> None:
        """Raises DomainError when it has asked too often."""


class Desk:
    """Admits callers and hands their operations to the ledger."""

    def __init__(self, callers: Callers, batcher: Batcher, rate_limit: RateLimit, freshness: Freshness) -> None:
        self._callers = callers
        self._batcher = batcher
        self._rate_limit = rate_limit
        self._freshness = freshness

    async def caller(self) -> Caller:
        """Who makes this call. Raises DomainError for somebody unknown, and for one that asks too often."""
        subject = current_peer().subject
        caller = await self._callers.admit(subject)
        self._rate_limit.take(caller.key)
        return caller

    def needs_fresh_cards(self) -> None:
        """Raises DomainError while it is not known how cards stand: online a payment fails closed."""
        self._freshness.check()

    async def ask(self, operation: Operation) -> Answered | Rejected:
        """The ledger's answer."""
        return await self._batcher.call(operation)
