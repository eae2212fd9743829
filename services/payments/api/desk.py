"""What every method begins and ends with: who calls, may it go on, and the ledger's answer."""

from services.common.grpc.calls import current_peer
from services.payments.adapters.callers import Caller, Callers
from services.payments.adapters.freshness import ProjectionFreshness
from services.payments.adapters.rate_limits import RateLimits
from services.payments.batcher import Batcher
from services.payments.domain.operation import Answered, Operation
from services.payments.handlers.operate import Rejected


class Desk:
    """Admits callers and hands their operations to the ledger."""

    def __init__(self, callers: Callers, batcher: Batcher, rate_limits: RateLimits, freshness: ProjectionFreshness) -> None:
        self._callers = callers
        self._batcher = batcher
        self._rate_limits = rate_limits
        self._freshness = freshness

    async def caller(self) -> Caller:
        """Who makes this call. Raises DomainError for somebody unknown, and for one that asks too often."""
        subject = current_peer().subject
        self._rate_limits.take(subject.uri)  # before it is looked up, which costs a query for a stranger
        return await self._callers.admit(subject)

    def needs_fresh_cards(self) -> None:
        """Raises DomainError while it is not known how cards stand: online a payment fails closed."""
        self._freshness.check()

    async def ask(self, operation: Operation) -> Answered | Rejected:
        """The ledger's answer."""
        return await self._batcher.call(operation)
