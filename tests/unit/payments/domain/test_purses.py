"""Purses bound to a purpose: they pay first, only where they may, until they are void; what they paid comes back to them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.adapters import requests
from services.payments.adapters.city_rules import read_city_rules
from services.payments.domain.account import AccountStatus, Purpose, Purse
from services.payments.domain.operation import Operation, Problem, Ruling
from services.payments.domain.tap import Scene
from services.payments.domain.transfer import CNY, Code
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import (
    ANN,
    BOB,
    BUS,
    CANTEEN,
    DAY,
    FUND,
    HOUR,
    MEALS,
    NOW,
    OFFICE,
    RULES,
    TILL,
    VOUCHER,
    a_hall,
    a_meal,
    a_purse,
    bus,
    holder,
    new_id,
    office,
    till,
    trainer,
)

FIRST, SECOND, THIRD, FOURTH = MEALS, MEALS + 1, MEALS + 2, MEALS + 3


def paid_from(hall: OneThread, fen: int) -> list[tuple[int, int]]:
    """Which purse pays how much at the till."""
    return [(leg.debit_account, leg.amount_fen) for leg in hall.post([till.pay(fen)]).legs]


# Which purse pays


def test_the_soonest_void_pays_first_then_those_that_never_are_then_the_main_purse() -> None:
    hall = a_hall(
        a_purse(FIRST, 100),
        a_purse(SECOND, 100, void_after=NOW + 2 * HOUR),
        a_purse(THIRD, 100, void_after=NOW + HOUR),
        a_purse(FOURTH, 100),
    )
    assert paid_from(hall, 450) == [(THIRD, 100), (SECOND, 100), (FIRST, 100), (FOURTH, 100), (ANN, 50)]


def test_a_purse_that_bears_it_all_leaves_the_others_alone() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    assert paid_from(hall, 100) == [(FIRST, 100)]
    assert paid_from(hall, 40) == [(SECOND, 40)]


def test_a_purse_pays_only_where_it_may() -> None:
    hall = a_hall(a_purse(MEALS, 100), a_purse(VOUCHER, 100, "training-voucher"))
    assert hall.reason(bus.pay(1_001)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(till.pay(1_101)) is Reason.INSUFFICIENT_FUNDS
    hall.rule(till.pay(50))
    hall.rule(trainer.pay(60))
    hall.rule(bus.pay(70))
    assert [hall.funds(account)[0] for account in (MEALS, VOUCHER, ANN)] == [50, 40, 930]


@pytest.mark.parametrize(
    ("purpose", "wanted"),
    [
        (Purpose(frozenset({Scene.CAMPUS})), True),
        (Purpose(frozenset({Scene.BUS})), False),
        (Purpose(merchants=frozenset({"CANTEEN"})), True),
        (Purpose(merchants=frozenset({"BUS"})), False),
        (Purpose(frozenset({Scene.BUS}), frozenset({"CANTEEN"})), True),
        (Purpose(), False),
    ],
)
def test_a_purpose_names_kinds_of_merchants_or_merchants(purpose: Purpose, wanted: bool) -> None:
    assert purpose.covers(TILL) is wanted


def test_a_purse_whose_purpose_the_city_no_longer_knows_pays_nowhere() -> None:
    hall = a_hall(a_purse(MEALS, 5_000, "heating"))
    assert hall.reason(till.pay(1_001)) is Reason.INSUFFICIENT_FUNDS


def test_a_void_purse_never_pays_from_its_very_millisecond() -> None:
    hall = a_hall(a_purse(MEALS, 5_000, void_after=NOW))
    assert hall.reason(till.pay(2_000), now_ms=NOW - 1) is Reason.NONE
    assert hall.reason(till.pay(1_001), now_ms=NOW) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(till.pay(1_000), now_ms=NOW) is Reason.NONE
    assert hall.funds(MEALS) == (3_000, 0)


def test_a_tap_that_happened_before_the_purse_was_void_is_paid_by_it() -> None:
    hall = a_hall(a_purse(MEALS, 5_000, void_after=NOW - HOUR))
    journal = hall.post(taps=[a_meal(1, 300, at_ms=NOW - HOUR - 1), a_meal(2, 300, at_ms=NOW - HOUR)])
    assert [leg.debit_account for leg in journal.legs] == [MEALS, ANN]


def test_a_frozen_or_closed_purse_does_not_pay() -> None:
    hall = a_hall(a_purse(FIRST, 300), a_purse(SECOND, 0))
    hall.rule(office.set_status(FIRST, AccountStatus.FROZEN))
    hall.rule(office.set_status(SECOND, AccountStatus.CLOSED))
    assert paid_from(hall, 200) == [(ANN, 200)]
    hall.rule(office.set_status(FIRST, AccountStatus.OPEN))
    assert paid_from(hall, 200) == [(FIRST, 200)]


def test_purses_and_main_purse_together_bear_it_to_the_last_fen() -> None:
    hall = a_hall(a_purse(MEALS, 100))
    assert hall.reason(till.pay(1_101)) is Reason.INSUFFICIENT_FUNDS
    assert hall.funds(MEALS) == (100, 0)
    assert hall.reason(till.pay(1_100)) is Reason.NONE


def test_a_main_purse_in_overdraft_does_not_keep_a_bound_one_from_paying() -> None:
    overdrawn = holder(ANN, -300, a_card("A"), overdraft_fen=500)
    hall = a_hall(a_purse(MEALS, 400), ann=overdrawn)
    assert hall.reason(till.pay(401)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(till.pay(400)) is Reason.NONE
    assert hall.funds(ANN) == (-300, 0)


def test_a_tap_uses_the_main_purses_overdraft_and_never_a_bound_ones() -> None:
    hall = a_hall(a_purse(MEALS, 100), ann=holder(ANN, 0, a_card("A"), overdraft_fen=500))
    journal = hall.post(taps=[a_meal(1, 601), a_meal(2, 600)])
    assert [answer.verdict and answer.verdict.reason for answer in journal.answers] == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    assert [hall.funds(account)[0] for account in (MEALS, ANN)] == [0, -500]


def test_a_frozen_holder_does_not_pay_from_a_bound_purse_either() -> None:
    hall = a_hall(a_purse(MEALS, 100))
    hall.rule(office.set_status(ANN, AccountStatus.FROZEN))
    assert hall.reason(till.pay(50)) is Reason.ACCOUNT_FROZEN


def test_a_tap_is_paid_by_several_purses_in_legs_of_one_event() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    journal = hall.post(taps=[a_meal(1, 250)])
    assert [(leg.leg, leg.debit_account, leg.credit_account, leg.amount_fen, leg.account_id) for leg in journal.legs] == [
        (0, FIRST, CANTEEN, 100, ANN),
        (1, SECOND, CANTEEN, 100, ANN),
        (2, ANN, CANTEEN, 50, ANN),
    ]
    assert {(leg.row, leg.sequence, leg.code) for leg in journal.legs} == {(0, 1, Code.CHARGE)}


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 1, 2, -1])), max_size=5),
    st.integers(0, 1_000),
    st.integers(1, 1_500),
)
def test_what_the_purses_give_is_what_was_asked_or_nothing(
    purses: list[tuple[int, int]], main_fen: int, asked_fen: int
) -> None:
    ann = holder(ANN, main_fen, a_card("A"))
    ann.purses = [
        a_purse(MEALS + number, fen, void_after=NOW + hours * HOUR if hours else 0)
        for number, (fen, hours) in enumerate(purses)
    ]
    alive = [purse for purse in ann.purses if not purse.void_at(NOW)]
    parts = ann.split(asked_fen, TILL, RULES.purposes, NOW, overdraft=False)
    if parts is None:
        assert asked_fen > main_fen + sum(purse.available_fen for purse in alive)
        return
    assert sum(fen for _, fen in parts) == asked_fen
    assert all(0 < fen <= account.available_fen for account, fen in parts)
    assert all(account is ann or account in alive for account, _ in parts)
    # Nobody pays before the ones in front of it are empty.
    assert all(fen == account.available_fen for account, fen in parts[:-1])
    if any(account is ann for account, _ in parts):
        assert {account.id for account, _ in parts[:-1]} == {purse.id for purse in alive if purse.available_fen}
    assert ann.split(asked_fen, BUS, RULES.purposes, NOW, overdraft=False) in ([(ann, asked_fen)], None)


# Holds


def test_a_hold_holds_every_purse_it_needs_and_a_capture_spends_them_in_that_order() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    held = hall.rule(till.hold(250))
    assert [hall.funds(account) for account in (FIRST, SECOND, ANN)] == [(0, 100), (0, 100), (950, 50)]
    legs = hall.post([till.capture(held, 120, more=True), till.capture(held, 100)]).legs
    assert [(leg.row, leg.leg, leg.debit_account, leg.amount_fen) for leg in legs] == [
        (0, 0, FIRST, 100),
        (0, 1, SECOND, 20),
        (1, 0, SECOND, 80),
        (1, 1, ANN, 20),
    ]
    assert [hall.funds(account) for account in (FIRST, SECOND, ANN)] == [(0, 0), (0, 0), (980, 0)]


def test_a_void_lets_go_of_every_purse() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    hall.rule(till.void(hall.rule(till.hold(250))))
    assert [hall.funds(account) for account in (FIRST, SECOND, ANN)] == [(100, 0), (100, 0), (1_000, 0)]


def test_what_a_purse_held_before_it_was_void_is_still_captured() -> None:
    hall = a_hall(a_purse(MEALS, 100, void_after=NOW + 1))
    held = hall.rule(till.hold(100))
    assert hall.reason(till.capture(held), now_ms=NOW + HOUR) is Reason.NONE
    assert [hall.funds(account) for account in (MEALS, ANN)] == [(0, 0), (1_000, 0)]


# What comes back


def test_a_refund_returns_to_the_purses_in_the_reverse_order() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    paid = hall.rule(till.pay(250))
    legs = hall.post([till.refund(paid, 120)]).legs
    assert [(leg.code, leg.credit_account, leg.amount_fen) for leg in legs] == [
        (Code.REFUND, ANN, 50),
        (Code.REFUND, SECOND, 70),
    ]
    hall.rule(till.refund(paid))
    assert [hall.funds(account)[0] for account in (FIRST, SECOND, ANN)] == [100, 100, 1_000]


@pytest.mark.parametrize("gives_back", [till.refund, till.void])
def test_the_share_of_a_void_purse_goes_back_to_its_fund(gives_back: Callable[[Ruling], Operation]) -> None:
    hall = a_hall(a_purse(FIRST, 100, void_after=NOW + HOUR), a_purse(SECOND, 100))
    early, late = hall.rule(till.pay(50)), hall.rule(till.pay(250))
    assert hall.reason(gives_back(early), now_ms=NOW + HOUR - 1) is Reason.NONE
    assert hall.funds(FIRST) == (50, 0)
    assert hall.reason(gives_back(late), now_ms=NOW + HOUR) is Reason.NONE
    assert [hall.funds(account)[0] for account in (FIRST, SECOND, ANN)] == [50, 100, 1_000]
    assert hall.accrued_fen[FUND] == 50
    assert hall.accrued_fen[CANTEEN] == 0


def test_the_share_of_a_closed_purse_goes_back_to_its_fund_and_a_frozen_one_takes_it() -> None:
    hall = a_hall(a_purse(FIRST, 100), a_purse(SECOND, 100))
    paid = hall.rule(till.pay(200))
    hall.rule(office.set_status(FIRST, AccountStatus.CLOSED))
    hall.rule(office.set_status(SECOND, AccountStatus.FROZEN))
    hall.rule(till.refund(paid))
    assert [hall.funds(account)[0] for account in (FIRST, SECOND, ANN)] == [0, 100, 1_000]
    assert hall.accrued_fen[FUND] == 100


def test_a_hold_that_ends_gives_a_void_purse_its_money_back_and_it_pays_no_more() -> None:
    hall = a_hall(a_purse(MEALS, 100, void_after=NOW + 1))
    hall.rule(till.void(hall.rule(till.hold(100))), now_ms=NOW + 1)
    assert hall.funds(MEALS) == (100, 0)
    assert hall.reason(till.pay(1_001), now_ms=NOW + 1) is Reason.INSUFFICIENT_FUNDS


# Opening


def test_a_purse_is_opened_for_a_holder_who_is_there() -> None:
    hall = a_hall()
    assert hall.rule(office.open_purse(MEALS, ANN)).account_id == MEALS
    hall.rule(office.post((FUND, -500), (MEALS, 500)))
    assert paid_from(hall, 600) == [(MEALS, 500), (ANN, 100)]
    assert hall.ask(office.open_purse(FIRST + 9, ANN + 99)).problem is Problem.UNKNOWN_ACCOUNT
    assert hall.ask(office.open_purse(FIRST + 9, MEALS)).problem is Problem.UNKNOWN_ACCOUNT


def test_a_purse_is_opened_for_a_frozen_holder_and_never_for_a_closed_one() -> None:
    hall = a_hall(ann=holder(ANN, 0, a_card("A"), status=AccountStatus.FROZEN))
    assert hall.reason(office.open_purse(MEALS, ANN)) is Reason.NONE
    hall.rule(office.set_status(ANN, AccountStatus.CLOSED))
    assert hall.reason(office.open_purse(VOUCHER, ANN)) is Reason.ACCOUNT_CLOSED


def test_purses_have_no_names_so_two_of_them_share_none() -> None:
    hall = a_hall()
    journal = hall.post([office.open_purse(FIRST, ANN), office.open_purse(SECOND, ANN)])
    assert [answer.ruling and answer.ruling.reason for answer in journal.answered] == [Reason.NONE] * 2


def test_a_purse_that_is_opened_in_a_batch_pays_from_the_next_one_on() -> None:
    hall = a_hall()
    name = new_id()
    journal = hall.post([office.open_purse(MEALS, ANN), till.pay(100, name=name)])
    assert [leg.debit_account for leg in journal.legs] == [ANN]
    purse = hall.book.locked[MEALS]
    assert isinstance(purse, Purse)
    assert (purse.owner, purse.available_fen) == (ANN, 0)


FUJIAN = read_city_rules(Path(__file__).parents[4] / "rules" / "fujian.toml").purposes


def a_voucher(hall: OneThread, number: int, days: int, *, owner: int = ANN, now_ms: int = NOW) -> Reason:
    purse = a_purse(VOUCHER + number, 0, "training-voucher", owner=owner, void_after=now_ms + days * DAY)
    asked = requests.open_account(OFFICE, new_id(), purse.id, name="", currency=CNY, guarded=True, overdraft_fen=0, purse=purse)
    return hall.reason(asked, now_ms=now_ms)


def test_a_second_training_voucher_is_refused_until_the_first_is_void() -> None:
    hall = a_hall(rules=replace(RULES, purposes=FUJIAN))
    assert a_voucher(hall, 0, 90) is Reason.NONE
    assert a_voucher(hall, 1, 90) is Reason.PURSE_STILL_VALID
    assert a_voucher(hall, 1, 90, owner=BOB) is Reason.NONE
    assert a_voucher(hall, 2, 90, now_ms=NOW + 90 * DAY - 1) is Reason.PURSE_STILL_VALID
    assert a_voucher(hall, 2, 90, now_ms=NOW + 90 * DAY) is Reason.NONE


def test_a_training_voucher_is_good_for_three_months_at_most() -> None:
    hall = a_hall(rules=replace(RULES, purposes=FUJIAN))
    assert a_voucher(hall, 0, 93) is Reason.PURSE_TOO_LONG
    assert a_voucher(hall, 0, 92) is Reason.NONE


def test_of_two_vouchers_in_one_batch_the_first_is_given() -> None:
    hall = a_hall(rules=replace(RULES, purposes=FUJIAN))
    purses = [a_purse(VOUCHER + n, 0, "training-voucher", void_after=NOW + DAY) for n in range(2)]
    asked = [
        requests.open_account(OFFICE, new_id(), p.id, name="", currency=CNY, guarded=True, overdraft_fen=0, purse=p)
        for p in purses
    ]
    rulings = [answer.ruling for answer in hall.post(asked).answered]
    assert [ruling and ruling.reason for ruling in rulings] == [Reason.NONE, Reason.PURSE_STILL_VALID]
