"""Reading the ledger while others write: balances of now and of then, entries, and the journal on a page that stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date

import pytest

from services.common.errors import DomainError
from services.common.grpc.pages import read_token, write_token
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Reason
from services.payments.handlers.balances import read_balances
from services.payments.handlers.entries import read_entries
from services.payments.handlers.find_payment import find_payment
from services.payments.handlers.list_transfers import Listed, Page, list_transfers
from services.payments.handlers.roll_up_accruals import roll_up_accruals
from tests.support.office import BANK, FUND, HOUR_MS, Gate, Office, another_process, new_id, reference
from tests.support.town import FIRST_ACCOUNT, Database, bus_ride, card_state, entry, now_ms, purchase, received
from tests.support.waiting import until

ANN, BOB = FIRST_ACCOUNT, FIRST_ACCOUNT + 1


@asynccontextmanager
async def meanwhile(do: Callable[[], Awaitable[object]], lanes: int = 3) -> AsyncIterator[None]:
    """The same again and again, in a few lanes, while the body runs."""
    over = asyncio.Event()

    async def lane() -> None:
        while not over.is_set():
            await do()

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())
        try:
            yield
        finally:
            over.set()


# Entries


async def test_entries_are_newest_first_each_with_the_balance_after_it(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700))
    await office.town.post(received([bus_ride(0)]))
    await office.rule(office.refund(paid, 100))
    entries = await read_entries(office.engine, ANN, limit=10)
    assert [(e.code, e.change_fen, e.balance_fen) for e in entries] == [
        (Code.REFUND, 100, 9_200),
        (Code.CHARGE, -200, 9_100),
        (Code.PAYMENT, -700, 9_300),
        (Code.TOP_UP, 10_000, 10_000),
    ]
    assert [(e.merchant_id, e.terminal_id, bool(e.sequence), bool(e.request_id)) for e in entries] == [
        ("CAMPUS-1", "TILL-1", False, True),
        ("BUS-1", "BUS-1-T0", True, False),
        ("CAMPUS-1", "TILL-1", False, True),
        ("CITY-DESK", "OPENING", False, True),
    ]


async def test_pages_of_entries_meet_without_a_gap_or_a_double_also_when_more_is_posted(office: Office) -> None:
    meals = await office.open_purse(0, 35)
    for fen in (10, 20, 30):
        await office.rule(office.pay(0, fen))
    assert await office.available(meals) == 0
    whole = await read_entries(office.engine, ANN, limit=100)
    assert sum(e.change_fen for e in whole if not e.purpose) == (await office.funds(0))[0]
    paged = await read_entries(office.engine, ANN, limit=2)
    while True:
        await office.rule(office.pay(0, 1))
        page = await read_entries(office.engine, ANN, limit=2, before=paged[-1].place)
        if not page:
            break
        paged += page
    assert paged == whole


async def test_a_payment_of_two_purses_is_two_entries_each_with_its_own_balance(office: Office) -> None:
    await office.open_purse(0, 300)
    await office.rule(office.pay(0, 500))
    entries = await read_entries(office.engine, ANN, limit=2)
    assert [(e.purpose, e.change_fen, e.balance_fen) for e in entries] == [("", -200, 9_800), ("meal-subsidy", -300, 0)]


async def test_what_two_holders_move_between_them_both_of_them_see(office: Office) -> None:
    hers, his = await office.open_purse(0, 100), await office.open_purse(1, 100)
    await office.rule(office.post((ANN, -70), (BOB, 70)))
    await office.rule(office.post((hers, -30), (his, 30)))
    await office.rule(office.post((ANN, -5), (his, 5)))
    await office.rule(office.post((BOB, -1), (hers, 1)))

    async def seen(account: int) -> list[tuple[str, int, int]]:
        return [(e.purpose, e.change_fen, e.balance_fen) for e in await read_entries(office.engine, account, limit=4)][::-1]

    assert await seen(ANN) == [("", -70, 9_930), ("meal-subsidy", -30, 70), ("", -5, 9_925), ("meal-subsidy", 1, 71)]
    assert await seen(BOB) == [("", 70, 10_070), ("meal-subsidy", 30, 130), ("meal-subsidy", 5, 135), ("", -1, 10_069)]


async def test_what_a_holder_moves_between_own_purses_is_two_entries(office: Office) -> None:
    meals = await office.open_purse(0, 100)
    await office.rule(office.post((meals, -40), (ANN, 40)))
    entries = await read_entries(office.engine, ANN, limit=2)
    assert {(e.purpose, e.change_fen, e.balance_fen) for e in entries} == {("", 40, 10_040), ("meal-subsidy", -40, 60)}


async def test_a_ride_that_a_fund_pays_is_an_entry_without_a_change(office: Office) -> None:
    await office.town.project(card_state(0, birth_date=date(1950, 5, 5), version=2))
    await office.town.post(received([bus_ride(0)]))
    newest = (await read_entries(office.engine, ANN, limit=1))[0]
    assert (newest.code, newest.amount_fen, newest.change_fen, newest.balance_fen) == (Code.CONCESSION, 200, 0, 10_000)


async def test_entries_are_cut_out_by_when_they_were_posted(office: Office) -> None:
    times = []
    for fen in (1, 2, 3):
        await asyncio.sleep(0.005)
        times.append((await office.rule(office.pay(0, fen))).decide_time_ms)
    entries = await read_entries(office.engine, ANN, limit=10, from_ms=times[1], to_ms=times[2])
    assert [e.change_fen for e in entries] == [-2]
    assert [e.balance_fen for e in entries] == [9_997]


# Balances


async def test_a_balance_as_of_a_time_is_what_it_was_for_every_kind_of_account(office: Office) -> None:
    meals = await office.open_purse(0, 300)
    payee = office.till.payable_account
    pot = await office.open("pot", fen=50)
    accounts = {ANN: ANN, BOB: BOB, meals: ANN, payee: payee, FUND: FUND, pot: pot}

    async def balances(as_of_ms: int = 0) -> dict[int, int]:
        found = {}
        for account, asked in accounts.items():
            of_all = await read_balances(office.engine, asked, as_of_ms)
            found[account] = next(b.balance_fen for b in of_all if b.account_id == account)
        return found

    history = []
    for step in (
        office.pay(0, 100),
        office.post((ANN, -30), (BOB, 30)),
        office.post((FUND, -5), (meals, 5)),
        office.pay(0, 400),
        office.post((BOB, -30), (meals, 20), (pot, 10)),
        office.top_up(0, 77),
    ):
        await asyncio.sleep(0.003)
        ruling = await office.rule(step)
        assert ruling.reason is Reason.NONE
        history.append((ruling.decide_time_ms, await balances()))
    async with office.engine.begin() as connection:
        await roll_up_accruals(connection)
    for at, wanted in history:
        assert await balances(at) == wanted
        assert await balances(at + 1) == wanted
    assert await balances(history[0][0] - 1) == {ANN: 10_000, BOB: 10_000, meals: 300, payee: 0, FUND: -350, pot: 50}


async def test_held_money_is_on_the_account_and_not_available(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    main = await office.sums(ANN)
    assert (main.balance_fen, main.available_fen, main.debits_pending_fen) == (10_000, 9_000, 1_000)
    assert (await office.sums(office.till.payable_account)).credits_pending_fen == 1_000
    await office.rule(office.capture(held, 400, more=True))
    main = await office.sums(ANN)
    assert (main.balance_fen, main.available_fen, main.debits_pending_fen) == (9_600, 9_000, 600)


async def test_balances_are_of_one_instant_also_while_money_moves_between_them(office: Office, rival: Office) -> None:
    meals = await office.open_purse(0, 1_000)

    async def move() -> None:
        await rival.ask(office.post((meals, -3), (ANN, 3)))
        await rival.ask(office.post((ANN, -3), (meals, 3)))

    then = now_ms()
    await asyncio.sleep(0.002)
    async with meanwhile(move):
        for _ in range(100):
            main, purse = await read_balances(office.engine, ANN)
            assert main.balance_fen + purse.balance_fen == 11_000
            main, purse = await read_balances(office.engine, ANN, then)
            assert (main.balance_fen, purse.balance_fen) == (10_000, 1_000)


async def test_an_account_that_does_not_exist_has_no_balance(office: Office) -> None:
    assert await read_balances(office.engine, FIRST_ACCOUNT + 99) == []


# Payments


async def test_a_payment_is_found_by_either_of_its_names_by_who_made_it(office: Office) -> None:
    name = new_id("found")
    held = await office.rule(office.hold(0, 500, request_id=name))
    await office.rule(office.capture(held, 200, more=True))
    by_id, by_name = await office.payment(held), await office.payment(name)
    assert by_id == by_name
    assert (by_id.status, by_id.held_fen, by_id.captured_fen) == (PaymentStatus.HELD, 300, 200)
    assert await office.payment(held, office.merchant) == by_id
    for stranger in (office.other_till, office.window):
        assert await find_payment(office.engine, stranger, reference(held)) is None
        assert await find_payment(office.engine, stranger, reference(name)) is None
    assert await find_payment(office.engine, office.merchant, reference(name)) is None


async def test_a_one_step_payment_reads_the_same_before_and_after_something_happened_to_it(office: Office) -> None:
    await office.open_purse(0, 300)
    name = new_id("one-step")
    paid = await office.rule(office.pay(0, 500, request_id=name))
    before = await office.payment(name)
    assert (before.status, before.amount_fen, before.captured_fen, before.one_step) == (PaymentStatus.CAPTURED, 500, 500, True)
    await office.rule(office.refund(paid, 100))
    after = await office.payment(paid)
    assert after.refunded_fen == 100
    after.parts[1].refunded_fen -= 100
    after.stored = before.stored
    assert after == before


async def test_a_decline_is_found_with_its_reason_and_nothing_is_found_where_nothing_is_decided(office: Office) -> None:
    name, barred = new_id("declined"), new_id("barred")
    await office.rule(office.pay(0, 10_001, request_id=name))
    await office.rule(office.void(barred))
    for asked, reason, fen in ((name, Reason.INSUFFICIENT_FUNDS, 10_001), (barred, Reason.VOIDED, 0)):
        found = await find_payment(office.engine, office.till, reference(asked))
        assert found is not None
        assert (found.reason, found.amount_fen, found.payment) == (reason, fen, None)
    assert await find_payment(office.engine, office.till, reference(new_id("nothing"))) is None
    refund = office.refund(await office.rule(office.pay(0, 1)))
    await office.rule(refund)
    assert await find_payment(office.engine, office.till, reference(refund.request.request_id)) is None


# The journal


async def read_on(office: Office, page: Page | None, size: int = 3, account: int | None = None) -> list[Listed]:
    """From a place on to the end of its snapshot, as a client reads: token by token."""
    listed: list[Listed] = []
    while True:
        some, page = await list_transfers(office.engine, page, size, account)
        listed += some
        token = write_token(page)
        if not token:
            return listed
        page = read_token(token, Page)


async def test_the_journal_lists_every_transfer_once_in_the_order_of_its_effects(office: Office) -> None:
    await asyncio.gather(*(office.rule(office.pay(n % 4, n)) for n in range(1, 30)))
    await office.town.post(received([bus_ride(0), purchase(1, 50), entry(2)]))
    listed = await read_on(office, None)
    places = [(one.batch, one.row, one.leg) for one in listed]
    assert places == sorted(set(places))
    assert len({one.id for one in listed}) == len(listed) == 4 + 29 + 2
    assert await read_on(office, None, size=1000) == listed
    by_time = sorted(listed, key=lambda one: one.id)
    assert [one.amount_fen for one in by_time if one.terminal_id.startswith("BUS")] == [200]


@asynccontextmanager
async def half_posted(office: Office, database: Database) -> AsyncIterator[Gate]:
    """A batch that has written everything and is not committed until the gate opens; at the end it is."""
    gate = Gate("written")
    async with another_process(office, database, at=gate) as stopped:
        posting = asyncio.create_task(stopped.ask(office.pay(3, 333), office.pay(3, 334)))
        await gate.reached()
        try:
            yield gate
        finally:
            gate.open()
            await posting


async def test_what_was_not_committed_at_the_first_page_is_on_no_page_however_late_one_reads(
    office: Office, database: Database
) -> None:
    """Its batch has a lower number than others that were: a keyset alone would let it slip in, or leave it out for ever."""
    async with half_posted(office, database) as gate:
        for n in range(4):
            await office.ask(office.pay(0, 100 + n))
        first, page = await list_transfers(office.engine, None, 2, None)
        assert page is not None
        gate.open()

        async def committed() -> bool:
            return await office.funds(3) == (10_000 - 667, 0)

        await until("it is committed", committed)
        await office.ask(office.pay(0, 500))
    rest = await read_on(office, page)
    amounts = [one.amount_fen for one in first + rest]
    assert amounts == [10_000] * 4 + [100, 101, 102, 103]
    now = [one.amount_fen for one in await read_on(office, None)]
    assert now == [10_000] * 4 + [333, 334, 100, 101, 102, 103, 500]


async def test_a_listing_does_not_move_under_its_reader(office: Office, rival: Office) -> None:
    wanted = await read_on(office, None, size=1000)
    some, page = await list_transfers(office.engine, None, 1, None)
    async with meanwhile(lambda: rival.ask(office.post((FUND, -1), (ANN, 1)))):
        await asyncio.sleep(0.1)
        assert some + await read_on(office, page, size=1) == wanted
    assert len(await read_on(office, None, size=1000)) > len(wanted)


async def test_the_journal_of_one_account_is_what_stands_on_either_side_of_it(office: Office) -> None:
    await office.rule(office.post((ANN, -70), (BOB, 70)))
    await office.rule(office.post((FUND, -5), (ANN, 5)))
    await office.rule(office.pay(2, 9))
    hers = await read_on(office, None, account=ANN)
    assert [(one.debit_account, one.credit_account, one.amount_fen) for one in hers] == [
        (BANK, ANN, 10_000),
        (ANN, BOB, 70),
        (FUND, ANN, 5),
    ]
    assert [one.code for one in hers] == [Code.TOP_UP, Code.BACK_OFFICE, Code.BACK_OFFICE]
    assert await read_on(office, None, account=FIRST_ACCOUNT + 99) == []


async def test_a_long_journal_is_read_through_whole_also_for_one_account(office: Office) -> None:
    """More batches than are looked at in one page, most of them nothing to do with the account."""
    for n in range(60):
        await asyncio.gather(*(office.rule(office.post((FUND, -1), (BOB + n % 3, 1))) for _ in range(4)))
    await office.rule(office.pay(0, 5))
    listed = await read_on(office, None, size=1000)
    assert len(listed) == 4 + 240 + 1
    assert [one.amount_fen for one in await read_on(office, None, account=ANN)] == [10_000, 5]


async def test_a_token_of_somebody_elses_is_refused() -> None:
    for token in ("x", "AAAA", "not base64 at all", "gqNmb28Bo2JhcgI="):
        with pytest.raises(DomainError, match="page token"):
            read_token(token, Page)
    assert read_token("", Page) is None
    assert write_token(None) == ""


async def test_as_of_a_time_that_is_yet_to_come_is_now(office: Office) -> None:
    await office.rule(office.pay(0, 1))
    assert (await read_balances(office.engine, ANN, now_ms() + HOUR_MS))[0].balance_fen == 9_999
