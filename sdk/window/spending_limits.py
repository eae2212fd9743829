"""What a window asks about a guardian's limits."""

from __future__ import annotations

from functools import cached_property

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1.card_events_pb2 import SpendingLimits
from onecard.card.v1.spending_limits_pb2 import SetSpendingLimitsRequest
from onecard.card.v1.spending_limits_pb2_grpc import SpendingLimitServiceStub
from sdk.window.answers import Answer
from sdk.window.terminal import Terminal


class GuardiansLimits(Terminal):
    """What a guardian lets a child spend; a view of the child shows it."""

    @cached_property
    def _spending_limits(self) -> SpendingLimitServiceStub:
        return SpendingLimitServiceStub(self._channel)

    def set_spending_limits(
        self, holder_id: int, guardian: applications.Representative, limits: SpendingLimits, *, request_id: str = ""
    ) -> Answer:
        """All limits of a child anew; none lifts them. The guardian stands here, and the document was read and compared."""
        request = SetSpendingLimitsRequest(holder_id=holder_id, identity_verified=True, guardian=guardian, limits=limits)
        answer = self._write(self._spending_limits.SetSpendingLimits, request, request_id)
        return Answer.of(request.request_id, answer)
