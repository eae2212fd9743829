"""A caller of payments with a connection of its own, and what calls are made of."""

from collections.abc import Awaitable
from typing import Any, Final

import grpc

from cli.authority import Issued
from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import ledger_pb2, payments_pb2
from onecard.payments.v1.ledger_pb2_grpc import LedgerServiceStub
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from onecard.payments.v1.reservations_pb2_grpc import ReservationServiceStub
from tests.support.edge import reason_of
from tests.support.office import new_id
from tests.support.town import card_identifier

ANSWER_SECONDS: Final = 20.0


class Client:
    """A caller on a connection of its own."""

    def __init__(self, channel: grpc.aio.Channel, issued: Issued | None = None) -> None:
        self.channel = channel
        self.issued = issued
        self.payments: Any = PaymentsServiceStub(channel)
        self.ledger: Any = LedgerServiceStub(channel)
        self.reservations: Any = ReservationServiceStub(channel)

    async def authorize(
        self,
        card: int,
        fen: int,
        request_id: str = "",
        *,
        capture: bool = False,
        hold_seconds: int = 0,
        token: str = "",
        timeout: float = ANSWER_SECONDS,
    ) -> payments_pb2.Receipt:
        request = payments_pb2.AuthorizeRequest(
            request_id=request_id or new_id("a"),
            card_identifier=card_identifier(card),
            amount=Money(amount_fen=fen),
            capture=capture,
            hold_seconds=hold_seconds,
            token=token,
        )
        return await _receipt(self.payments.Authorize(request, timeout=timeout))

    async def pay(self, card: int, fen: int, request_id: str = "", *, timeout: float = ANSWER_SECONDS) -> payments_pb2.Receipt:
        """In one step."""
        return await self.authorize(card, fen, request_id, capture=True, timeout=timeout)

    async def by_token(
        self, token: str, fen: int, request_id: str = "", *, capture: bool = True
    ) -> payments_pb2.Receipt:  # fmt: skip
        """With what the holder shows."""
        request = payments_pb2.AuthorizeRequest(
            request_id=request_id or new_id("q"), token=token, amount=Money(amount_fen=fen), capture=capture
        )
        return await _receipt(self.payments.Authorize(request, timeout=ANSWER_SECONDS))

    async def capture(
        self, payment: str, fen: int | None = None, request_id: str = "", *, more: bool = False
    ) -> payments_pb2.Receipt:
        request = payments_pb2.CaptureRequest(
            request_id=request_id or new_id("c"), payment=reference(payment), amount=_money(fen), more_to_come=more
        )
        return await _receipt(self.payments.Capture(request, timeout=ANSWER_SECONDS))

    async def void(self, payment: str, request_id: str = "") -> payments_pb2.Receipt:
        request = payments_pb2.VoidRequest(request_id=request_id or new_id("v"), payment=reference(payment))
        return await _receipt(self.payments.Void(request, timeout=ANSWER_SECONDS))

    async def refund(self, payment: str, fen: int | None = None, request_id: str = "") -> payments_pb2.Receipt:
        request = payments_pb2.RefundRequest(
            request_id=request_id or new_id("f"), payment=reference(payment), amount=_money(fen)
        )
        return await _receipt(self.payments.Refund(request, timeout=ANSWER_SECONDS))

    async def payment(self, payment: str) -> payments_pb2.Payment:
        request = payments_pb2.GetPaymentRequest(payment=reference(payment))
        answer: payments_pb2.GetPaymentResponse = await self.payments.GetPayment(request, timeout=ANSWER_SECONDS)
        return answer.payment

    async def top_up(
        self, card: int, fen: int, request_id: str = "", source: int = payments_pb2.TOP_UP_SOURCE_CASH
    ) -> payments_pb2.Receipt:
        request = payments_pb2.TopUpRequest(
            request_id=request_id or new_id("t"),
            card_identifier=card_identifier(card),
            amount=Money(amount_fen=fen),
            source=source,  # type: ignore[arg-type]  # a number of the enumeration
        )
        return await _receipt(self.payments.TopUp(request, timeout=ANSWER_SECONDS))

    async def balance(self, card: int, as_of_ms: int = 0) -> payments_pb2.GetBalanceResponse:
        request = payments_pb2.GetBalanceRequest(card_identifier=card_identifier(card), as_of_ms=as_of_ms)
        answer: payments_pb2.GetBalanceResponse = await self.payments.GetBalance(request, timeout=ANSWER_SECONDS)
        return answer

    async def entries(self, card: int, **asked: Any) -> list[payments_pb2.Entry]:
        """All of them, page by page."""
        found: list[payments_pb2.Entry] = []
        while True:
            request = payments_pb2.ListEntriesRequest(card_identifier=card_identifier(card), **asked)
            page = await self.payments.ListEntries(request, timeout=ANSWER_SECONDS)
            found += page.entries
            if not page.next_page_token:
                return found
            asked["page_token"] = page.next_page_token

    async def open_account(self, name: str = "", request_id: str = "", **asked: Any) -> ledger_pb2.OpenAccountResponse:
        request = ledger_pb2.OpenAccountRequest(request_id=request_id or new_id("o"), name=name, **asked)
        answer: ledger_pb2.OpenAccountResponse = await self.ledger.OpenAccount(request, timeout=ANSWER_SECONDS)
        return answer

    async def set_status(
        self, account: ledger_pb2.AccountReference, status: int, request_id: str = ""
    ) -> payments_pb2.Receipt:  # fmt: skip
        request = ledger_pb2.SetAccountStatusRequest(
            request_id=request_id or new_id("s"),
            account=account,
            status=status,  # type: ignore[arg-type]  # a number of the enumeration
        )
        return await _receipt(self.ledger.SetAccountStatus(request, timeout=ANSWER_SECONDS))

    async def post(
        self, *entries: ledger_pb2.PostEntry, request_id: str = "", service_date: str = ""
    ) -> payments_pb2.Receipt:  # fmt: skip
        request = ledger_pb2.PostRequest(request_id=request_id or new_id("p"), entries=entries, service_date=service_date)
        return await _receipt(self.ledger.Post(request, timeout=ANSWER_SECONDS))

    async def account(self, account: ledger_pb2.AccountReference, as_of_ms: int = 0) -> ledger_pb2.Account:
        request = ledger_pb2.GetAccountRequest(account=account, as_of_ms=as_of_ms)
        answer: ledger_pb2.GetAccountResponse = await self.ledger.GetAccount(request, timeout=ANSWER_SECONDS)
        return answer.account

    async def transfers(self, **asked: Any) -> list[ledger_pb2.Transfer]:
        """The whole listing, page by page."""
        found: list[ledger_pb2.Transfer] = []
        while True:
            page = await self.ledger.ListTransfers(ledger_pb2.ListTransfersRequest(**asked), timeout=ANSWER_SECONDS)
            found += page.transfers
            if not page.next_page_token:
                return found
            asked["page_token"] = page.next_page_token


async def _receipt(call: Awaitable[Any]) -> payments_pb2.Receipt:
    receipt: payments_pb2.Receipt = (await call).receipt
    return receipt


def _money(fen: int | None) -> Money | None:
    return None if fen is None else Money(amount_fen=fen)


def reference(payment: str) -> payments_pb2.PaymentReference:
    """By the id on a receipt (32 hexadecimal digits), or by the request id of its Authorize."""
    if len(payment) == 32:
        return payments_pb2.PaymentReference(payment_id=payment)
    return payments_pb2.PaymentReference(authorize_request_id=payment)


def named(name: str) -> ledger_pb2.AccountReference:
    return ledger_pb2.AccountReference(name=name)


def numbered(account_id: int) -> ledger_pb2.AccountReference:
    return ledger_pb2.AccountReference(account_id=account_id)


def holder(card: int) -> ledger_pb2.AccountReference:
    return ledger_pb2.AccountReference(card_identifier=card_identifier(card))


def debit(account: ledger_pb2.AccountReference, fen: int, currency: str = "") -> ledger_pb2.PostEntry:
    return ledger_pb2.PostEntry(account=account, side=ledger_pb2.SIDE_DEBIT, amount=Money(amount_fen=fen, currency=currency))


def credit(account: ledger_pb2.AccountReference, fen: int, currency: str = "") -> ledger_pb2.PostEntry:
    return ledger_pb2.PostEntry(account=account, side=ledger_pb2.SIDE_CREDIT, amount=Money(amount_fen=fen, currency=currency))


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """How a call that gets no verdict ends: its status and reason."""
    code, reason, _ = await refused_saying(call)
    return code, reason


async def refused_saying(call: Awaitable[object]) -> tuple[grpc.StatusCode, str, str]:
    """The same with the message for people."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), reason_of(error), error.details() or ""
    raise AssertionError(f"it was answered: {answer}")
