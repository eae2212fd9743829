"""SessionService: holders show who they are, at a kiosk or online."""

from typing import Any

from onecard.card.v1 import sessions_pb2 as messages
from onecard.card.v1.sessions_pb2_grpc import SessionServiceServicer
from services.card.api.actors import Actors
from services.card.api.answers import refusal_of
from services.card.api.forms import NotAccepted, read_document
from services.card.domain.names import NameProblem, normalise_name
from services.card.domain.refusal import Refusal
from services.card.handlers.open_session import Opened, OpenSession
from services.card.handlers.view_holder import CardIdentifier, CardNumber
from services.common.clock import day_of, now_ms
from services.common.grpc.calls import current_peer
from services.common.grpc.reading import bad, identifier
from services.common.grpc.to_its_end import to_its_end


class SessionService(SessionServiceServicer):
    """Reads requests, asks the handlers, writes answers."""

    def __init__(self, actors: Actors, opening: OpenSession) -> None:
        self._actors = actors
        self._opening = opening

    @to_its_end
    async def OpenSession(  # noqa: N802
        self, request: messages.OpenSessionRequest, context: Any
    ) -> messages.OpenSessionResponse:
        """For some minutes, at this terminal."""
        opened = await self._open(request)
        if isinstance(opened, Refusal):
            return messages.OpenSessionResponse(refusal=refusal_of(opened))
        return messages.OpenSessionResponse(
            token=opened.token, expire_time_ms=opened.expire_time_ms, holder_id=opened.holder
        )  # fmt: skip

    async def EndSession(  # noqa: N802
        self, request: messages.EndSessionRequest, context: Any
    ) -> messages.EndSessionResponse:
        """The holder goes."""
        await self._opening.end(await self._actors.holder(context), now_ms())
        return messages.EndSessionResponse()

    async def _open(self, request: messages.OpenSessionRequest) -> Opened | Refusal:
        match request.WhichOneof("by"):
            case "card_and_pin":
                shown = request.card_and_pin
                return await self._opening.by_pin(_card(shown), shown.pin, current_peer(), now_ms())
            case "electronic_card":
                shown = request.electronic_card
                return await self._opening.by_electronic_card(_card(shown), shown.pin, current_peer(), now_ms())
            case "identity_reading":
                return await self._by_reading(request.identity_reading)
        raise bad("by", "it must be shown who asks")

    async def _by_reading(self, reading: messages.IdentityReading) -> Opened | Refusal:
        now = now_ms()
        read = read_document(reading.document, day_of(now))
        if isinstance(read, NotAccepted):
            return read.refusal
        name = normalise_name(reading.name)
        if isinstance(name, NameProblem):
            return Refusal.NAME_NOT_ACCEPTED
        return await self._opening.by_reading(read[0], name, current_peer(), now)


def _card(shown: messages.CardAndPin) -> CardIdentifier | CardNumber:
    match shown.WhichOneof("card"):
        case "card_identifier":
            return CardIdentifier(identifier("card_and_pin.card_identifier", shown.card_identifier, 32))
        case "card_number":
            return CardNumber(identifier("card_and_pin.card_number", shown.card_number.upper(), 9))
    raise bad("card_and_pin.card", "it must be named")
