"""ElectronicCardService: the electronic card, for windows and for its holder."""

from typing import Any

from onecard.card.v1 import electronic_pb2 as messages
from onecard.card.v1.electronic_pb2_grpc import ElectronicCardServiceServicer
from services.card.api.answers import refusal_of
from services.card.api.cards import CardService
from services.card.domain.actor import Actor, ActorKind
from services.card.domain.electronic import TokenPurpose
from services.card.domain.life_cycle import Verb
from services.card.domain.refusal import Refusal
from services.card.handlers.electronic import ElectronicCards
from services.card.handlers.view_holder import CardIdentifier, CardNumber
from services.common.clock import now_ms
from services.common.grpc.calls import current_peer
from services.common.grpc.reading import bad, identifier, named
from services.common.grpc.to_its_end import to_its_end


class ElectronicCardService(ElectronicCardServiceServicer):
    """Its verbs are verbs of its card; tokens are for whoever knows the password."""

    def __init__(self, cards: CardService, electronic: ElectronicCards) -> None:
        self._cards = cards
        self._electronic = electronic

    async def SignUp(self, request: messages.SignUpRequest, context: Any) -> messages.SignUpResponse:  # noqa: N802
        """To query and to show who one is."""
        card, refusal = await self._cards.change(Verb.SIGN_UP, request, context)
        return messages.SignUpResponse(card=card, refusal=refusal)

    async def RaiseLevel(self, request: messages.RaiseLevelRequest, context: Any) -> messages.RaiseLevelResponse:  # noqa: N802
        """To pay, too."""
        card, refusal = await self._cards.change(Verb.RAISE_LEVEL, request, context)
        return messages.RaiseLevelResponse(card=card, refusal=refusal)

    async def ResetPassword(  # noqa: N802
        self, request: messages.ResetPasswordRequest, context: Any
    ) -> messages.ResetPasswordResponse:
        """The holder stands here."""
        card, refusal = await self._cards.change(Verb.RESET_PASSWORD, request, context)
        return messages.ResetPasswordResponse(card=card, refusal=refusal)

    async def CancelElectronicCard(  # noqa: N802
        self, request: messages.CancelElectronicCardRequest, context: Any
    ) -> messages.CancelElectronicCardResponse:
        """It ends."""
        card, refusal = await self._cards.change(Verb.CANCEL_ELECTRONIC, request, context)
        return messages.CancelElectronicCardResponse(card=card, refusal=refusal)

    @to_its_end
    async def IssueToken(self, request: messages.IssueTokenRequest, context: Any) -> messages.IssueTokenResponse:  # noqa: N802
        """Good once."""
        purpose = named("purpose", TokenPurpose, request.purpose)
        terminal = Actor(ActorKind.TERMINAL, terminal=current_peer().subject.uri)
        issued = await self._electronic.issue(_card(request), request.password, purpose, terminal, now_ms())
        if isinstance(issued, Refusal):
            return messages.IssueTokenResponse(refusal=refusal_of(issued))
        return messages.IssueTokenResponse(token=issued.token, expire_time_ms=issued.expire_time_ms)


def _card(request: messages.IssueTokenRequest) -> CardIdentifier | CardNumber:
    match request.WhichOneof("card"):
        case "card_identifier":
            return CardIdentifier(identifier("card_identifier", request.card_identifier, 32))
        case "card_number":
            return CardNumber(identifier("card_number", request.card_number.upper(), 9))
    raise bad("card", "it must be named")
