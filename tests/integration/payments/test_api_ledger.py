"""LedgerService on real processes: accounts, purses and postings of the back office, and what it reads of the journal."""

import asyncio
from itertools import count
from typing import Any

import grpc
import pytest

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import ledger_pb2, outcomes_pb2
from onecard.payments.v1.ledger_pb2 import (
    ACCOUNT_STATUS_CLOSED,
    ACCOUNT_STATUS_FROZEN,
    ACCOUNT_STATUS_OPEN,
    SIDE_CREDIT,
    SIDE_DEBIT,
    AccountReference,
    PostEntry,
)
from onecard.payments.v1.payments_pb2 import (
    DECISION_APPROVED,
    DECISION_DECLINED,
    TRANSFER_CODE_BACK_OFFICE,
    TRANSFER_CODE_TOP_UP,
    Receipt,
)
from services.common.grpc.pages import write_token
from tests.support.api import BACK_OFFICE, TREASURY, Api, service_subject
from tests.support.client import Client, credit, debit, holder, named, numbered, refused, refused_saying
from tests.support.office import new_id
from tests.support.town import BUS, FIRST_ACCOUNT, now_ms

INVALID, MISSING, TAKEN = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS
BANK, FUND = named("bank_settlement"), named("concession_fund")
FORGED: tuple[tuple[object, ...], ...] = (
    (2**63, 0, 0, 0),
    (-1, 0, 0, 0),
    (1, 2**31, 0, 0),
    ("nonsense", 0, 0, 0, 0),
    ("5:3:", 0, 0, 0, 0),
    ("1:5:5", 0, 0, 0, 0),
    ("1:5:3,2", 0, 0, 0, 0),
    ("0:5:", 0, 0, 0, 0),
    (f"1:{2**63}:", 0, 0, 0, 0),
    ("1:5:", 2**60, 0, 0, 0),
    ("1:5:", 0, 2**63, 0, 0),
)
"""Pages of listings that nobody listed."""
_names = count(1)


@pytest.fixture
async def office(api: Api) -> Client:
    return api.service(BACK_OFFICE)


def new_name() -> str:
    return f"account-{next(_names)}"


def why(receipt: Receipt) -> str:
    assert receipt.decision == DECISION_DECLINED
    assert receipt.message
    return outcomes_pb2.Reason.Name(receipt.reason).removeprefix("REASON_")


async def opened(office: Client, fen: int = 0, **asked: Any) -> AccountReference:
    """An account, with some money from the bank."""
    answer = await office.open_account(new_name(), **asked)
    assert answer.receipt.decision == DECISION_APPROVED
    if fen:
        assert (await office.post(debit(BANK, fen), credit(numbered(answer.account_id), fen))).decision == DECISION_APPROVED
    return numbered(answer.account_id)


async def balance(office: Client, account: AccountReference) -> int:
    return (await office.account(account)).balance_fen


# Accounts


async def test_an_account_is_opened_once_and_found_by_either_of_its_names(office: Client) -> None:
    name, request_id = new_name(), new_id("open")
    asked: dict[str, Any] = {"guarded": True, "overdraft_fen": 500}
    first = await office.open_account(name, request_id, **asked)
    assert await office.open_account(name, request_id, **asked) == first
    account = await office.account(named(name))
    assert account == await office.account(numbered(first.account_id))
    assert account == ledger_pb2.Account(
        account_id=first.account_id,
        name=name,
        currency="CNY",
        status=ACCOUNT_STATUS_OPEN,
        guarded=True,
        overdraft_fen=500,
    )


async def test_a_name_is_given_once(office: Client) -> None:
    name = new_name()
    await office.open_account(name)
    again = await office.open_account(name)
    assert (why(again.receipt), again.account_id) == ("NAME_TAKEN", 0)
    at_once = await asyncio.gather(*(office.open_account("wanted-by-all") for _ in range(16)))
    assert sum(answer.receipt.decision == DECISION_APPROVED for answer in at_once) == 1
    assert await refused(office.open_account(new_name(), "bound-1", currency="EUR")) == (INVALID, "BAD_REQUEST")


async def test_the_same_id_with_other_terms_is_refused(office: Client) -> None:
    name, request_id = new_name(), new_id("open")
    await office.open_account(name, request_id)
    assert await refused(office.open_account(name, request_id, guarded=True)) == (TAKEN, "IDENTITY_CONFLICT")
    assert await refused(office.post(debit(BANK, 1), credit(FUND, 1), request_id=request_id)) == (TAKEN, "IDENTITY_CONFLICT")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "two words"}, "name"),
        ({"name": "x", "request_id": "号"}, "request_id"),
        ({"name": "x", "currency": "JPY"}, "currency"),
        ({"name": "x", "currency": "cny"}, "currency"),
        ({"name": "x", "guarded": True, "overdraft_fen": -1}, "overdraft_fen"),
        ({"name": "x", "overdraft_fen": 1}, "overdraft_fen"),
        ({"name": "x", "guarded": True, "overdraft_fen": 2**62}, "overdraft_fen"),
        ({"name": "x", "purse": {}}, "name"),
        ({"currency": "HKD", "purse": {}}, "name"),
        ({"purse": {"purpose": "beer"}}, "purpose"),
        ({"purse": {"purpose": "meal-subsidy", "holder": BANK, "fund": FUND}}, "holder"),
        ({"purse": {"purpose": "meal-subsidy", "holder": numbered(FIRST_ACCOUNT), "fund": holder(1)}}, "fund"),
        (
            {"purse": {"purpose": "meal-subsidy", "holder": holder(0), "fund": FUND, "void_after_ms": -1}},
            "void_after_ms",
        ),
    ],
)
async def test_an_account_that_makes_no_sense_names_its_field(office: Client, asked: dict[str, Any], field: str) -> None:
    code, reason, message = await refused_saying(office.open_account(**asked))
    assert (code, reason) == (INVALID, "BAD_REQUEST")
    assert message.startswith(f"{field}: ")


async def test_a_frozen_account_pays_nothing_takes_money_and_may_be_opened_again(api: Api, office: Client) -> None:
    card, till = api.new_card(), api.till()
    assert (await office.set_status(holder(card), ACCOUNT_STATUS_FROZEN)).decision == DECISION_APPROVED
    assert why(await till.pay(card, 1)) == "ACCOUNT_FROZEN"
    assert why(await office.post(debit(holder(card), 1), credit(BANK, 1))) == "ACCOUNT_FROZEN"
    assert (await api.window().top_up(card, 100)).decision == DECISION_APPROVED
    assert (await office.account(holder(card))).status == ACCOUNT_STATUS_FROZEN
    await office.set_status(holder(card), ACCOUNT_STATUS_OPEN)
    assert (await till.pay(card, 10_100)).decision == DECISION_APPROVED


async def test_only_an_empty_account_is_closed_and_then_it_is_for_ever(api: Api, office: Client) -> None:
    card = api.new_card()
    assert why(await office.set_status(holder(card), ACCOUNT_STATUS_CLOSED)) == "ACCOUNT_NOT_EMPTY"
    await office.post(debit(holder(card), 10_000), credit(BANK, 10_000))
    assert (await office.set_status(holder(card), ACCOUNT_STATUS_CLOSED)).decision == DECISION_APPROVED
    assert why(await api.till().pay(card, 1)) == "ACCOUNT_CLOSED"
    assert why(await api.window().top_up(card, 1)) == "ACCOUNT_CLOSED"
    assert why(await office.set_status(holder(card), ACCOUNT_STATUS_OPEN)) == "ACCOUNT_STATUS_FINAL"


async def test_what_cannot_be_frozen_and_who_is_not_there(office: Client) -> None:
    assert await refused(office.set_status(BANK, ACCOUNT_STATUS_FROZEN)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOT_GUARDED",
    )
    code, reason, message = await refused_saying(office.set_status(BANK, ledger_pb2.ACCOUNT_STATUS_UNSPECIFIED))
    assert (code, reason, message.split(":")[0]) == (INVALID, "BAD_REQUEST", "status")
    nobody = [AccountReference(), named("nobody"), numbered(999), numbered(-1), numbered(2**63 - 1), numbered(2**61)]
    for account in nobody:
        assert await refused(office.account(account)) == (MISSING, "UNKNOWN_ACCOUNT")
        assert await refused(office.set_status(account, ACCOUNT_STATUS_FROZEN)) == (MISSING, "UNKNOWN_ACCOUNT")
        assert await refused(office.post(debit(account, 1), credit(BANK, 1))) == (MISSING, "UNKNOWN_ACCOUNT")
    assert await refused(office.account(holder(999_999))) == (MISSING, "UNKNOWN_CARD")


# Purses


async def test_a_purse_pays_where_it_may_before_the_main_one_and_gets_its_share_back(api: Api, office: Client) -> None:
    card, till, fund = api.new_card(), api.till(), await opened(office)
    purse = await office.open_account(
        purse=ledger_pb2.PurseTerms(holder=holder(card), purpose="meal-subsidy", fund=fund, void_after_ms=now_ms() + 3_600_000)
    )
    assert purse.receipt.decision == DECISION_APPROVED
    await office.post(debit(fund, 500), credit(numbered(purse.account_id), 500))
    shown = await api.window().balance(card)
    assert [(p.purpose, p.balance.amount_fen, p.available.amount_fen) for p in shown.purses] == [("meal-subsidy", 500, 500)]
    assert (shown.balance.amount_fen, shown.available.amount_fen) == (10_000, 10_000)
    paid = await till.pay(card, 700)
    await api.till(0, BUS).pay(card, 100)
    assert await _purses(api, card) == (9_700, [0])
    assert (await till.refund(paid.payment_id, 300)).decision == DECISION_APPROVED
    assert await _purses(api, card) == (9_900, [100])
    entries = await api.window().entries(card)
    assert [(entry.purpose, entry.change.amount_fen, entry.balance.amount_fen) for entry in entries[:6]] == [
        ("meal-subsidy", 100, 100),
        ("", 200, 9_900),
        ("", -100, 9_700),
        ("", -200, 9_800),
        ("meal-subsidy", -500, 0),
        ("meal-subsidy", 500, 500),
    ]


async def _purses(api: Api, card: int) -> tuple[int, list[int]]:
    shown = await api.window().balance(card)
    return shown.balance.amount_fen, [purse.balance.amount_fen for purse in shown.purses]


async def test_a_purse_that_is_void_pays_nothing(api: Api, office: Client) -> None:
    card, fund = api.new_card(), await opened(office)
    terms = ledger_pb2.PurseTerms(holder=holder(card), purpose="meal-subsidy", fund=fund, void_after_ms=now_ms() - 1)
    purse = await office.open_account(purse=terms)
    await office.post(debit(fund, 500), credit(numbered(purse.account_id), 500))
    assert (await api.till().pay(card, 700)).decision == DECISION_APPROVED
    assert await _purses(api, card) == (9_300, [500])


# Postings


async def test_a_set_is_posted_whole_and_stands_in_the_journal_pair_by_pair(office: Client) -> None:
    first, second, third = [await opened(office) for _ in range(3)]
    name = new_id("set")
    receipt = await office.post(
        credit(first, 30), debit(BANK, 100), credit(second, 50), credit(third, 20), request_id=name, service_date="2026-02-28"
    )
    assert (receipt.decision, receipt.amount.amount_fen, receipt.payment_id) == (DECISION_APPROVED, 100, "")
    assert [await balance(office, account) for account in (first, second, third)] == [30, 50, 20]
    bank = await office.account(BANK)
    legs = [(t, t.amount.amount_fen) for t in await office.transfers() if t.identity.request_id == name]
    assert [(t.leg, t.debit_account_id, t.credit_account_id, fen) for t, fen in legs] == [
        (0, bank.account_id, first.account_id, 30),
        (1, bank.account_id, second.account_id, 50),
        (2, bank.account_id, third.account_id, 20),
    ]
    for transfer, _ in legs:
        assert (transfer.batch_number, transfer.batch_row) == (receipt.batch_number, receipt.batch_row)
        assert (transfer.code, transfer.service_date) == (TRANSFER_CODE_BACK_OFFICE, "2026-02-28")
        assert transfer.post_time_ms == receipt.decide_time_ms
        assert transfer.identity.merchant_id == f"service:{BACK_OFFICE}"


async def test_a_repeated_set_posts_once(office: Client) -> None:
    account, name = await opened(office), new_id("once")
    receipts = await asyncio.gather(
        *(office.post(debit(BANK, 100), credit(account, 100), request_id=name) for _ in range(16))
    )  # fmt: skip
    assert len({receipt.SerializeToString() for receipt in receipts}) == 1
    assert await balance(office, account) == 100


def entry(**wrong: Any) -> PostEntry:
    return PostEntry(**{"account": BANK, "side": SIDE_DEBIT, "amount": Money(amount_fen=1), **wrong})


@pytest.mark.parametrize(
    ("entries", "reason", "says"),
    [
        ([debit(BANK, 2), credit(FUND, 1)], "UNBALANCED", "debits are 2 fen, credits 1"),
        ([debit(BANK, 1), debit(FUND, 1)], "UNBALANCED", ""),
        ([credit(BANK, 1), credit(FUND, 1)], "UNBALANCED", ""),
        ([debit(BANK, 10**15)] * 99 + [credit(FUND, 10**15)] * 100, "UNBALANCED", ""),
        ([debit(BANK, 1), credit(BANK, 1)], "BOTH_SIDES", ""),
        ([debit(BANK, 1), credit(FUND, 1, "HKD")], "CURRENCY_MISMATCH", "entries[1]"),
        ([], "BAD_REQUEST", "entries: "),
        ([debit(BANK, 1)], "BAD_REQUEST", "entries: "),
        ([debit(BANK, 1), credit(FUND, 1)] * 101, "BAD_REQUEST", "entries: "),
        ([debit(BANK, 1), credit(FUND, 0)], "BAD_REQUEST", "entries[1].amount: "),
        ([debit(BANK, 1), credit(FUND, -1)], "BAD_REQUEST", "entries[1].amount: "),
        ([debit(BANK, 1), credit(FUND, 1, "USD")], "BAD_REQUEST", "entries[1].amount: "),
        ([debit(BANK, 1), credit(FUND, 2**63 - 1)], "BAD_REQUEST", "entries[1].amount: "),
        ([debit(BANK, 1), PostEntry(account=FUND, side=SIDE_CREDIT)], "BAD_REQUEST", "entries[1].amount: "),
        ([debit(BANK, 1), PostEntry(account=FUND, amount=Money(amount_fen=1))], "BAD_REQUEST", "entries[1].side: "),
    ],
)
async def test_a_set_that_is_not_balanced_or_makes_no_sense_is_refused(
    office: Client, entries: list[PostEntry], reason: str, says: str
) -> None:
    before = await office.account(FUND)
    code, found, message = await refused_saying(office.post(*entries))
    assert (code, found) == (INVALID, reason)
    assert message.startswith(says)
    assert await office.account(FUND) == before


@pytest.mark.parametrize("day", ["yesterday", "2026-02-29", "0001-01-01", "20260228T00", "-2026-01-01"])
async def test_a_service_date_is_a_day_of_the_calendar(office: Client, day: str) -> None:
    code, reason, message = await refused_saying(office.post(debit(BANK, 1), credit(FUND, 1), service_date=day))
    assert (code, reason, message.split(":")[0]) == (INVALID, "BAD_REQUEST", "service_date")


async def test_each_currency_is_posted_by_itself_and_balances_by_itself(office: Client) -> None:
    dollars = [await opened(office, currency="HKD") for _ in range(2)]
    assert await refused(office.post(debit(dollars[0], 5, "HKD"), credit(FUND, 5))) == (INVALID, "MIXED_CURRENCIES")
    assert await refused(office.post(debit(dollars[0], 5), credit(dollars[1], 5))) == (INVALID, "CURRENCY_MISMATCH")
    await office.post(debit(dollars[0], 5, "HKD"), credit(dollars[1], 5, "HKD"))
    assert [await balance(office, account) for account in dollars] == [-5, 5]
    (transfer,) = await office.transfers(account=dollars[1])
    assert transfer.amount == Money(amount_fen=5, currency="HKD")


async def test_a_guarded_account_is_overdrawn_by_those_alone_who_hold_the_right(api: Api, office: Client) -> None:
    account = await opened(office, 100, guarded=True, overdraft_fen=50)
    assert why(await office.post(debit(account, 101), credit(BANK, 101))) == "INSUFFICIENT_FUNDS"
    treasury = api.service(TREASURY)
    assert why(await treasury.post(debit(account, 151), credit(BANK, 151))) == "INSUFFICIENT_FUNDS"
    assert (await treasury.post(debit(account, 150), credit(BANK, 150))).decision == DECISION_APPROVED
    assert await balance(office, account) == -50


async def test_a_declined_set_stays_declined_though_money_has_come_meanwhile(office: Client) -> None:
    account, name = await opened(office, guarded=True), new_id("poor")
    assert why(await office.post(debit(account, 10), credit(BANK, 10), request_id=name)) == "INSUFFICIENT_FUNDS"
    await office.post(debit(BANK, 100), credit(account, 100))
    assert why(await office.post(debit(account, 10), credit(BANK, 10), request_id=name)) == "INSUFFICIENT_FUNDS"


async def test_a_set_is_judged_by_what_it_leaves_of_each_account(office: Client) -> None:
    """The same account twice on one side, one of whose halves it could bear."""
    account = await opened(office, 100, guarded=True)
    assert why(await office.post(debit(account, 60), debit(account, 60), credit(BANK, 120))) == "INSUFFICIENT_FUNDS"
    assert (await office.post(debit(account, 60), debit(account, 40), credit(BANK, 100))).decision == DECISION_APPROVED
    assert await balance(office, account) == 0


# Top-ups


async def test_cash_is_owed_by_the_window_and_the_bank_by_the_bank(api: Api, office: Client) -> None:
    card, window = api.new_card(), api.window()
    till = named("cash:HALL/W0")
    cash, bank = await balance(office, till), await balance(office, BANK)
    assert (await window.top_up(card, 300)).amount.amount_fen == 300
    assert (await window.top_up(card, 200, source=2)).amount.amount_fen == 200
    assert await balance(office, till) == cash - 300
    assert await balance(office, BANK) == bank - 200
    assert (await window.balance(card)).balance.amount_fen == 10_500
    entries = await window.entries(card)
    assert [(one.code, one.change.amount_fen) for one in entries[:2]] == [
        (TRANSFER_CODE_TOP_UP, 200),
        (TRANSFER_CODE_TOP_UP, 300),
    ]
    code, reason, message = await refused_saying(window.top_up(card, 1, source=0))
    assert (code, reason, message.split(":")[0]) == (INVALID, "BAD_REQUEST", "source")
    assert await refused(window.top_up(999_998, 1)) == (MISSING, "UNKNOWN_CARD")


# Reading


async def test_a_balance_of_then_knows_nothing_of_what_came_later(api: Api) -> None:
    card, window, till = api.new_card(), api.window(), api.till()
    paid = await till.pay(card, 700)
    await asyncio.sleep(0.01)
    await till.authorize(card, 1_000)
    await window.top_up(card, 5_000)
    now = await window.balance(card)
    assert (now.balance.amount_fen, now.available.amount_fen) == (14_300, 13_300)
    then = await window.balance(card, as_of_ms=paid.decide_time_ms)
    assert then.balance.amount_fen == 9_300
    assert not then.HasField("available")
    assert (await window.balance(card, as_of_ms=paid.decide_time_ms - 1)).balance.amount_fen == 10_000
    assert (await window.balance(card, as_of_ms=1)).balance.amount_fen == 0


async def test_an_account_of_then_has_the_sums_of_then(office: Client) -> None:
    account = await opened(office)
    first = await office.post(debit(BANK, 100), credit(account, 100))
    await asyncio.sleep(0.01)
    await office.post(debit(account, 30), credit(BANK, 30))
    now, then = await office.account(account), await office.account(account, as_of_ms=first.decide_time_ms)
    assert (now.debits_posted_fen, now.credits_posted_fen, now.balance_fen) == (30, 100, 70)
    assert (then.debits_posted_fen, then.credits_posted_fen, then.balance_fen) == (0, 100, 100)


async def test_held_money_is_pending_on_both_sides(api: Api, office: Client) -> None:
    card = api.new_card()
    shop = named(f"merchant:{BUS}")
    before = (await office.account(shop)).credits_pending_fen
    held = await api.till(0, BUS).authorize(card, 1_000)
    assert (await office.account(holder(card))).debits_pending_fen == 1_000
    assert (await office.account(shop)).credits_pending_fen == before + 1_000
    await api.till(0, BUS).void(held.payment_id)
    assert (await office.account(shop)).credits_pending_fen == before


async def test_entries_come_newest_first_page_by_page_and_by_time(api: Api) -> None:
    card, window, till = api.new_card(), api.window(), api.till()
    receipts = []
    for fen in range(1, 8):
        receipts.append(await till.pay(card, fen))
        await asyncio.sleep(0.002)
    everything = await window.entries(card)
    assert [entry.change.amount_fen for entry in everything] == [-7, -6, -5, -4, -3, -2, -1, 10_000]
    assert [entry.balance.amount_fen for entry in everything[:2]] == [9_972, 9_979]
    for size in (1, 3, 8):
        assert await window.entries(card, page_size=size) == everything
    since, until = receipts[2].decide_time_ms, receipts[5].decide_time_ms
    assert [entry.change.amount_fen for entry in await window.entries(card, from_ms=since, to_ms=until)] == [-5, -4, -3]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"page_size": 501}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"from_ms": -1}, "from_ms"),
        ({"to_ms": 2**62}, "to_ms"),
        ({"page_token": "!"}, "BAD_PAGE_TOKEN"),
        ({"page_token": "AAAA"}, "BAD_PAGE_TOKEN"),
        ({"page_token": "页"}, "BAD_PAGE_TOKEN"),
        *(({"page_token": write_token(forged)}, "BAD_PAGE_TOKEN") for forged in FORGED),
    ],
)
async def test_what_cannot_be_listed_is_said(api: Api, office: Client, asked: dict[str, Any], expected: str) -> None:
    asks = [api.window().entries(0, **asked)]
    if not {"from_ms", "to_ms"} & asked.keys():
        asks.append(office.transfers(**{**asked, "page_size": 2 * asked.get("page_size", 0)}))  # type: ignore[arg-type]
    for ask in asks:
        code, reason, message = await refused_saying(ask)
        assert code is INVALID
        assert expected in (reason, message.split(":")[0])


async def test_a_token_of_one_listing_is_none_of_another(api: Api, office: Client) -> None:
    page = await office.ledger.ListTransfers(ledger_pb2.ListTransfersRequest(page_size=1))
    assert await refused(api.window().entries(0, page_token=page.next_page_token)) == (INVALID, "BAD_PAGE_TOKEN")


async def test_the_pages_of_a_listing_are_of_one_moment_whatever_is_posted_meanwhile(api: Api, office: Client) -> None:
    account = await opened(office)
    for fen in range(1, 8):
        await office.post(debit(BANK, fen), credit(account, fen))
    card = api.new_card()
    async with api.lock_held(card):  # it has begun, perhaps with a number of its own, and ends between two pages
        begun = asyncio.ensure_future(office.post(debit(holder(card), 1_000), credit(account, 1_000)))
        await asyncio.sleep(0.2)
        asked: dict[str, Any] = {"account": account, "page_size": 3}
        pages = [await office.ledger.ListTransfers(ledger_pb2.ListTransfersRequest(**asked))]
    await begun
    while pages[-1].next_page_token:
        await office.post(debit(BANK, 100), credit(account, 100))
        asked["page_token"] = pages[-1].next_page_token
        pages.append(await office.ledger.ListTransfers(ledger_pb2.ListTransfersRequest(**asked)))
    listed = [transfer.amount.amount_fen for page in pages for transfer in page.transfers]
    assert listed == [1, 2, 3, 4, 5, 6, 7]
    afresh = await office.transfers(account=account)
    assert sum(transfer.amount.amount_fen for transfer in afresh) == await balance(office, account)
    assert len(afresh) > len(listed) + 1


async def test_the_journal_is_in_order_and_holds_everything_once(office: Client) -> None:
    listed = await office.transfers(page_size=200)
    places = [(transfer.batch_number, transfer.batch_row, transfer.leg) for transfer in listed]
    assert places == sorted(set(places))
    assert len({transfer.transfer_id for transfer in listed}) == len(listed)
    bank = await office.account(BANK)
    assert sum(t.amount.amount_fen for t in listed if t.debit_account_id == bank.account_id) == bank.debits_posted_fen


async def test_what_the_back_office_does_is_done_by_one_process_and_seen_by_both(api: Api) -> None:
    offices = [api.client(service_subject(BACK_OFFICE)) for _ in range(8)]
    account = await opened(offices[0])
    await asyncio.gather(*(office.post(debit(BANK, 1), credit(account, 1)) for office in offices for _ in range(10)))
    assert {await balance(office, account) for office in offices} == {80}
