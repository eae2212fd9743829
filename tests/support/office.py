"""Online operations on a real ledger, without the network: a till, a window, the back office, and the ledger itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.database import make_engine
from services.payments.adapters import requests
from services.payments.adapters.callers import merchant_of_service
from services.payments.adapters.ledger import AtPoint, Ledger, Point, pass_by
from services.payments.adapters.tariffs import read_rules
from services.payments.domain.account import AccountStatus
from services.payments.domain.book import Rules
from services.payments.domain.operation import Answered, Entry, OpenAccount, Operation, PaymentReference, Ruling
from services.payments.domain.payment import Payment
from services.payments.domain.tap import ITSELF, Scene, Terminal
from services.payments.domain.transfer import CNY
from services.payments.domain.verdict import Reason
from services.payments.handlers.balances import Balance, read_balances
from services.payments.handlers.find_payment import find_payment
from services.payments.handlers.operate import Operate
from services.payments.handlers.register_merchants import ensure_merchant, ensure_terminal
from tests.support.databases import unlimited_engine
from tests.support.town import CAMPUS, CONFIG, FIRST_ACCOUNT, KEY, Database, Town, card_identifier
from tests.support.waiting import SOMEBODY_WAITS

HOUR_MS = 3_600_000
BANK, FUND = 1, 2
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
    ledger: Ledger
    """Without what `operate` does about a database that says no."""

    @property
    def engine(self) -> AsyncEngine:
        return self.town.engine

    async def somebody_waits(self) -> bool:
        """For a lock."""
        async with self.engine.connect() as watcher:
            return bool(await watcher.scalar(text(SOMEBODY_WAITS)))

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

    def refund(self, payment: Ruling | str, fen: int | None = None, request_id: str = "") -> Operation:
        return requests.refund(self.till, request_id or new_id("refund"), reference(payment), fen)

    def expire(self, payment: Ruling) -> Operation:
        """As a sweeper asks; the ledger's own service stands for it."""
        assert payment.payment is not None
        return requests.expire(self.service, payment.payment)

    def top_up(self, card: int, fen: int) -> Operation:
        return requests.top_up(self.window, new_id("top-up"), FIRST_ACCOUNT + card, BANK, fen)

    def post(self, *entries: tuple[int, int], overdraw: bool = False, request_id: str = "", at_ms: int = 0) -> Operation:
        """(account, fen) entries: a credit is positive, a debit negative."""
        sides = tuple(Entry(account_id, fen < 0, abs(fen)) for account_id, fen in entries)
        return requests.post(
            self.service, request_id or new_id("post"), sides, CNY, event_time_ms=at_ms, may_overdraw=overdraw
        )  # fmt: skip

    def set_status(self, account_id: int, status: AccountStatus) -> Operation:
        return requests.set_account_status(self.service, new_id("status"), account_id, status)

    async def opening(self, name: str, *, guarded: bool = True, overdraft_fen: int = 0) -> OpenAccount:
        """Of a back-office account; its number is allocated, as the service does it."""
        account_id = await self.next_number("back_office_account_id")
        return requests.open_account(
            self.service, new_id("open"), account_id, name=name, currency=CNY, guarded=guarded, overdraft_fen=overdraft_fen,
            purse=None,
        )  # fmt: skip

    async def open(self, name: str, *, overdraft_fen: int = 0, fen: int = 0) -> int:
        """A guarded account with something on it."""
        ruling = await self.rule(await self.opening(name, overdraft_fen=overdraft_fen))
        assert ruling.reason is Reason.NONE
        return await self._fill(ruling.account_id, fen)

    async def purse_opening(self, card: int, purpose: str, *, void_after_ms: int = 0) -> OpenAccount:
        """Of a purse of a holder, whose fund is the concession fund."""
        account_id = await self.next_number("purse_id")
        purse = requests.new_purse(account_id, FIRST_ACCOUNT + card, purpose, void_after_ms, FUND)
        return requests.open_account(
            self.service, new_id("purse"), account_id, name="", currency=CNY, guarded=True, overdraft_fen=0, purse=purse
        )  # fmt: skip

    async def open_purse(self, card: int, fen: int, purpose: str = "meal-subsidy", *, void_after_ms: int = 0) -> int:
        """A purse of a holder, filled from the fund."""
        asked = await self.purse_opening(card, purpose, void_after_ms=void_after_ms)
        assert await self.reason(asked) is Reason.NONE
        return await self._fill(asked.account_id, fen)

    async def _fill(self, account_id: int, fen: int) -> int:
        if fen:
            assert await self.reason(self.post((FUND, -fen), (account_id, fen))) is Reason.NONE
        return account_id

    async def next_number(self, sequence: str) -> int:
        """Of an account to be opened."""
        async with self.engine.begin() as connection:
            number = await connection.scalar(text(f"select nextval('payments.{sequence}')"))
        assert isinstance(number, int)
        return number

    async def payment(self, reference_: Ruling | str, caller: Terminal | None = None) -> Payment:
        """As it stands, found as its till would find it."""
        found = await find_payment(self.engine, caller or self.till, reference(reference_))
        assert found is not None
        assert found.payment is not None
        return found.payment

    async def sums(self, account_id: int) -> Balance:
        """Of any account but a purse."""
        return (await read_balances(self.engine, account_id))[0]

    async def available(self, account_id: int) -> int:
        """Of any account, purses too."""
        async with self.engine.connect() as connection:
            owner = await connection.scalar(text("select owner from payments.account where id = :id"), {"id": account_id})
        found = await read_balances(self.engine, owner or account_id)
        return next(balance.available_fen for balance in found if balance.account_id == account_id)

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


class Gate:
    """Stops a posting at a named point until it is opened."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def __call__(self, point: Point) -> None:
        if point == self._point and not self._opened.is_set():
            self._reached.set()
            await self._opened.wait()

    async def reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()

    def open(self) -> None:
        """For this posting and all that come later."""
        self._opened.set()


@asynccontextmanager
async def another_process(
    office: Office, database: Database, *, at: AtPoint = pass_by, rules: Rules | None = None
) -> AsyncIterator[Office]:
    """The same callers before another ledger, with sessions and memory of its own."""
    stopped = at is not pass_by
    engine = (
        unlimited_engine(database.application_url) if stopped else make_engine(database.application_url, "another", sessions=10)
    )
    try:
        ledger = Ledger(engine, rules or await read_rules(engine, CONFIG), KEY, at)
        yield replace(office, operate=Operate(ledger), ledger=ledger)
    finally:
        await engine.dispose()


async def open_office(town: Town) -> Office:
    """Callers of a town that stands."""
    async with town.engine.begin() as connection:
        await ensure_merchant(connection, "HALL", Scene.OFFICE)
        await ensure_merchant(connection, merchant_of_service("settlement"), Scene.OFFICE)
        till, other_till, merchant = [await ensure_terminal(connection, CAMPUS, name) for name in ("TILL-1", "TILL-2", ITSELF)]
        window = await ensure_terminal(connection, "HALL", "WINDOW-1")
        service = await ensure_terminal(connection, merchant_of_service("settlement"), ITSELF)
    return Office(town, till, other_till, merchant, window, service, Operate(town.ledger), town.ledger)
