"""Payments that wait for an answer: every refusal at its boundary, every end of a hold, every name of a payment."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from services.payments.domain.account import AccountStatus
from services.payments.domain.card import CardStatus, StatusPeriod
from services.payments.domain.operation import Answered, Operation, Problem, Ruling
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.transfer import Code
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import (
    ANN,
    BUSES,
    CANTEEN,
    HOUR,
    MIDNIGHT,
    NOW,
    STRANGER,
    a_hall,
    a_meal,
    bus,
    bus_company,
    holder,
    merchant,
    new_id,
    office,
    other_till,
    till,
    window,
)


def test_the_hall_stands_where_its_days_begin() -> None:
    assert (MIDNIGHT + 8 * HOUR) % (24 * HOUR) == 0


# Who may pay


def two_cards(old: CardStatus, new: CardStatus, *, told_by_old: bool) -> OneThread:
    """Ann's card A, whose place card N takes; the old one names its successor once it has heard of the switch."""
    since = StatusPeriod(CardStatus.NORMAL, 0)
    a = replace(a_card("A", (since, StatusPeriod(old, NOW - 1))), successor_card_identifier="N" if told_by_old else "")
    n = replace(a_card("N", (StatusPeriod(CardStatus.SEALED, 0), StatusPeriod(new, NOW - 1))), predecessor_card_identifier="A")
    return a_hall(ann=holder(ANN, 1_000, a, n))


@pytest.mark.parametrize("old", [CardStatus.NORMAL, CardStatus.LOCKED, CardStatus.FORMALLY_LOST, CardStatus.TEMPORARILY_LOST])
def test_while_only_the_new_card_has_told_of_the_switch_neither_pays_and_nothing_is_decided(old: CardStatus) -> None:
    hall = two_cards(old, CardStatus.NORMAL, told_by_old=False)
    for card in "AN":
        assert hall.ask(till.pay(1, card=card)) == Answered(None, Problem.SWITCH_IN_PROGRESS)
        assert hall.ask(till.hold(1, card=card)) == Answered(None, Problem.SWITCH_IN_PROGRESS)


def test_while_only_the_old_card_has_told_of_the_switch_neither_pays_and_the_name_stays_free() -> None:
    hall = two_cards(CardStatus.CANCELLED, CardStatus.SEALED, told_by_old=True)
    asked = till.pay(400, card="N")
    for operation in (asked, till.pay(1, card="A")):
        assert hall.ask(operation).problem is Problem.SWITCH_IN_PROGRESS
    told = two_cards(CardStatus.CANCELLED, CardStatus.NORMAL, told_by_old=True)
    assert told.reason(asked) is Reason.NONE
    assert told.reason(till.pay(1, card="A")) is Reason.CARD_CANCELLED


@pytest.mark.parametrize("new", [CardStatus.SEALED, CardStatus.CANCELLED])
def test_before_the_switch_and_when_nothing_comes_of_the_new_card_the_old_one_pays(new: CardStatus) -> None:
    hall = two_cards(CardStatus.NORMAL, new, told_by_old=False)
    assert hall.reason(till.pay(1, card="A")) is Reason.NONE


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (CardStatus.NORMAL, Reason.NONE),
        (CardStatus.SEALED, Reason.CARD_SEALED),
        (CardStatus.LOCKED, Reason.CARD_LOCKED),
        (CardStatus.FORMALLY_LOST, Reason.CARD_LOST),
        (CardStatus.TEMPORARILY_LOST, Reason.CARD_LOST),
        (CardStatus.CANCELLED, Reason.CARD_CANCELLED),
    ],
)
def test_a_card_pays_online_only_while_it_is_normal_from_that_very_millisecond(status: CardStatus, wanted: Reason) -> None:
    card = a_card("A", (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(status, NOW)))
    hall = a_hall(ann=holder(ANN, 1_000, card))
    assert hall.reason(till.pay(1), now_ms=NOW - 1) is Reason.NONE
    assert hall.reason(till.pay(1), now_ms=NOW) is wanted
    assert hall.reason(till.hold(1), now_ms=NOW) is wanted


def test_a_lost_card_is_refused_at_once_and_nobody_pays_for_it() -> None:
    """Offline the city pays until the hotlist is out; who can ask need not wait for it."""
    lost = a_card("A", (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(CardStatus.FORMALLY_LOST, NOW - 1)))
    hall = a_hall(ann=holder(ANN, 1_000, lost))
    journal = hall.post([till.pay(100)])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [Reason.CARD_LOST]
    assert not journal.legs


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(AccountStatus.FROZEN, Reason.ACCOUNT_FROZEN), (AccountStatus.CLOSED, Reason.ACCOUNT_CLOSED)],
)
def test_a_frozen_or_closed_account_pays_nothing(status: AccountStatus, wanted: Reason) -> None:
    hall = a_hall(ann=holder(ANN, 1_000, a_card("A"), status=status))
    assert hall.reason(till.pay(1)) is wanted
    assert hall.reason(till.hold(1)) is wanted


def test_an_unknown_card_leaves_the_name_free() -> None:
    hall = a_hall()
    late = till.pay(100, card="C")
    assert hall.ask(late).problem is Problem.UNKNOWN_CARD
    hall.add(holder(STRANGER, 100, a_card("C")))
    assert hall.reason(late) is Reason.NONE


def test_money_is_spent_to_the_last_fen_and_no_further() -> None:
    hall = a_hall()
    assert hall.reason(till.pay(1_001)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(till.pay(1_000)) is Reason.NONE
    assert hall.reason(till.pay(1)) is Reason.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("ask", [till.pay, till.hold])
def test_overdraft_is_for_taps_that_have_happened_never_for_what_is_asked(ask: Callable[[int], Operation]) -> None:
    hall = a_hall(ann=holder(ANN, 100, a_card("A"), overdraft_fen=500))
    assert hall.reason(ask(101)) is Reason.INSUFFICIENT_FUNDS
    (answer,) = hall.post(taps=[a_meal(1, 600)]).answers
    assert answer.verdict is not None
    assert answer.verdict.posted


def test_held_money_is_nobodys_to_spend() -> None:
    hall = a_hall()
    assert hall.reason(till.hold(900)) is Reason.NONE
    assert hall.funds(ANN) == (100, 900)
    assert hall.reason(till.hold(101)) is Reason.INSUFFICIENT_FUNDS
    assert hall.reason(bus.pay(101)) is Reason.INSUFFICIENT_FUNDS
    (answer,) = hall.post(taps=[a_meal(1, 101)]).answers
    assert answer.verdict is not None
    assert answer.verdict.reason is Reason.INSUFFICIENT_FUNDS


def test_a_decline_moves_and_holds_nothing_and_says_what_was_asked() -> None:
    hall = a_hall()
    ruling = hall.rule(till.pay(1_001))
    assert (ruling.amount_fen, ruling.moved_fen, ruling.payment, ruling.account_id) == (1_001, 0, None, ANN)
    assert hall.funds(ANN) == (1_000, 0)
    assert not hall.book.payments


# What is taken, and for whom


def test_a_one_step_payment_is_captured_as_it_is_made() -> None:
    hall = a_hall()
    (leg,) = hall.post([till.pay(300)]).legs
    assert (leg.code, leg.debit_account, leg.credit_account, leg.amount_fen) == (Code.PAYMENT, ANN, CANTEEN, 300)
    (payment,) = hall.book.payments.values()
    assert (payment.status, payment.one_step, payment.captured_fen, payment.held_fen) == (PaymentStatus.CAPTURED, True, 300, 0)
    assert hall.accrued_fen[CANTEEN] == 300
    assert hall.promised_fen[CANTEEN] == 0


def test_a_hold_moves_nothing_until_it_is_captured_and_promises_the_payee_what_it_holds() -> None:
    hall = a_hall()
    journal = hall.post([bus.hold(300)])
    assert not journal.legs
    assert (hall.promised_fen[BUSES], hall.accrued_fen[BUSES]) == (300, 0)
    ruling = journal.ruled[0].ruling
    assert hall.reason(bus.capture(ruling, 100, more=True)) is Reason.NONE
    assert (hall.promised_fen[BUSES], hall.accrued_fen[BUSES]) == (200, 100)
    assert hall.reason(bus.void(ruling)) is Reason.NONE
    assert (hall.promised_fen[BUSES], hall.accrued_fen[BUSES]) == (0, 100)


def test_a_capture_lets_the_rest_go_unless_more_is_to_come() -> None:
    hall = a_hall()
    kept, spent = hall.rule(till.hold(500)), hall.rule(till.hold(500))
    assert hall.reason(till.capture(kept, 200, more=True)) is Reason.NONE
    assert hall.reason(till.capture(spent, 200)) is Reason.NONE
    assert (hall.payment(kept).status, hall.payment(kept).held_fen) == (PaymentStatus.HELD, 300)
    assert (hall.payment(spent).status, hall.payment(spent).held_fen) == (PaymentStatus.CAPTURED, 0)
    assert hall.funds(ANN) == (300, 300)


def test_captures_reach_the_hold_to_the_last_fen_and_never_beyond() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    assert hall.reason(till.capture(held, 501)) is Reason.EXCEEDS_HOLD
    assert hall.reason(till.capture(held, 499, more=True)) is Reason.NONE
    assert hall.reason(till.capture(held, 2, more=True)) is Reason.EXCEEDS_HOLD
    assert hall.reason(till.capture(held, 1, more=True)) is Reason.NONE
    assert hall.payment(held).status is PaymentStatus.CAPTURED
    assert hall.reason(till.capture(held, 1)) is Reason.NOT_HELD
    assert hall.funds(ANN) == (500, 0)


def test_a_capture_without_an_amount_takes_all_that_is_still_held() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    hall.rule(till.capture(held, 120, more=True))
    rest = hall.rule(till.capture(held))
    assert (rest.amount_fen, rest.moved_fen) == (380, 380)
    assert hall.funds(ANN) == (500, 0)


def test_what_was_held_before_a_freeze_is_still_the_merchants() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    hall.rule(office.set_status(ANN, AccountStatus.FROZEN))
    assert hall.reason(till.pay(1)) is Reason.ACCOUNT_FROZEN
    assert hall.reason(till.capture(held, 300)) is Reason.NONE
    assert hall.funds(ANN) == (700, 0)


# How a payment ends


def test_a_void_gives_back_everything_that_is_held() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    ruling = hall.rule(till.void(held))
    assert (ruling.amount_fen, ruling.moved_fen) == (500, 0)
    assert hall.payment(held).status is PaymentStatus.VOIDED
    assert hall.funds(ANN) == (1_000, 0)


def test_a_void_after_a_part_was_captured_lets_only_the_rest_go() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    hall.rule(till.capture(held, 200, more=True))
    assert hall.rule(till.void(held)).amount_fen == 300
    assert hall.payment(held).status is PaymentStatus.CAPTURED
    assert hall.funds(ANN) == (800, 0)
    assert hall.reason(till.refund(held, 200)) is Reason.NONE


def test_a_void_takes_a_one_step_payment_back_once() -> None:
    hall = a_hall()
    paid = hall.rule(till.pay(300))
    journal = hall.post([till.void(paid), till.void(paid)])
    assert [ruled.ruling.reason for ruled in journal.ruled] == [Reason.NONE, Reason.NOT_HELD]
    (leg,) = journal.legs
    assert (leg.code, leg.debit_account, leg.credit_account, leg.amount_fen) == (Code.REVERSAL, CANTEEN, ANN, 300)
    assert hall.funds(ANN) == (1_000, 0)


def test_what_was_given_back_in_part_is_not_voided_but_refunded() -> None:
    hall = a_hall()
    paid = hall.rule(till.pay(300))
    hall.rule(till.refund(paid, 1))
    assert hall.reason(till.void(paid)) is Reason.NOT_HELD
    assert hall.reason(till.refund(paid)) is Reason.NONE
    assert hall.funds(ANN) == (1_000, 0)


def test_a_hold_runs_out_at_its_very_millisecond_and_before_it_nothing_is_decided() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    early = office.expire(held)
    assert hall.ask(early, now_ms=NOW + HOUR - 1).ruling is None
    assert hall.funds(ANN) == (500, 500)
    # The same name again: an early sweeper has not used it up.
    assert hall.reason(early, now_ms=NOW + HOUR) is Reason.NONE
    assert hall.payment(held).status is PaymentStatus.EXPIRED
    assert hall.funds(ANN) == (1_000, 0)


def test_a_hold_that_has_run_out_lives_until_that_is_committed() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    assert hall.reason(till.capture(held, 200, more=True), now_ms=NOW + 2 * HOUR) is Reason.NONE
    assert hall.reason(office.expire(held), now_ms=NOW + 2 * HOUR) is Reason.NONE
    assert hall.payment(held).status is PaymentStatus.CAPTURED
    assert hall.funds(ANN) == (800, 0)


@pytest.mark.parametrize(
    ("end", "how"),
    [(PaymentStatus.CAPTURED, till.capture), (PaymentStatus.VOIDED, till.void), (PaymentStatus.EXPIRED, office.expire)],
)
def test_what_has_ended_stays_as_it_ended(end: PaymentStatus, how: Callable[[Ruling], Operation]) -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    later = NOW + 2 * HOUR
    assert hall.reason(how(held), now_ms=later) is Reason.NONE
    assert hall.payment(held).status is end
    before = hall.funds(ANN)
    others: list[Operation] = [till.capture(held, 1), till.capture(held), till.void(held)]
    if end is not PaymentStatus.EXPIRED:
        others.append(office.expire(held))
    for other in others:
        assert hall.reason(other, now_ms=later) is Reason.NOT_HELD
    assert hall.payment(held).status is end
    assert hall.funds(ANN) == before


# What is given back


def test_refunds_reach_what_was_paid_to_the_last_fen_and_never_beyond() -> None:
    hall = a_hall()
    paid = hall.rule(till.pay(300))
    assert hall.reason(till.refund(paid, 301)) is Reason.EXCEEDS_PAID
    assert hall.reason(till.refund(paid, 299)) is Reason.NONE
    assert hall.reason(till.refund(paid, 2)) is Reason.EXCEEDS_PAID
    assert hall.rule(till.refund(paid)).amount_fen == 1
    assert hall.reason(till.refund(paid)) is Reason.EXCEEDS_PAID
    assert hall.funds(ANN) == (1_000, 0)
    assert hall.accrued_fen[CANTEEN] == 0


def test_what_is_only_held_is_not_refunded_but_what_was_captured_of_it_is() -> None:
    hall = a_hall()
    held = hall.rule(till.hold(500))
    assert hall.reason(till.refund(held, 1)) is Reason.EXCEEDS_PAID
    hall.rule(till.capture(held, 200, more=True))
    assert hall.reason(till.refund(held, 201)) is Reason.EXCEEDS_PAID
    assert hall.reason(till.refund(held, 200)) is Reason.NONE
    assert hall.reason(till.capture(held, 300)) is Reason.NONE
    assert hall.funds(ANN) == (700, 0)


def test_a_voided_payment_has_nothing_to_give_back() -> None:
    hall = a_hall()
    paid, held = hall.rule(till.pay(300)), hall.rule(till.hold(300))
    hall.rule(till.void(paid))
    hall.rule(till.void(held))
    assert hall.reason(till.refund(paid)) is Reason.EXCEEDS_PAID
    assert hall.reason(till.refund(held)) is Reason.EXCEEDS_PAID


def test_money_comes_back_to_a_frozen_account_and_never_to_a_closed_one() -> None:
    hall = a_hall()
    refunded, voided = hall.rule(till.pay(400)), hall.rule(till.pay(600))
    hall.rule(office.set_status(ANN, AccountStatus.FROZEN))
    assert hall.reason(till.refund(refunded, 1)) is Reason.NONE
    hall.rule(office.post((ANN, 1), (CANTEEN, -1)))
    hall.rule(office.set_status(ANN, AccountStatus.OPEN))
    hall.rule(office.post((ANN, -2), (CANTEEN, 2)))
    assert hall.reason(office.set_status(ANN, AccountStatus.CLOSED)) is Reason.NONE
    assert hall.reason(till.refund(refunded)) is Reason.ACCOUNT_CLOSED
    assert hall.reason(till.void(voided)) is Reason.ACCOUNT_CLOSED
    assert hall.funds(ANN) == (0, 0)


def test_money_comes_to_a_frozen_account_and_not_to_a_closed_or_unknown_one() -> None:
    hall = a_hall(ann=holder(ANN, 0, a_card("A"), status=AccountStatus.FROZEN))
    assert hall.reason(window.top_up(ANN, 500)) is Reason.NONE
    assert hall.funds(ANN) == (500, 0)
    assert hall.ask(window.top_up(STRANGER, 500)).problem is Problem.UNKNOWN_ACCOUNT
    hall.add(holder(STRANGER, 0, status=AccountStatus.CLOSED))
    assert hall.reason(window.top_up(STRANGER, 500)) is Reason.ACCOUNT_CLOSED


# Voids that come first


def test_whatever_comes_under_a_barred_name_is_refused() -> None:
    hall = a_hall()
    name = new_id()
    assert hall.reason(till.void(name)) is Reason.NONE
    for late in (till.pay(100, name=name), till.hold(5, name=name), till.pay(100, card="B", name=name)):
        assert hall.reason(late) is Reason.VOIDED
    assert hall.funds(ANN) == (1_000, 0)
    assert not hall.book.payments


def test_a_name_is_barred_for_its_caller_alone() -> None:
    hall = a_hall()
    name = new_id()
    hall.rule(till.void(name))
    assert hall.reason(other_till.pay(100, name=name)) is Reason.NONE


def test_a_void_bars_the_way_of_what_comes_later_in_the_same_batch() -> None:
    hall = a_hall()
    name = new_id()
    journal = hall.post([till.void(name), till.pay(100, name=name), till.void(name)])
    assert [answer.ruling and answer.ruling.reason for answer in journal.answered] == [
        Reason.NONE,
        Reason.VOIDED,
        Reason.NONE,
    ]
    assert not journal.legs
    assert len(journal.barred) == 1


def test_a_void_takes_back_what_came_before_it_in_the_same_batch() -> None:
    hall = a_hall()
    name = new_id()
    journal = hall.post([till.pay(100, name=name), till.void(name)])
    assert [answer.ruling and answer.ruling.moved_fen for answer in journal.answered] == [100, 100]
    assert not journal.barred
    assert hall.funds(ANN) == (1_000, 0)


def test_a_barred_name_stands_in_the_journal_right_behind_its_void() -> None:
    hall = a_hall()
    journal = hall.post([till.pay(1), till.void(new_id()), till.pay(1), till.void(new_id())], [a_meal(1, 1)])
    rows = [ruled.ruling.row for ruled in journal.ruled] + [barred.ruling.row for barred in journal.barred]
    rows += [decided.verdict.row for decided in journal.decided]
    assert sorted(rows) == list(range(7))
    voids = [ruled.ruling.row for ruled in journal.ruled if not ruled.ruling.amount_fen]
    assert [barred.ruling.row for barred in journal.barred] == [row + 1 for row in voids]


def test_a_void_of_a_declined_payment_says_that_nothing_is_taken() -> None:
    hall = a_hall()
    name = new_id()
    assert hall.reason(till.pay(1_001, name=name)) is Reason.INSUFFICIENT_FUNDS
    journal = hall.post([till.void(name)])
    assert journal.ruled[0].ruling.reason is Reason.NONE
    assert not journal.barred
    assert hall.reason(till.pay(1_001, name=name)) is Reason.INSUFFICIENT_FUNDS


def test_only_payments_are_voided() -> None:
    hall = a_hall()
    paid = hall.rule(till.pay(100))
    refund = till.refund(paid)
    hall.rule(refund)
    assert hall.ask(till.void(refund.request.request_id)).problem is Problem.UNKNOWN_PAYMENT
    nobodys = never_made(paid.payment)
    assert hall.ask(till.void(paid._replace(payment=nobodys))).problem is Problem.UNKNOWN_PAYMENT


def never_made(payment: bytes | None) -> bytes:
    """The id of a payment that was never made."""
    assert payment is not None
    return payment[:-1] + bytes([payment[-1] ^ 1])


# Names of payments, and whose they are


def test_a_payment_is_found_by_the_name_of_its_authorize_also_within_one_batch() -> None:
    hall = a_hall()
    name = new_id()
    journal = hall.post([till.hold(500, name=name), till.capture(name, 300), till.refund(name, 100), till.void(name)])
    assert [answer.ruling and answer.ruling.reason for answer in journal.answered] == [
        Reason.NONE,
        Reason.NONE,
        Reason.NONE,
        Reason.NOT_HELD,
    ]
    assert hall.funds(ANN) == (800, 0)
    assert hall.reason(till.refund(name, 200)) is Reason.NONE


def test_only_the_name_of_an_authorize_is_the_name_of_a_payment() -> None:
    hall = a_hall()
    held, declined = hall.rule(till.hold(500)), till.pay(1_001)
    capture = till.capture(held, 100)
    hall.rule(capture)
    hall.rule(declined)
    for name in (capture.request.request_id, declined.request.request_id, new_id()):
        assert hall.ask(till.refund(name)).problem is Problem.UNKNOWN_PAYMENT
        assert hall.ask(till.capture(name)).problem is Problem.UNKNOWN_PAYMENT


def test_a_terminal_touches_its_own_payments_alone_and_the_merchant_those_of_its_terminals() -> None:
    hall = a_hall()
    paid, held = hall.rule(till.pay(100)), hall.rule(till.hold(100))
    for stranger in (other_till, bus, bus_company, window, office):
        for asked in (stranger.capture(held), stranger.void(held), stranger.void(paid), stranger.refund(paid)):
            assert hall.ask(asked).problem is Problem.UNKNOWN_PAYMENT
    assert hall.reason(merchant.capture(held)) is Reason.NONE
    assert hall.reason(merchant.refund(held)) is Reason.NONE
    assert hall.reason(merchant.void(paid)) is Reason.NONE
    assert hall.funds(ANN) == (1_000, 0)


def test_a_terminal_does_not_touch_what_its_merchant_itself_took() -> None:
    hall = a_hall()
    paid = hall.rule(merchant.pay(100))
    assert hall.ask(till.refund(paid)).problem is Problem.UNKNOWN_PAYMENT


def test_a_request_id_is_its_callers_own() -> None:
    hall = a_hall()
    name = new_id()
    assert hall.reason(till.pay(100, name=name)) is Reason.NONE
    assert hall.reason(other_till.pay(100, name=name)) is Reason.NONE
    assert hall.ask(merchant.refund(name)).problem is Problem.UNKNOWN_PAYMENT
    assert hall.funds(ANN) == (800, 0)


# One name, one verdict


def test_a_repeat_is_answered_the_first_verdict_whatever_has_happened_since() -> None:
    hall = a_hall()
    declined, paid = till.pay(1_001), till.pay(100)
    first = [hall.rule(declined), hall.rule(paid)]
    hall.rule(window.top_up(ANN, 10_000))
    hall.rule(till.void(first[1]))
    answers = hall.post([declined, paid, declined]).answered
    assert [answer.ruling for answer in answers] == [first[0], first[1], first[0]]
    assert all(answer.repeated for answer in answers)
    assert hall.funds(ANN) == (11_000, 0)


def test_another_body_under_the_same_name_is_a_conflict_and_posts_nothing() -> None:
    hall = a_hall()
    name = new_id()
    first = hall.rule(till.pay(100, name=name))
    held = hall.rule(till.hold(100))
    journal = hall.post(
        [
            till.pay(101, name=name),
            till.pay(100, card="B", name=name),
            till.hold(100, name=name),
            till.capture(held, name=name),
            till.pay(100, name=name),
        ]
    )
    assert [answer.problem for answer in journal.answered] == [Problem.CONFLICT] * 4 + [None]
    assert journal.answered[-1].ruling == first
    assert not journal.ruled
    assert not journal.legs


def test_two_bodies_under_one_name_in_one_batch_post_the_first() -> None:
    hall = a_hall()
    name = new_id()
    journal = hall.post([till.pay(100, name=name), till.pay(200, name=name)])
    assert [answer.problem for answer in journal.answered] == [None, Problem.CONFLICT]
    assert hall.funds(ANN) == (900, 0)


def test_what_cannot_be_decided_leaves_no_trace() -> None:
    hall = a_hall()
    paid = hall.rule(till.pay(100))
    journal = hall.post([other_till.refund(paid), till.capture(new_id()), till.pay(1, card="nobody's")])
    assert [answer.ruling for answer in journal.answered] == [None] * 3
    assert journal.row == 0
    assert not journal.legs
    assert not journal.pending


def test_what_one_payment_takes_the_next_one_of_the_batch_does_not_have() -> None:
    hall = a_hall()
    journal = hall.post([till.pay(600), till.hold(600), till.pay(400)], [a_meal(1, 1)])
    assert [answer.ruling and answer.ruling.reason for answer in journal.answered] == [
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    assert [answer.verdict and answer.verdict.reason for answer in journal.answers] == [Reason.INSUFFICIENT_FUNDS]


def test_every_payment_and_every_row_of_a_batch_is_its_own() -> None:
    hall = a_hall()
    journal = hall.post([till.pay(1) for _ in range(50)])
    rulings = [ruled.ruling for ruled in journal.ruled]
    assert len({ruling.payment for ruling in rulings}) == 50
    assert all(before.row < after.row for before, after in pairwise(rulings))
    assert {leg.row: leg.amount_fen for leg in journal.legs} == {ruling.row: ruling.moved_fen for ruling in rulings}
