"""The card service, asked over gRPC with issuance's own certificate. It may be away: what must be told is then told later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeVar

import grpc
import structlog

from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import production_pb2 as messages
from onecard.card.v1.applications_pb2 import Refusal as RefusalMessage
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from onecard.card.v1.production_pb2_grpc import ProductionServiceStub
from services.common.grpc.calls import asked_in
from services.common.grpc.channels import open_channel
from services.common.grpc.listen import Tls
from services.common.grpc.statuses import reason_of
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.card_data import CardData
from services.issuance.domain.order import Order

log = structlog.get_logger()

_PATIENCE_SECONDS: Final = 5.0
_SUBJECT: Final = (("x-onecard-subject", "onecard://service/issuance"),)
"""Said in plain text, which is for one machine alone; a certificate says it otherwise."""
_REFUSED: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""It was asked, and says no; whatever else fails may go well a moment later."""
_SILENT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""There is nobody to ask."""

T = TypeVar("T")


class Away(Exception):  # noqa: N818 - it is no error of anybody's
    """The card service did not answer: ask again with the same request id."""

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: it answered, and did not do this one thing; others it may do."""
        super().__init__()
        self.alone = alone


@dataclass(frozen=True, slots=True)
class Declined:
    """It says no; the sentence is what a clerk can say."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """Whom nobody believes any more."""

    serials: frozenset[str]
    terminals: dict[str, int]
    """By subject: since when, UTC milliseconds."""
    shifts: frozenset[int] = frozenset()
    """That ended before their time."""


class CardDesk:
    """A connection to the card service."""

    def __init__(self, address: str, tls: Tls | None, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._channel = open_channel(address, tls)
        self._metadata = None if tls else _SUBJECT
        self._production = ProductionServiceStub(self._channel)
        self._cards = CardServiceStub(self._channel)
        self._patience_seconds = patience_seconds

    async def who_acts(self, token: str, terminal: str, serial: str) -> Actor | Declined:
        """Who is signed in at a terminal. Raises Away."""
        request = messages.WhoActsRequest(token=token, terminal=terminal, serial=serial)
        answer = await self._ask(self._production.WhoActs, request, also=(grpc.StatusCode.UNAUTHENTICATED,))
        if isinstance(answer, Declined):
            return answer
        known = frozenset(role for role in Role if role in answer.roles)
        return Actor(answer.staff_id, known, answer.shift_id, terminal, answer.outlet, answer.expire_time_ms, answer.abroad)

    async def revoked(self) -> Revoked:
        """All of them. Raises Away."""
        answer = await self._ask(self._production.ListRevoked, messages.ListRevokedRequest())
        if isinstance(answer, Declined):
            raise Away
        since = {one.terminal: one.revoke_time_ms for one in answer.terminals}
        return Revoked(frozenset(answer.serials), since, frozenset(answer.ended_shifts))

    async def begin(self, request_id: str, application: int, card_identifier: str, actor: Actor) -> Order | Declined:
        """The making of a card begins with this blank; what goes onto it. Raises Away."""
        request = cards.BeginProductionRequest(
            request_id=request_id,
            application_id=application,
            card_identifier=card_identifier,
            with_card_data=True,
            acting=_acting(actor),
        )
        answer: Any = await self._ask(self._cards.BeginProduction, request)
        return _refusal(answer) or _order(answer.card_data)

    async def end(
        self, request_id: str, application: int, card_identifier: str, *, made: bool, bank_account: str = ""
    ) -> Declined | None:
        """The card of a blank is made, or its numbers are retired. Raises Away."""
        request = cards.EndProductionRequest(
            request_id=request_id,
            application_id=application,
            card_identifier=card_identifier,
            made=made,
            bank_account=bank_account,
        )
        return _refusal(await self._ask(self._cards.EndProduction, request))

    async def order_of(self, application: int, actor: Actor) -> Order | Declined:
        """What is to be made for an application; who asks stands in its audit. Raises Away."""
        return await self._order(messages.ReadCardDataRequest(application_id=application, acting=_acting(actor)))

    async def order_by(self, card_identifier: str, actor: Actor) -> Order | Declined:
        """What stands on a card; who asks stands in its audit. Raises Away."""
        return await self._order(messages.ReadCardDataRequest(card_identifier=card_identifier, acting=_acting(actor)))

    async def summary_by(self, card_identifier: str, actor: Actor) -> cards.CardSummary | None:
        """A card of the registry without anything personal; None: it knows none of this identifier. Raises Away."""
        request = messages.ReadCardDataRequest(
            card_identifier=card_identifier, acting=_acting(actor), summary_only=True
        )  # fmt: skip
        answer = await self._ask(self._production.ReadCardData, request)
        return None if isinstance(answer, Declined) else answer.data.card

    async def complete(
        self, request_id: str, application: int, actor: Actor, presented: cards.Presented, new_pin: str = ""
    ) -> Declined | None:
        """The holder has it: collected and enabled. Raises Away."""
        request = messages.CompleteIssueRequest(
            request_id=request_id,
            application_id=application,
            presented=presented,
            new_pin=new_pin,
            acting=_acting(actor),
        )
        return _refusal(await self._ask(self._production.CompleteIssue, request))

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _order(self, request: messages.ReadCardDataRequest) -> Order | Declined:
        answer = await self._ask(self._production.ReadCardData, request)
        return answer if isinstance(answer, Declined) else _order(answer.data)

    async def _ask(
        self, call: Callable[..., Awaitable[T]], request: Any, also: tuple[grpc.StatusCode, ...] = ()
    ) -> T | Declined:
        try:
            return await call(request, timeout=self._patience_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() in _REFUSED or error.code() in also:
                return Declined(reason_of(error.trailing_metadata()) or error.code().name, error.details() or "")
            log.warning("card_service_away", code=error.code().name, asked=asked_in(request))
            raise Away(alone=error.code() not in _SILENT) from None


def _refusal(answer: Any) -> Declined | None:
    if isinstance(answer, Declined):
        return answer
    refusal: RefusalMessage = answer.refusal
    return Declined(refusal.reason, refusal.message) if refusal.reason else None


def _acting(actor: Actor) -> cards.Acting | None:
    """None: the service asks for itself."""
    if not actor.staff:
        return None
    return cards.Acting(staff_id=actor.staff, shift_id=actor.shift, terminal=actor.terminal, outlet=actor.outlet)


def _order(data: cards.CardData) -> Order:
    values = CardData(
        data.card_identifier.upper(),
        data.card_number,
        data.social_security_number,
        data.name,
        str(data.sex),
        data.nationality,
        data.birthplace,
        date.fromisoformat(data.birth_date),
        date.fromisoformat(data.issue_date),
        date.fromisoformat(data.expiry_date),
    )
    return Order(data.application_id, data.card_id, values, data.photo, data.temporary_card, data.old_card_wanted)
