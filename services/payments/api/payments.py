"""PaymentsService: what windows, tills and gates ask."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import payments_pb2 as messages
from onecard.payments.v1.outcomes_pb2 import TransactionIdentity
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceServicer
from services.common.errors import Code, DomainError
from services.common.grpc.pages import read_token, write_token
from services.common.peer import Subject
from services.payments.adapters import requests
from services.payments.adapters.directory import Directory
from services.payments.api import reading
from services.payments.api.desk import Desk
from services.payments.api.receipts import MESSAGES, receipt_of
from services.payments.domain.operation import Token
from services.payments.domain.payment import Payment
from services.payments.domain.tap import ITSELF, Terminal
from services.payments.handlers.balances import Balance, read_balances
from services.payments.handlers.entries import END, Entry, Place, read_entries
from services.payments.handlers.find_payment import Found, find_payment
from services.payments.handlers.find_token import FindToken

_LONGEST_HOLD_SECONDS: Final = 30 * 24 * 3600
_BANK: Final = "bank_settlement"


class PaymentsService(PaymentsServiceServicer):
    """Reads requests, asks the ledger, writes receipts."""

    def __init__(self, desk: Desk, engine: AsyncEngine, directory: Directory, hold_seconds: int, find_token: FindToken) -> None:
        self._desk = desk
        self._engine = engine
        self._directory = directory
        self._hold_seconds = hold_seconds
        self._find_token = find_token

    async def Authorize(self, request: messages.AuthorizeRequest, context: Any) -> messages.AuthorizeResponse:  # noqa: N802
        """Hold money of a card, or take it at once."""
        caller = await self._desk.caller()
        self._desk.needs_fresh_cards()
        if not 0 <= request.hold_seconds <= _LONGEST_HOLD_SECONDS:
            raise reading.bad("hold_seconds", f"0 to {_LONGEST_HOLD_SECONDS} are wanted")
        asked = reading.request_id(request.request_id)
        if request.token:
            token, card = await self._token(caller.terminal, asked, request)
        else:
            token, card = None, reading.card_identifier(request.card_identifier)
        operation = requests.authorize(
            caller.terminal,
            asked,
            card,
            reading.fen(request.amount),
            capture=request.capture,
            hold_ms=0 if request.capture else (request.hold_seconds or self._hold_seconds) * 1000,
            asked_hold_ms=0 if request.capture else request.hold_seconds * 1000,
            token=token,
        )
        return messages.AuthorizeResponse(receipt=receipt_of(await self._desk.ask(operation)))

    async def Capture(self, request: messages.CaptureRequest, context: Any) -> messages.CaptureResponse:  # noqa: N802
        """Take what is held."""
        caller = await self._desk.caller()
        operation = requests.capture(
            caller.terminal,
            reading.request_id(request.request_id),
            reading.payment_reference(request.payment),
            reading.fen(request.amount) if request.HasField("amount") else None,
            more_to_come=request.more_to_come,
        )
        return messages.CaptureResponse(receipt=receipt_of(await self._desk.ask(operation)))

    async def Void(self, request: messages.VoidRequest, context: Any) -> messages.VoidResponse:  # noqa: N802
        """Let a hold go, or take back a one-step payment."""
        caller = await self._desk.caller()
        request_id, reference = reading.request_id(request.request_id), reading.payment_reference(request.payment)
        if request_id == reference.authorize_request_id:
            raise reading.bad("request_id", "a void has a request id of its own")
        answer = await self._desk.ask(requests.void(caller.terminal, request_id, reference))
        return messages.VoidResponse(receipt=receipt_of(answer))

    async def Refund(self, request: messages.RefundRequest, context: Any) -> messages.RefundResponse:  # noqa: N802
        """Give back what was paid."""
        caller = await self._desk.caller()
        operation = requests.refund(
            caller.terminal,
            reading.request_id(request.request_id),
            reading.payment_reference(request.payment),
            reading.fen(request.amount) if request.HasField("amount") else None,
        )
        return messages.RefundResponse(receipt=receipt_of(await self._desk.ask(operation)))

    async def TopUp(self, request: messages.TopUpRequest, context: Any) -> messages.TopUpResponse:  # noqa: N802
        """Bring money to a purse."""
        caller = await self._desk.caller()
        caller.needs_window()
        match request.source:
            case messages.TOP_UP_SOURCE_CASH:
                source = await self._till(caller.terminal)
            case messages.TOP_UP_SOURCE_BANK:
                source = (await self._directory.of_name(_BANK)).id
            case _:
                raise reading.bad("source", "cash or bank is wanted")
        holder = await self._directory.of_card(reading.card_identifier(request.card_identifier))
        request_id, amount_fen = reading.request_id(request.request_id), reading.fen(request.amount)
        answer = await self._desk.ask(requests.top_up(caller.terminal, request_id, holder, source, amount_fen))
        return messages.TopUpResponse(receipt=receipt_of(answer))

    async def _till(self, caller: Terminal) -> int:
        """The account of a window's own cash; a service of the city has no till, and owes it itself."""
        if caller.terminal_id == ITSELF:
            return caller.payable_account
        return (await self._directory.of_name(Subject(caller.merchant_id, caller.terminal_id).cash_account)).id

    async def GetBalance(self, request: messages.GetBalanceRequest, context: Any) -> messages.GetBalanceResponse:  # noqa: N802
        """What a holder has."""
        (await self._desk.caller()).needs_window()
        holder = await self._directory.of_card(reading.card_identifier(request.card_identifier))
        as_of_ms = reading.instant_ms("as_of_ms", request.as_of_ms)
        main, *purses = await read_balances(self._engine, holder, as_of_ms)
        return messages.GetBalanceResponse(
            balance=Money(amount_fen=main.balance_fen),
            available=_available(main, as_of_ms),
            purses=[
                messages.Purse(
                    purpose=purse.purpose,
                    balance=Money(amount_fen=purse.balance_fen),
                    available=_available(purse, as_of_ms),
                    void_after_ms=purse.void_after_ms,
                )
                for purse in purses
            ],
        )

    async def ListEntries(self, request: messages.ListEntriesRequest, context: Any) -> messages.ListEntriesResponse:  # noqa: N802
        """The entries of a holder's account, newest first."""
        (await self._desk.caller()).needs_window()
        holder = await self._directory.of_card(reading.card_identifier(request.card_identifier))
        size = reading.page_size(request.page_size, 100, 500)
        entries = await read_entries(
            self._engine,
            holder,
            limit=size,
            before=read_token(request.page_token, Place) or END,
            from_ms=reading.instant_ms("from_ms", request.from_ms),
            to_ms=reading.instant_ms("to_ms", request.to_ms),
        )
        return messages.ListEntriesResponse(
            entries=[_entry(entry) for entry in entries],
            next_page_token=write_token(entries[-1].place if len(entries) == size else None),
        )

    async def GetPayment(self, request: messages.GetPaymentRequest, context: Any) -> messages.GetPaymentResponse:  # noqa: N802
        """A payment that the caller made, as it is now."""
        caller = await self._desk.caller()
        found = await find_payment(self._engine, caller.terminal, reading.payment_reference(request.payment))
        if found is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_PAYMENT", "没有这笔交易，或尚未处理")
        return messages.GetPaymentResponse(payment=_payment(found))

    async def _token(self, caller: Terminal, request_id: str, request: messages.AuthorizeRequest) -> tuple[Token, str]:
        if request.card_identifier:
            raise reading.bad("token", "it takes the card's place")
        return await self._find_token(caller, request_id, reading.identifier("token", request.token, 64))


def _available(balance: Balance, as_of_ms: int) -> Money | None:
    return None if as_of_ms else Money(amount_fen=balance.available_fen)


def _entry(entry: Entry) -> messages.Entry:
    return messages.Entry(
        post_time_ms=entry.post_time_ms,
        event_time_ms=entry.event_time_ms,
        code=entry.code,  # type: ignore[arg-type]  # numbers agree, a test holds it
        identity=TransactionIdentity(
            merchant_id=entry.merchant_id,
            terminal_id=entry.terminal_id,
            terminal_sequence=entry.sequence,
            request_id=entry.request_id,
        ),
        change=Money(amount_fen=entry.change_fen),
        balance=Money(amount_fen=entry.balance_fen),
        purpose=entry.purpose,
    )


def _payment(found: Found) -> messages.Payment:
    payment = found.payment
    message = messages.Payment(
        authorize_request_id=found.request_id,
        status=messages.PAYMENT_STATUS_DECLINED,
        reason=found.reason,  # type: ignore[arg-type]  # numbers agree, a test holds it
        message=MESSAGES[found.reason],
        amount=Money(amount_fen=found.amount_fen),
        decide_time_ms=found.decide_time_ms,
    )
    if payment is not None:
        _fill(message, payment)
    return message


def _fill(message: messages.Payment, payment: Payment) -> None:
    message.payment_id = payment.id.hex()
    message.status = payment.status  # type: ignore[assignment]  # numbers agree, a test holds it
    message.held.amount_fen = payment.held_fen
    message.captured.amount_fen = payment.captured_fen
    message.refunded.amount_fen = payment.refunded_fen
    message.expire_time_ms = 0 if payment.one_step else payment.expire_time_ms
