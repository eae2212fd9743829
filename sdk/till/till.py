"""A till: asks, waits, and asks again with the same request id while no answer comes, so that nothing is paid twice."""

from __future__ import annotations

import re
from typing import Final, Unpack

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from sdk.asking import Asker, Patience, new_request_id
from sdk.merchant.access import Line
from sdk.till.receipt import Payment, Receipt, payment_of, receipt_of

_PAYMENT_ID: Final = re.compile(r"[0-9a-f]{32}")


class Till(Asker):
    """One till or window, as its certificate names it. Methods block until there is a verdict.

    They raise NotAcceptedError when the platform does not take the question, and OutcomeUnknownError when no answer came: then
    ask again with the same `request_id`, or void the payment by it. Amounts are fen. A payment is named by its id, or by the
    request id of its `pay` or `hold`.
    """

    def __init__(self, line: Line, **patience: Unpack[Patience]) -> None:
        """The line is closed with it."""
        super().__init__(line, **patience)
        self._stub = PaymentsServiceStub(line.channel)

    def pay(self, card_identifier: str, amount_fen: int, *, token: str = "", request_id: str = "") -> Receipt:
        """Take money of a card at once; with a token of an electronic card, the identifier is empty."""
        request_id = request_id or new_request_id()
        request = messages.AuthorizeRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            token=token,
            amount=Money(amount_fen=amount_fen),
            capture=True,
        )
        return receipt_of(request_id, self._asking.ask(self._stub.Authorize, request, request_id).receipt)

    def hold(
        self, card_identifier: str, amount_fen: int, *, token: str = "", hold_seconds: int = 0, request_id: str = ""
    ) -> Receipt:
        """Hold money of a card, or by token as `pay`, for so long, or as long as the city lets it."""
        request_id = request_id or new_request_id()
        request = messages.AuthorizeRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            token=token,
            amount=Money(amount_fen=amount_fen),
            hold_seconds=hold_seconds,
        )
        return receipt_of(request_id, self._asking.ask(self._stub.Authorize, request, request_id).receipt)

    def capture(
        self, payment: str, amount_fen: int | None = None, *, more_to_come: bool = False, request_id: str = ""
    ) -> Receipt:
        """Take held money: all of it, or so much; the rest is let go unless there is more to come."""
        request_id = request_id or new_request_id()
        request = messages.CaptureRequest(
            request_id=request_id, payment=reference(payment), amount=_money(amount_fen), more_to_come=more_to_come
        )
        return receipt_of(request_id, self._asking.ask(self._stub.Capture, request, request_id).receipt)

    def void(self, payment: str, *, request_id: str = "") -> Receipt:
        """Let a hold go, or take back a payment (冲正). One that has not arrived yet will be refused."""
        request_id = request_id or new_request_id()
        request = messages.VoidRequest(request_id=request_id, payment=reference(payment))
        return receipt_of(request_id, self._asking.ask(self._stub.Void, request, request_id).receipt)

    def refund(self, payment: str, amount_fen: int | None = None, *, request_id: str = "") -> Receipt:
        """Give back what was paid: all that is left of it, or so much."""
        request_id = request_id or new_request_id()
        request = messages.RefundRequest(request_id=request_id, payment=reference(payment), amount=_money(amount_fen))
        return receipt_of(request_id, self._asking.ask(self._stub.Refund, request, request_id).receipt)

    def top_up(self, card_identifier: str, amount_fen: int, *, bank: bool = False, request_id: str = "") -> Receipt:
        """Bring cash, or money of the holder's bank account, to a card. Windows alone."""
        request_id = request_id or new_request_id()
        request = messages.TopUpRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            amount=Money(amount_fen=amount_fen),
            source=messages.TOP_UP_SOURCE_BANK if bank else messages.TOP_UP_SOURCE_CASH,
        )
        return receipt_of(request_id, self._asking.ask(self._stub.TopUp, request, request_id).receipt)

    def find(self, payment: str) -> Payment:
        """A payment of this till as it is now. NotAcceptedError with UNKNOWN_PAYMENT: it is not decided yet."""
        response = self._asking.ask(self._stub.GetPayment, messages.GetPaymentRequest(payment=reference(payment)))
        return payment_of(response.payment)

    def balance(self, card_identifier: str, *, as_of_ms: int = 0) -> messages.GetBalanceResponse:
        """What a holder has, or had then. Windows alone."""
        request = messages.GetBalanceRequest(card_identifier=card_identifier, as_of_ms=as_of_ms)
        response: messages.GetBalanceResponse = self._asking.ask(self._stub.GetBalance, request)
        return response

    def entries(self, card_identifier: str, *, limit: int = 100, page_token: str = "") -> messages.ListEntriesResponse:
        """A page of entries, newest first. Windows alone."""
        request = messages.ListEntriesRequest(card_identifier=card_identifier, page_size=limit, page_token=page_token)
        response: messages.ListEntriesResponse = self._asking.ask(self._stub.ListEntries, request)
        return response


def reference(payment: str) -> messages.PaymentReference:
    """A payment by its id or by the request id that asked for it: an id is 32 hexadecimal digits."""
    if _PAYMENT_ID.fullmatch(payment):
        return messages.PaymentReference(payment_id=payment)
    return messages.PaymentReference(authorize_request_id=payment)


def _money(amount_fen: int | None) -> Money | None:
    return None if amount_fen is None else Money(amount_fen=amount_fen)
