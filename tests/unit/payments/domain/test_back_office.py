"""What the back office asks: balanced sets all or none, accounts opened, frozen and closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.domain.account import AccountStatus
from services.payments.domain.back_office import pair
from services.payments.domain.operation import Entry, Post, Problem
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Reason
from tests.support.one_thread import a_card
from tests.unit.payments.domain.hall import (
    ANN,
    BOB,
    BUSES,
    CANTEEN,
    FUND,
    GUARDED,
    MEALS,
    NOW,
    STRANGER,
    a_hall,
    a_meal,
    a_purse,
    holder,
    office,
    till,
    window,
)

OPEN, FROZEN, CLOSED = AccountStatus.OPEN, AccountStatus.FROZEN, AccountStatus.CLOSED


def as_post(operation: object) -> Post:
    assert isinstance(operation, Post)
    return operation


# How entries become transfers


def test_two_entries_are_one_transfer() -> None:
    assert pair(as_post(office.post((ANN, -500), (CANTEEN, 500)))) == [(ANN, CANTEEN, 500)]
    assert pair(as_post(office.post((CANTEEN, 500), (ANN, -500)))) == [(ANN, CANTEEN, 500)]


def test_more_entries_are_paired_in_the_order_given() -> None:
    asked = office.post((1, -100), (2, -50), (3, 30), (4, 120))
    assert pair(as_post(asked)) == [(1, 3, 30), (1, 4, 70), (2, 4, 50)]


def test_an_unbalanced_set_never_reaches_the_rules() -> None:
    with pytest.raises(AssertionError, match="unbalanced"):
        pair(as_post(office.post((1, -100), (2, 99))))


@given(
    st.lists(st.integers(1, 1_000), min_size=1, max_size=12),
    st.lists(st.integers(1, 1_000), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_every_entry_is_met_exactly_and_no_transfer_too_many_is_made(
    out: list[int], into: list[int], order: object
) -> None:  # fmt: skip
    difference = sum(out) - sum(into)
    if difference:
        (into if difference > 0 else out).append(abs(difference))
    entries = [Entry(10 + n, True, fen) for n, fen in enumerate(out)]
    entries += [Entry(100 + n, False, fen) for n, fen in enumerate(into)]
    order.shuffle(entries)  # type: ignore[attr-defined]
    transfers = pair(as_post(office.post(*[(e.account_id, -e.amount_fen if e.debit else e.amount_fen) for e in entries])))
    for entry in entries:
        side = 0 if entry.debit else 1
        assert sum(transfer[2] for transfer in transfers if transfer[side] == entry.account_id) == entry.amount_fen
    assert all(fen > 0 for _, _, fen in transfers)
    assert len(transfers) <= len(entries) - 1


# All or none


def test_a_set_posts_as_linked_transfers_of_one_row() -> None:
    hall = a_hall()
    journal = hall.post([office.post((ANN, -300), (BOB, -200), (CANTEEN, 400), (BUSES, 100))])
    assert [(leg.row, leg.leg, leg.code, leg.debit_account, leg.credit_account, leg.amount_fen) for leg in journal.legs] == [
        (0, 0, Code.BACK_OFFICE, ANN, CANTEEN, 300),
        (0, 1, Code.BACK_OFFICE, BOB, CANTEEN, 100),
        (0, 2, Code.BACK_OFFICE, BOB, BUSES, 100),
    ]
    (ruled,) = journal.ruled
    assert (ruled.ruling.amount_fen, ruled.ruling.moved_fen) == (500, 500)
    assert (hall.funds(ANN), hall.funds(BOB)) == ((700, 0), (800, 0))


@pytest.mark.parametrize(
    ("trouble", "wanted"),
    [
        ((BOB, -1_001), Reason.INSUFFICIENT_FUNDS),
        ((GUARDED, -1), Reason.INSUFFICIENT_FUNDS),
        ((GUARDED + 1, -1), Reason.ACCOUNT_FROZEN),
        ((GUARDED + 2, -1), Reason.ACCOUNT_CLOSED),
        ((GUARDED + 2, 1), Reason.ACCOUNT_CLOSED),
    ],
)
def test_one_entry_that_may_not_stops_them_all(trouble: tuple[int, int], wanted: Reason) -> None:
    hall = a_hall()
    hall.rule(office.open(GUARDED, "g"))
    for number, status in ((1, FROZEN), (2, CLOSED)):
        hall.rule(office.open(GUARDED + number, f"g{number}"))
        hall.rule(office.set_status(GUARDED + number, status))
    account, fen = trouble
    journal = hall.post([office.post((ANN, -10), (FUND, 10), (account, fen), (CANTEEN, -fen))])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [wanted]
    assert not journal.legs
    assert hall.funds(ANN) == (1_000, 0)
    assert not hall.accrued_fen


def test_money_may_come_to_a_frozen_account() -> None:
    hall = a_hall()
    hall.rule(office.set_status(ANN, FROZEN))
    assert hall.reason(office.post((FUND, -5), (ANN, 5))) is Reason.NONE
    assert hall.reason(office.post((FUND, 5), (ANN, -5))) is Reason.ACCOUNT_FROZEN


def test_what_counts_for_an_account_is_the_net_of_its_entries() -> None:
    hall = a_hall()
    assert hall.reason(office.post((ANN, -600), (ANN, -401), (CANTEEN, 1_001))) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(office.post((ANN, -600), (ANN, -400), (CANTEEN, 1_000))) is Reason.NONE
    assert hall.funds(ANN) == (0, 0)


def test_held_money_is_not_the_back_offices_to_take() -> None:
    hall = a_hall()
    hall.rule(till.hold(400))
    assert hall.reason(office.post((ANN, -601), (CANTEEN, 601))) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(office.post((ANN, -600), (CANTEEN, 600))) is Reason.NONE


def test_overdraft_takes_the_right_and_ends_where_it_ends_also_with_the_right() -> None:
    hall = a_hall()
    hall.rule(office.open(GUARDED, "advance", overdraft_fen=500))
    assert hall.reason(office.post((GUARDED, -1), (CANTEEN, 1))) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(office.post((GUARDED, -501), (CANTEEN, 501), overdraw=True)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(office.post((GUARDED, -500), (CANTEEN, 500), overdraw=True)) is Reason.NONE
    assert hall.reason(office.post((GUARDED, -1), (CANTEEN, 1), overdraw=True)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(office.post((GUARDED, 499), (CANTEEN, -499))) is Reason.NONE
    assert hall.reason(office.post((GUARDED, -1), (CANTEEN, 1))) is Reason.INSUFFICIENT_FUNDS
    assert hall.funds(GUARDED) == (-1, 0)


def test_accounts_that_only_accrue_bear_everything() -> None:
    hall = a_hall()
    assert hall.reason(office.post((FUND, -(10**15)), (CANTEEN, 10**15))) is Reason.NONE
    assert (hall.accrued_fen[FUND], hall.accrued_fen[CANTEEN]) == (-(10**15), 10**15)


def test_transfers_carry_the_currency_and_the_day_that_were_named() -> None:
    hall = a_hall()
    yesterday = NOW - 24 * 3_600_000
    legs = hall.post(
        [office.post((FUND, -5), (CANTEEN, 5), currency=344, at_ms=yesterday), office.post((FUND, -5), (ANN, 5))]
    ).legs
    assert [(leg.currency, leg.event_time_ms) for leg in legs] == [(344, yesterday), (156, NOW)]


def test_a_transfer_stands_under_the_holder_who_pays_else_under_the_one_who_gets_else_under_the_first() -> None:
    hall = a_hall(a_purse(MEALS, 50))
    journal = hall.post(
        [
            office.post((ANN, -5), (BOB, 5)),
            office.post((FUND, -5), (BOB, 5)),
            office.post((MEALS, -5), (BOB, 5)),
            office.post((FUND, -5), (MEALS, 5)),
            office.post((FUND, -5), (CANTEEN, 5)),
        ]
    )
    assert [leg.account_id for leg in journal.legs] == [ANN, BOB, ANN, ANN, FUND]
    assert [ruled.ruling.account_id for ruled in journal.ruled] == [ANN, BOB, ANN, ANN, FUND]


# Opening


def test_a_name_is_taken_once_also_within_one_batch() -> None:
    hall = a_hall()
    first, second = office.open(GUARDED, "fees"), office.open(GUARDED + 1, "fees")
    journal = hall.post([first, second, office.open(GUARDED + 2, "other")])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [Reason.NONE, Reason.NAME_TAKEN, Reason.NONE]
    assert [ruled.ruling.account_id for ruled in journal.ruled] == [GUARDED, 0, GUARDED + 2]
    assert hall.reason(office.open(GUARDED + 3, "fees")) is Reason.NAME_TAKEN
    assert hall.rule(first).account_id == GUARDED


# Freezing and closing


@pytest.mark.parametrize(
    ("before", "asked", "wanted"),
    [
        (OPEN, OPEN, Reason.NONE),
        (OPEN, FROZEN, Reason.NONE),
        (OPEN, CLOSED, Reason.NONE),
        (FROZEN, OPEN, Reason.NONE),
        (FROZEN, FROZEN, Reason.NONE),
        (FROZEN, CLOSED, Reason.NONE),
        (CLOSED, OPEN, Reason.ACCOUNT_STATUS_FINAL),
        (CLOSED, FROZEN, Reason.ACCOUNT_STATUS_FINAL),
        (CLOSED, CLOSED, Reason.NONE),
    ],
)
def test_an_account_is_frozen_opened_and_closed_for_ever(before: AccountStatus, asked: AccountStatus, wanted: Reason) -> None:
    hall = a_hall(ann=holder(ANN, 0, a_card("A"), status=before))
    assert hall.reason(office.set_status(ANN, asked)) is wanted
    assert hall.book.locked[ANN].status is (before if wanted else asked)
    assert hall.book.locked[ANN].status_changed is (not wanted and before is not asked)


def test_an_account_with_money_or_a_hold_or_a_debt_on_it_is_not_closed() -> None:
    hall = a_hall()
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    held = hall.rule(till.hold(1_000))
    assert hall.funds(ANN) == (0, 1_000)
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    hall.rule(till.capture(held))
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.NONE
    hall.add(holder(STRANGER, -1, a_card("C"), overdraft_fen=5))
    assert hall.reason(office.set_status(STRANGER, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY


def test_a_holder_is_not_closed_while_one_of_the_purses_is_not_empty() -> None:
    hall = a_hall(a_purse(MEALS, 1), ann=holder(ANN, 0, a_card("A")))
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    assert hall.reason(office.set_status(MEALS, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    held = hall.rule(till.hold(1))
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.ACCOUNT_NOT_EMPTY
    hall.rule(till.capture(held))
    assert hall.reason(office.set_status(ANN, CLOSED)) is Reason.NONE


def test_nothing_comes_to_the_purse_of_a_closed_holder() -> None:
    hall = a_hall(a_purse(MEALS, 0), ann=holder(ANN, 0, a_card("A")))
    hall.rule(office.set_status(ANN, CLOSED))
    assert hall.reason(office.post((FUND, -10), (MEALS, 10))) is Reason.ACCOUNT_CLOSED
    assert hall.funds(MEALS) == (0, 0)


def test_the_purse_of_a_frozen_holder_pays_nobody_but_its_fund_may_have_it_back() -> None:
    hall = a_hall(a_purse(MEALS, 10))
    hall.rule(office.set_status(ANN, FROZEN))
    assert hall.reason(till.pay(10)) is Reason.ACCOUNT_FROZEN
    assert hall.reason(office.post((MEALS, -10), (FUND, 10))) is Reason.NONE


def test_what_does_not_exist_or_only_accrues_has_no_status() -> None:
    hall = a_hall()
    assert hall.ask(office.set_status(STRANGER, FROZEN)).problem is Problem.UNKNOWN_ACCOUNT
    assert hall.ask(office.set_status(CANTEEN, FROZEN)).problem is Problem.UNKNOWN_ACCOUNT


def test_a_freeze_counts_from_its_place_in_the_batch() -> None:
    hall = a_hall()
    journal = hall.post([till.pay(1), office.set_status(ANN, FROZEN), till.pay(1)], [a_meal(1, 1)])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [Reason.NONE, Reason.NONE, Reason.ACCOUNT_FROZEN]
    assert [decided.verdict.reason for decided in journal.decided] == [Reason.ACCOUNT_FROZEN]
    assert hall.reason(window.top_up(ANN, 5)) is Reason.NONE
