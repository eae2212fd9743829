"""What a window asks about cards."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1.cards_pb2_grpc import CardServiceStub
from sdk.window.answers import CardAnswer, HandOutAnswer, refusal_of
from sdk.window.terminal import Terminal

IN_PERSON: Final = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True)
"""The holder stands here, and the document was read and compared."""
BY_TELEPHONE: Final = cards.Presented(party=cards.PARTY_HOLDER_REMOTE)


class Cards(Terminal):
    """The life of a card."""

    @cached_property
    def _cards(self) -> CardServiceStub:
        return CardServiceStub(self._channel)

    def collect(
        self, card_id: int, presented: cards.Presented = IN_PERSON, *, new_pin: str = "", request_id: str = ""
    ) -> CardAnswer:
        """Hand it over; `new_pin`: what the holder or guardian keyed in."""
        request = cards.CollectRequest(card_id=card_id, presented=presented, new_pin=new_pin)
        return self._change(self._cards.Collect, request, request_id)

    def enable(
        self, card_id: int, presented: cards.Presented = IN_PERSON, *, new_pin: str = "", request_id: str = ""
    ) -> CardAnswer:
        """启用 its social function; a successor takes its predecessor's place. `new_pin` as at `collect`."""
        request = cards.EnableRequest(card_id=card_id, presented=presented, new_pin=new_pin)
        return self._change(self._cards.Enable, request, request_id)

    def activate(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """激活 its financial function."""
        return self._change(self._cards.Activate, cards.ActivateRequest(card_id=card_id, presented=presented), request_id)

    def report_temporary_loss(
        self,
        card_id: int,
        presented: cards.Presented = BY_TELEPHONE,
        *,
        electronic_outlives_loss: bool = False,
        request_id: str = "",
    ) -> CardAnswer:
        """临时挂失; the electronic card may be used meanwhile only if its holder says so now."""
        request = cards.ReportTemporaryLossRequest(
            card_id=card_id, presented=presented, electronic_outlives_loss=electronic_outlives_loss
        )
        return self._change(self._cards.ReportTemporaryLoss, request, request_id)

    def report_formal_loss(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """正式挂失, for good."""
        request = cards.ReportFormalLossRequest(card_id=card_id, presented=presented)
        return self._change(self._cards.ReportFormalLoss, request, request_id)

    def release(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """解挂: the card was found."""
        return self._change(self._cards.Release, cards.ReleaseRequest(card_id=card_id, presented=presented), request_id)

    def unlock(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """After too many wrong PINs."""
        return self._change(self._cards.Unlock, cards.UnlockRequest(card_id=card_id, presented=presented), request_id)

    def verify_pin(self, card_id: int, pin: str) -> applications.Refusal | None:
        """None: it is the card's PIN. It is asked once: each time is a try, and too many failures lock the card."""
        answer = self._asking.ask_once(self._cards.VerifyPin, cards.VerifyPinRequest(card_id=card_id, pin=pin))
        return refusal_of(answer)

    def change_pin(self, card_id: int, pin: str, new_pin: str, *, request_id: str = "") -> CardAnswer:
        """Another PIN for a holder who knows the present one."""
        request = cards.ChangePinRequest(card_id=card_id, pin=pin, new_pin=new_pin)
        return self._change(self._cards.ChangePin, request, request_id)

    def reset_pin(
        self,
        card_id: int,
        new_pin: str,
        presented: cards.Presented = IN_PERSON,
        *,
        without_document: bool = False,
        request_id: str = "",
    ) -> CardAnswer:
        """Another PIN for a holder who forgot it. Without a document that can be read it waits for a second person."""
        request = cards.ResetPinRequest(
            card_id=card_id, presented=presented, new_pin=new_pin, without_document=without_document
        )
        return self._change(self._cards.ResetPin, request, request_id)

    def extend(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """A temporary card lives on."""
        return self._change(self._cards.Extend, cards.ExtendRequest(card_id=card_id, presented=presented), request_id)

    def ask_bank_again(self, card_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> CardAnswer:
        """The bank opened no account for a card that was issued at once; what it objected to is settled."""
        request = cards.AskBankAgainRequest(card_id=card_id, presented=presented)
        return self._change(self._cards.AskBankAgain, request, request_id)

    def cancel(
        self,
        card_id: int,
        reason: str,
        presented: cards.Presented = IN_PERSON,
        *,
        remainder_to: str = "CASH",
        request_id: str = "",
    ) -> CardAnswer:
        """注销, for good: DECEASED, EMIGRATED, MOVED_AWAY. It waits for a second person; ask again with the same id then."""
        request = cards.CancelRequest(
            card_id=card_id,
            presented=presented,
            reason=f"CANCEL_REASON_{reason.upper()}",
            remainder_to=f"REMAINDER_TO_{remainder_to.upper()}",
        )
        answer = self._write(self._cards.Cancel, request, request_id)
        return CardAnswer.of(
            request.request_id,
            answer,
            card=answer.card,
            remainder_fen=answer.remainder_fen,
            remainder_to_come=answer.remainder_to_come,
            fees_fen=answer.fees_fen,
        )

    def hand_out(self, holder_id: int, presented: cards.Presented = IN_PERSON, *, request_id: str = "") -> HandOutAnswer:
        """What waits in cash for a holder goes over this counter."""
        request = cards.HandOutRequest(holder_id=holder_id, presented=presented)
        answer = self._write(self._cards.HandOut, request, request_id)
        return HandOutAnswer.of(
            request.request_id, answer, fees_fen=answer.fees_fen, remainder_fen=answer.remainder_fen
        )  # fmt: skip

    def allowed_actions(self, card_id: int) -> cards.ListAllowedActionsResponse:
        """What may be done to a card now, and for the rest why not."""
        request = cards.ListAllowedActionsRequest(card_id=card_id)
        answer: cards.ListAllowedActionsResponse = self._asking.ask(self._cards.ListAllowedActions, request)
        return answer
