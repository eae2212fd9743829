"""A till: asks, waits, and asks again with the same request id while no answer comes, so that nothing is paid twice."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeAlias

import grpc

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from sdk.merchant.access import Line
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError, reason_of
from sdk.till.receipt import Payment, Receipt, payment_of, receipt_of

ANSWER_SECONDS: Final = 5.0
"""How long one attempt may take."""
PATIENCE_SECONDS: Final = 20.0
"""How long all of them."""
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 2.0

_AGAIN: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}
"""Another attempt may be answered."""
_UNKNOWN: Final = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
"""Another one would hardly be, and what this one did is not known."""
_PAYMENT_ID: Final = re.compile(r"[0-9a-f]{32}")

Ask: TypeAlias = Callable[..., Any]
Trouble: TypeAlias = Callable[[str], None]


class Till:
    """One till or window, as its certificate names it. Methods block until there is a verdict.

    They raise NotAcceptedError when the platform does not take the question, and OutcomeUnknownError when no answer came: then
    ask again with the same `request_id`, or void the payment by it. Amounts are fen. A payment is named by its id, or by the
    request id of its `pay` or `hold`.
    """

    def __init__(
        self,
        line: Line,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        trouble: Trouble | None = None,
    ) -> None:
        """The line is closed with the till. `trouble` hears of each attempt that failed."""
        self._line = line
        self._stub = PaymentsServiceStub(line.channel)
        self._answer_seconds = answer_seconds
        self._patience_seconds = patience_seconds
        self._trouble = trouble

    def __enter__(self) -> Till:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the line."""
        self._line.channel.close()

    def pay(self, card_identifier: str, amount_fen: int, *, request_id: str = "") -> Receipt:
        """Take money of a card at once."""
        request_id = request_id or new_request_id()
        request = messages.AuthorizeRequest(
            request_id=request_id, card_identifier=card_identifier, amount=Money(amount_fen=amount_fen), capture=True
        )
        return receipt_of(request_id, self._ask(self._stub.Authorize, request, request_id).receipt)

    def hold(self, card_identifier: str, amount_fen: int, *, hold_seconds: int = 0, request_id: str = "") -> Receipt:
        """Hold money of a card, for so long, or as long as the city lets it."""
        request_id = request_id or new_request_id()
        request = messages.AuthorizeRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            amount=Money(amount_fen=amount_fen),
            hold_seconds=hold_seconds,
        )
        return receipt_of(request_id, self._ask(self._stub.Authorize, request, request_id).receipt)

    def capture(
        self, payment: str, amount_fen: int | None = None, *, more_to_come: bool = False, request_id: str = ""
    ) -> Receipt:
        """Take held money: all of it, or so much; the rest is let go unless there is more to come."""
        request_id = request_id or new_request_id()
        request = messages.CaptureRequest(
            request_id=request_id, payment=reference(payment), amount=_money(amount_fen), more_to_come=more_to_come
        )
        return receipt_of(request_id, self._ask(self._stub.Capture, request, request_id).receipt)

    def void(self, payment: str, *, request_id: str = "") -> Receipt:
        """Let a hold go, or take back a payment (冲正). One that has not arrived yet will be refused."""
        request_id = request_id or new_request_id()
        request = messages.VoidRequest(request_id=request_id, payment=reference(payment))
        return receipt_of(request_id, self._ask(self._stub.Void, request, request_id).receipt)

    def refund(self, payment: str, amount_fen: int | None = None, *, request_id: str = "") -> Receipt:
        """Give back what was paid: all that is left of it, or so much."""
        request_id = request_id or new_request_id()
        request = messages.RefundRequest(request_id=request_id, payment=reference(payment), amount=_money(amount_fen))
        return receipt_of(request_id, self._ask(self._stub.Refund, request, request_id).receipt)

    def top_up(self, card_identifier: str, amount_fen: int, *, bank: bool = False, request_id: str = "") -> Receipt:
        """Bring cash, or money of the holder's bank account, to a card. Windows alone."""
        request_id = request_id or new_request_id()
        request = messages.TopUpRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            amount=Money(amount_fen=amount_fen),
            source=messages.TOP_UP_SOURCE_BANK if bank else messages.TOP_UP_SOURCE_CASH,
        )
        return receipt_of(request_id, self._ask(self._stub.TopUp, request, request_id).receipt)

    def find(self, payment: str) -> Payment:
        """A payment of this till as it is now. NotAcceptedError with UNKNOWN_PAYMENT: it is not decided yet."""
        response = self._ask(self._stub.GetPayment, messages.GetPaymentRequest(payment=reference(payment)))
        return payment_of(response.payment)

    def balance(self, card_identifier: str, *, as_of_ms: int = 0) -> messages.GetBalanceResponse:
        """What a holder has, or had then. Windows alone."""
        request = messages.GetBalanceRequest(card_identifier=card_identifier, as_of_ms=as_of_ms)
        response: messages.GetBalanceResponse = self._ask(self._stub.GetBalance, request)
        return response

    def entries(self, card_identifier: str, *, limit: int = 100, page_token: str = "") -> messages.ListEntriesResponse:
        """A page of entries, newest first. Windows alone."""
        request = messages.ListEntriesRequest(card_identifier=card_identifier, page_size=limit, page_token=page_token)
        response: messages.ListEntriesResponse = self._ask(self._stub.ListEntries, request)
        return response

    def _ask(self, ask: Ask, request: Any, request_id: str = "") -> Any:
        until = time.monotonic() + self._patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return ask(request, timeout=self._answer_seconds, metadata=self._line.metadata)
            except grpc.RpcError as error:
                trouble = self._note(error, request_id)
            wait = pause * random.uniform(0.5, 1)  # noqa: S311 - no secret; not all tills come back at the same instant
            if time.monotonic() + wait >= until:
                raise OutcomeUnknownError(request_id, trouble)
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _note(self, error: Any, request_id: str) -> str:
        code, details = error.code(), error.details() or ""
        trouble = f"{code.name}: {details}"
        if code in _UNKNOWN:
            raise OutcomeUnknownError(request_id, trouble)
        if code not in _AGAIN:
            raise NotAcceptedError(reason_of(error) or code.name, details)
        if self._trouble is not None:
            self._trouble(trouble)
        return trouble


def new_request_id() -> str:
    """Never given before."""
    return f"R-{uuid.uuid4().hex}"


def reference(payment: str) -> messages.PaymentReference:
    """A payment by its id or by the request id that asked for it: an id is 32 hexadecimal digits."""
    if _PAYMENT_ID.fullmatch(payment):
        return messages.PaymentReference(payment_id=payment)
    return messages.PaymentReference(authorize_request_id=payment)


def _money(amount_fen: int | None) -> Money | None:
    return None if amount_fen is None else Money(amount_fen=amount_fen)
