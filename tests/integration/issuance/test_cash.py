"""Cash at the close of a shift, with real payments: what differs is posted once, and the books stay balanced."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import pytest

from services.card.handlers.settle_money import cash_of as cash_of_the_card_service
from services.common.database import make_engine
from services.issuance.adapters.payments_desk import SHORTAGE, SURPLUS, PaymentsAway, PaymentsDesk, cash_of
from services.payments.handlers.check_books import check_books
from tests.support.blanks import KIT, WINDOW
from tests.support.counter import open_payments
from tests.support.town import Database

Driver: TypeAlias = "asyncpg.Connection[Any]"


class Cash(NamedTuple):
    """Issuance's desk at payments, and somebody else's, who takes money in."""

    desk: PaymentsDesk
    database: Database
    owner: Driver

    async def balance(self, name: str) -> int:
        found: int = await self.owner.fetchval(
            """select coalesce(sum(c.credits_fen) - sum(c.debits_fen), 0)::bigint from payments.accrual c
               join payments.account a on a.id = c.account_id where a.name = $1""",
            name,
        )
        return found


@pytest.fixture
async def cash(database: Database, owner: Driver, tmp_path: Path) -> AsyncIterator[Cash]:
    async with open_payments(database, tmp_path, "issuance") as (address, tls):
        desk = PaymentsDesk(address, tls, patience_seconds=20)
        yield Cash(desk, database, owner)
        await desk.close()


async def test_the_till_of_a_terminal_is_the_one_that_the_card_service_books_into() -> None:
    far = "onecard://merchant/CITY-HALL/terminal/A-VERY-LONG-NAME-OF-A-WINDOW-THAT-STANDS-FAR-AWAY"
    for terminal in (WINDOW, KIT, far):
        assert cash_of(terminal) == cash_of_the_card_service(terminal)


async def test_a_surplus_and_a_shortage_are_posted_once_each_and_then_the_till_is_right(cash: Cash) -> None:
    assert await cash.desk.till_fen(WINDOW) == 0
    for _ in range(2):
        await cash.desk.post_difference("shift-cash-1", WINDOW, 700)
    assert await cash.desk.till_fen(WINDOW) == 700
    for _ in range(2):
        await cash.desk.post_difference("shift-cash-2", WINDOW, -250)
    assert await cash.desk.till_fen(WINDOW) == 450
    assert [await cash.balance(name) for name in (SURPLUS, SHORTAGE, cash_of(WINDOW))] == [700, -250, -450]
    engine = make_engine(cash.database.application_url, "tests", sessions=1)
    books = await check_books(engine)
    await engine.dispose()
    assert books.balance, books.problem


async def test_payments_that_is_away_is_said_to_be_away() -> None:
    desk = PaymentsDesk("127.0.0.1:1", None, patience_seconds=1)
    with pytest.raises(PaymentsAway):
        await desk.till_fen(WINDOW)
    with pytest.raises(PaymentsAway):
        await desk.post_difference("shift-cash-1", WINDOW, 1)
    await desk.close()
