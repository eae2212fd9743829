"""Online operations on a real ledger, without the network: a till, a window, the back office, and the ledger itself."""

from dataclasses import dataclass
from itertools import count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.adapters import requests
from services.payments.adapters.callers import merchant_of_service
from services.payments.domain.operation import Answered, Operation, PaymentReference, Ruling
from services.payments.domain.tap import ITSELF, Scene, Terminal
from services.payments.domain.verdict import Reason
from services.payments.handlers.operate import Operate
from services.payments.handlers.register_merchants import ensure_merchant, ensure_terminal
from tests.support.town import CAMPUS, FIRST_ACCOUNT, Town, card_identifier

HOUR_MS = 3_600_000
_ids = count(1)


def new_id(what: str = "r") -> str:
    return f"{what}-{next(_ids)}"


@dataclass(slots=True)
class Office:
    """Who asks, and the ledger that answers."""

    town: Town
    till: Terminal
    other_till: Terminal
    merchant: Terminal
    window: Terminal
    service: Terminal
    operate: Operate

    @property
    def engine(self) -> AsyncEngine:
        return self.town.engine

    async def ask(self, *operations: Operation) -> list[Answered]:
        """One batch."""
        answers = await self.operate(operations)
        assert all(isinstance(answer, Answered) for answer in answers), answers
        return [answer for answer in answers if isinstance(answer, Answered)]

    async def rule(self, operation: Operation) -> Ruling:
        """One operation that is decided."""
        (answer,) = await self.ask(operation)
        assert answer.ruling is not None, answer.problem
        return answer.ruling

    async def reason(self, operation: Operation) -> Reason:
        return (await self.rule(operation)).reason

    def hold(self, card: int, fen: int, request_id: str = "", hold_ms: int = HOUR_MS) -> Operation:
        return requests.authorize(
            self.till, request_id or new_id("hold"), card_identifier(card), fen, capture=False, hold_ms=hold_ms
        )  # fmt: skip

    def pay(self, card: int, fen: int, request_id: str = "", till: Terminal | None = None) -> Operation:
        return requests.authorize(
            till or self.till, request_id or new_id("pay"), card_identifier(card), fen, capture=True, hold_ms=0
        )  # fmt: skip

    def capture(self, payment: Ruling, fen: int | None = None, *, more: bool = False) -> Operation:
        return requests.capture(self.till, new_id("capture"), reference(payment), fen, more_to_come=more)

    def void(self, payment: Ruling | str, request_id: str = "") -> Operation:
        return requests.void(self.till, request_id or new_id("void"), reference(payment))

    def refund(self, payment: Ruling, fen: int | None = None, request_id: str = "") -> Operation:
        return requests.refund(self.till, request_id or new_id("refund"), reference(payment), fen)

    async def funds(self, card: int) -> tuple[int, int]:
        """(balance, held) of a holder's main purse."""
        async with self.engine.connect() as connection:
            row = await connection.execute(
                text("select credits_posted_fen - debits_posted_fen, debits_pending_fen from payments.account where id = :id"),
                {"id": FIRST_ACCOUNT + card},
            )
            balance_fen, held_fen = row.one()
        return balance_fen, held_fen


def reference(payment: Ruling | str) -> PaymentReference:
    if isinstance(payment, str):
        return PaymentReference(None, payment)
    assert payment.payment is not None
    return PaymentReference(payment.payment, "")


async def open_office(town: Town) -> Office:
    """Callers of a town that stands."""
    async with town.engine.begin() as connection:
        await ensure_merchant(connection, "HALL", Scene.OFFICE)
        await ensure_merchant(connection, merchant_of_service("settlement"), Scene.OFFICE)
        tills = [await ensure_terminal(connection, CAMPUS, name) for name in ("TILL-1", "TILL-2", ITSELF)]
        window = await ensure_terminal(connection, "HALL", "WINDOW-1")
        service = await ensure_terminal(connection, merchant_of_service("settlement"), ITSELF)
    return Office(town, *tills, window, service, Operate(town.ledger))
