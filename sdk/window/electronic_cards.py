"""What a window asks about electronic cards."""

from __future__ import annotations

from functools import cached_property

from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import electronic_pb2 as electronic
from onecard.card.v1.electronic_pb2_grpc import ElectronicCardServiceStub
from sdk.window.answers import CardAnswer
from sdk.window.cards import IN_PERSON
from sdk.window.terminal import Terminal


class ElectronicCards(Terminal):
    """签发, and what its holder shows."""

    @cached_property
    def _electronic(self) -> ElectronicCardServiceStub:
        return ElectronicCardServiceStub(self._channel)

    def sign_up(
        self, card_id: int, password: str, presented: cards.Presented = IN_PERSON, *, request_id: str = ""
    ) -> CardAnswer:
        """签发, to query and to show who one is; the holder keys six digits in."""
        request = electronic.SignUpRequest(card_id=card_id, presented=presented, password=password)
        return self._change(self._electronic.SignUp, request, request_id)

    def raise_level(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """It may pay, too."""
        request = electronic.RaiseLevelRequest(card_id=card_id, presented=presented)
        return self._change(self._electronic.RaiseLevel, request, request_id)

    def reset_password(
        self, card_id: int, password: str, presented: cards.Presented = IN_PERSON, *, request_id: str = ""
    ) -> CardAnswer:
        """The holder has forgotten it, or tried too often."""
        request = electronic.ResetPasswordRequest(card_id=card_id, presented=presented, password=password)
        return self._change(self._electronic.ResetPassword, request, request_id)

    def cancel_electronic(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """The electronic card ends; the physical one stays."""
        request = electronic.CancelElectronicCardRequest(card_id=card_id, presented=presented)
        return self._change(self._electronic.CancelElectronicCard, request, request_id)

    def issue_token(self, card_identifier: str, password: str, *, to_pay: bool = False) -> electronic.IssueTokenResponse:
        """What the holder shows, good once. It is asked once: each time is a try at the password."""
        purpose = "TOKEN_PURPOSE_PAY" if to_pay else "TOKEN_PURPOSE_IDENTIFY"
        request = electronic.IssueTokenRequest(
            card_identifier=card_identifier,
            password=password,
            purpose=purpose,
        )
        answer: electronic.IssueTokenResponse = self._asking.ask_once(self._electronic.IssueToken, request)
        return answer
