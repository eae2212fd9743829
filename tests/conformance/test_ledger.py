"""What whoever stands on the ledger may rely on. Every test opens accounts of its own; their money adds up to nothing."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from onecard.payments.v1.ledger_pb2 import Transfer
from onecard.payments.v1.outcomes_pb2 import REASON_INSUFFICIENT_FUNDS, REASON_NAME_TAKEN

from .client import Ledger, Refused, Target, approved, credit, debit, new_id, receipt_of, refusal, served

Connect = Callable[..., Ledger]

# One after the other


def test_an_account_is_opened_once_however_often_it_is_asked_for(ledger: Ledger) -> None:
    name, request_id = new_id("account"), new_id("open")
    first = ledger.open(name, request_id, guarded=True, overdraft_fen=5)
    assert approved(first.receipt)
    assert ledger.open(name, request_id, guarded=True, overdraft_fen=5) == first
    account = ledger.account(first.account_id)
    assert (account.name, account.currency, account.guarded, account.overdraft_fen) == (name, "CNY", True, 5)
    assert (account.debits_posted_fen, account.credits_posted_fen, account.balance_fen) == (0, 0, 0)
    taken = ledger.open(name, guarded=True, overdraft_fen=5).receipt
    assert (approved(taken), taken.reason) == (False, REASON_NAME_TAKEN)


def test_a_post_moves_money_and_a_repeat_moves_none(ledger: Ledger) -> None:
    one, other, request_id = ledger.opened(), ledger.opened(), new_id("post")
    receipt = ledger.move(one, other, 700, request_id)
    assert approved(receipt)
    assert ledger.move(one, other, 700, request_id) == receipt
    assert ledger.balances([one, other]) == [-700, 700]


def test_the_same_id_with_another_body_is_refused_and_the_first_verdict_stays(ledger: Ledger) -> None:
    one, other, request_id = ledger.opened(), ledger.opened(), new_id("post")
    first = ledger.move(one, other, 700, request_id)
    for entries in (
        (debit(one, 701), credit(other, 701)),
        (debit(other, 700), credit(one, 700)),
        (debit(one, 700), credit(other, 300), credit(other, 400)),
    ):
        call = ledger.begin_to_post(*entries, request_id=request_id)
        assert refusal(call) == Refused("ALREADY_EXISTS", "IDENTITY_CONFLICT")
    assert ledger.move(one, other, 700, request_id) == first
    assert ledger.balances([one, other]) == [-700, 700]


def test_a_decline_is_a_verdict_and_stays_one_when_there_is_money(ledger: Ledger) -> None:
    bank, poor, request_id = ledger.opened(), ledger.opened(guarded=True), new_id("post")
    first = ledger.move(poor, bank, 1, request_id)
    assert (approved(first), first.reason) == (False, REASON_INSUFFICIENT_FUNDS)
    assert first.message
    ledger.move(bank, poor, 100)
    assert ledger.move(poor, bank, 1, request_id) == first
    assert approved(ledger.move(poor, bank, 1))


def test_unbalanced_and_mixed_sets_are_refused_and_leave_their_id_free(ledger: Ledger) -> None:
    one, other, dollars = ledger.opened(), ledger.opened(), ledger.opened(currency="HKD")
    request_id = new_id("post")
    for entries, reason in (
        ((debit(one, 2), credit(other, 1)), "UNBALANCED"),
        ((debit(one, 1), debit(other, 1)), "UNBALANCED"),
        ((debit(one, 5), credit(other, 4), credit(dollars, 1, "HKD")), "MIXED_CURRENCIES"),
        ((debit(one, 5), credit(dollars, 5, "HKD")), "MIXED_CURRENCIES"),
        ((debit(one, 5), credit(dollars, 5)), "CURRENCY_MISMATCH"),
        ((debit(one, 5, "HKD"), credit(other, 5, "HKD")), "CURRENCY_MISMATCH"),
        ((debit(one, 5), credit(one, 5)), "BOTH_SIDES"),
        ((debit(one, 5),), "BAD_REQUEST"),
        ((debit(one, 0), credit(other, 0)), "BAD_REQUEST"),
        ((debit(one, -5), credit(other, -5)), "BAD_REQUEST"),
    ):
        call = ledger.begin_to_post(*entries, request_id=request_id)
        assert refusal(call) == Refused("INVALID_ARGUMENT", reason)
    assert ledger.balances([one, other, dollars]) == [0, 0, 0]
    assert approved(ledger.move(one, other, 5, request_id))


def test_an_account_that_does_not_exist_is_not_posted_to(ledger: Ledger) -> None:
    one = ledger.opened()
    call = ledger.begin_to_post(debit(one, 1), credit(2**40 - 1, 1))
    assert refusal(call).code == "NOT_FOUND"
    assert ledger.balances([one]) == [0]


def test_a_set_is_posted_whole_or_not_at_all(ledger: Ledger) -> None:
    bank, rich, poor = ledger.opened(), ledger.opened(guarded=True), ledger.opened(guarded=True)
    ledger.move(bank, rich, 100)
    declined = ledger.post(debit(rich, 60), debit(poor, 1), credit(bank, 61))
    assert (approved(declined), declined.reason) == (False, REASON_INSUFFICIENT_FUNDS)
    assert ledger.balances([bank, rich, poor]) == [-100, 100, 0]
    assert approved(ledger.post(debit(rich, 60), credit(poor, 10), credit(bank, 50)))
    assert ledger.balances([bank, rich, poor]) == [-50, 40, 10]


def test_a_guarded_account_goes_below_zero_for_those_alone_who_may_overdraw(ledger: Ledger, overdraft_ledger: Ledger) -> None:
    bank, account = ledger.opened(), ledger.opened(guarded=True, overdraft_fen=50)
    ledger.move(bank, account, 100)
    assert not approved(ledger.move(account, bank, 101))
    assert not approved(overdraft_ledger.move(account, bank, 151))
    assert approved(overdraft_ledger.move(account, bank, 150))
    assert ledger.balances([bank, account]) == [50, -50]


def test_the_sums_of_then_know_nothing_of_what_came_later(ledger: Ledger) -> None:
    one, other = ledger.opened(), ledger.opened()
    first = ledger.move(one, other, 70)
    time.sleep(0.01)  # times are milliseconds
    ledger.move(one, other, 7)
    assert ledger.account(other, as_of_ms=first.decide_time_ms).balance_fen == 70
    assert ledger.account(other, as_of_ms=first.decide_time_ms - 1).balance_fen == 0


# All at once


@pytest.mark.parametrize("guarded", [False, True], ids=["accrued", "guarded"])
def test_of_500_posts_at_once_on_one_account_none_is_lost(connect: Connect, guarded: bool) -> None:
    ledgers = [connect() for _ in range(8)]
    bank, hot = ledgers[0].opened(), ledgers[0].opened(guarded=guarded)
    calls = [ledgers[n % 8].begin_to_post(debit(bank, n), credit(hot, n)) for n in range(1, 501)]
    receipts = [receipt_of(call) for call in calls]
    assert all(approved(receipt) for receipt in receipts)
    assert len({(receipt.batch_number, receipt.batch_row) for receipt in receipts}) == 500
    assert ledgers[0].balances([bank, hot]) == [-125_250, 125_250]
    assert Counter(transfer.amount.amount_fen for transfer in ledgers[0].transfers(account=hot)) == Counter(range(1, 501))


def test_64_copies_of_one_id_at_once_over_64_connections_apply_once(connect: Connect, target: Target) -> None:
    ledgers = [connect() for _ in range(64)]
    one, other, request_id = ledgers[0].opened(), ledgers[0].opened(), new_id("copies")
    for ledger in ledgers:
        ledger.wait_ready()
    before = [served(endpoint, "Post") for endpoint in target.metrics]
    calls = [ledger.begin_to_post(debit(one, 700), credit(other, 700), request_id=request_id) for ledger in ledgers]
    receipts = {receipt_of(call).SerializeToString() for call in calls}
    assert len(receipts) == 1
    assert ledgers[0].balances([one, other]) == [-700, 700]
    assert len(ledgers[0].transfers(account=other)) == 1
    if not target.metrics:
        pytest.skip("applied once; who served cannot be told without --ledger-metrics")
    counts = [served(endpoint, "Post") - count for endpoint, count in zip(target.metrics, before, strict=True)]
    assert min(counts) > 0, "every process must have served"


def test_64_bodies_under_one_id_at_once_apply_one_of_them(connect: Connect) -> None:
    ledgers = [connect() for _ in range(16)]
    one, other, request_id = ledgers[0].opened(), ledgers[0].opened(), new_id("rivals")
    calls = [ledgers[n % 16].begin_to_post(debit(one, n), credit(other, n), request_id=request_id) for n in range(1, 65)]
    answered = [call for call in calls if call.exception() is None]
    assert len(answered) == 1
    assert {refusal(call) for call in calls if call not in answered} == {Refused("ALREADY_EXISTS", "IDENTITY_CONFLICT")}
    assert ledgers[0].balances([one, other])[1] == receipt_of(answered[0]).amount.amount_fen


def test_of_200_debits_at_once_a_guarded_account_bears_exactly_what_it_has(connect: Connect) -> None:
    ledgers = [connect() for _ in range(8)]
    bank, purse = ledgers[0].opened(), ledgers[0].opened(guarded=True)
    ledgers[0].move(bank, purse, 770)
    calls = [ledgers[n % 8].begin_to_post(debit(purse, 10), credit(bank, 10)) for n in range(200)]
    lowest = min(ledgers[0].account(purse).balance_fen for _ in range(20))  # while they are decided
    assert lowest >= 0
    verdicts = Counter((approved(receipt), receipt.reason) for receipt in map(receipt_of, calls))
    assert verdicts == {(True, 0): 77, (False, REASON_INSUFFICIENT_FUNDS): 123}
    assert ledgers[0].balances([bank, purse]) == [0, 0]


def test_sets_that_need_two_accounts_at_once_take_from_both_or_neither(connect: Connect) -> None:
    ledgers = [connect() for _ in range(8)]
    bank, more, less = ledgers[0].opened(), ledgers[0].opened(guarded=True), ledgers[0].opened(guarded=True)
    ledgers[0].post(debit(bank, 80), credit(more, 50), credit(less, 30))
    sides = [(more, less), (less, more)]
    calls = []
    for n in range(100):
        first, second = sides[n % 2]
        calls.append(ledgers[n % 8].begin_to_post(debit(first, 1), debit(second, 1), credit(bank, 2)))
    assert sum(approved(receipt_of(call)) for call in calls) == 30
    assert ledgers[0].balances([bank, more, less]) == [-20, 20, 0]


def test_money_sent_to_and_fro_at_once_neither_stops_nor_goes_astray(connect: Connect) -> None:
    ledgers = [connect() for _ in range(8)]
    bank = ledgers[0].opened()
    ring = [ledgers[0].opened(guarded=True) for _ in range(4)]
    for account in ring:
        ledgers[0].move(bank, account, 1_000)
    calls = []
    for n in range(200):
        here, there = ring[n % 4], ring[(n // 4 + n) % 4]
        if here != there:
            calls.append(ledgers[n % 8].begin_to_post(debit(here, 1 + n % 5), credit(there, 1 + n % 5)))
    assert all(approved(receipt_of(call)) for call in calls)
    assert sum(ledgers[0].balances(ring)) == 4_000


# The journal


def test_the_pages_of_an_account_add_up_to_it_and_debits_to_credits(ledger: Ledger) -> None:
    accounts = [ledger.opened() for _ in range(3)]
    for n in range(1, 13):
        one, other, third = accounts[n % 3], accounts[(n + 1) % 3], accounts[(n + 2) % 3]
        ledger.post(debit(one, 3 * n), credit(other, n), credit(third, 2 * n))
    listed = {account: ledger.transfers(page_size=5, account=account) for account in accounts}
    for account, transfers in listed.items():
        assert _sums(transfers, account) == _sums_of(ledger, account)
    books = [ledger.account(account) for account in accounts]
    assert sum(book.debits_posted_fen for book in books) == sum(book.credits_posted_fen for book in books) == 3 * 78
    distinct = {transfer.transfer_id for transfers in listed.values() for transfer in transfers}
    assert len(distinct) == 24


def test_a_listing_stands_still_while_others_post(connect: Connect) -> None:
    ledger, writer = connect(), connect()
    bank, account = ledger.opened(), ledger.opened()
    for n in range(1, 21):
        ledger.move(bank, account, n)
    done = threading.Event()

    def keep_posting() -> None:
        while not done.is_set():
            writer.move(bank, account, 1_000)

    posting = threading.Thread(target=keep_posting)
    pages = ledger.pages(page_size=3, account=account)
    listed = [*next(pages).transfers]
    posting.start()
    try:
        for page in pages:
            listed += page.transfers
    finally:
        done.set()
        posting.join()
    assert [transfer.amount.amount_fen for transfer in listed] == [*range(1, 21)]
    afresh = ledger.transfers(account=account)
    assert len(afresh) > 20
    assert _sums(afresh, account) == _sums_of(ledger, account)


def test_the_whole_journal_is_in_order_and_balances_and_adds_up(ledger: Ledger) -> None:
    bank, account = ledger.opened(), ledger.opened()
    receipts = [ledger.move(bank, account, n) for n in range(1, 6)]
    journal = ledger.transfers()
    places = [(transfer.batch_number, transfer.batch_row, transfer.leg) for transfer in journal]
    assert places == sorted(set(places))
    assert {(receipt.batch_number, receipt.batch_row, 0) for receipt in receipts} <= set(places)
    moved: Counter[str] = Counter()
    for transfer in journal:
        assert transfer.amount.amount_fen > 0
        assert transfer.debit_account_id != transfer.credit_account_id
        moved[transfer.amount.currency] += transfer.amount.amount_fen
    for one in (bank, account):
        assert _sums(journal, one) == _sums_of(ledger, one)
    assert moved["CNY"] >= 15


def _sums(transfers: list[Transfer], account: int) -> tuple[int, int]:
    """Debits and credits of an account by the journal."""
    return (
        sum(transfer.amount.amount_fen for transfer in transfers if transfer.debit_account_id == account),
        sum(transfer.amount.amount_fen for transfer in transfers if transfer.credit_account_id == account),
    )


def _sums_of(ledger: Ledger, account: int) -> tuple[int, int]:
    """The same by the account itself."""
    found = ledger.account(account)
    return found.debits_posted_fen, found.credits_posted_fen
