"""A guardian's limits: of taps and online payments together, by the day of the event, from the moment they were set."""

from dataclasses import replace
from itertools import count

import pytest

from services.payments.domain.card import CardStatus, SpendingLimitPeriod, StatusPeriod
from services.payments.domain.limits import Limits
from services.payments.domain.tap import Scene, Tap
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import (
    ANN,
    DAY,
    HOUR,
    MIDNIGHT,
    NOW,
    a_bus_ride,
    a_hall,
    a_meal,
    a_purse,
    bus,
    holder,
    till,
    trainer,
    window,
)

LONG_AGO = NOW - 400 * DAY
DAY_OF_20 = Limits(day_fen=2_000)
_sequences = count(1)


def since_ever(limits: Limits) -> tuple[SpendingLimitPeriod, ...]:
    return (SpendingLimitPeriod(limits, LONG_AGO),)


def a_childs_hall(*periods: SpendingLimitPeriod, available_fen: int = 100_000) -> OneThread:
    """Ann is a child with two cards; Bob is nobody's."""
    cards = (a_card("A", limits=periods), a_card("A2", limits=periods))
    return a_hall(ann=holder(ANN, available_fen, *cards))


def limited(limits: Limits, available_fen: int = 100_000) -> OneThread:
    return a_childs_hall(*since_ever(limits), available_fen=available_fen)


def tap(hall: OneThread, a_tap: Tap, now_ms: int = NOW) -> Reason:
    """A tap that comes alone."""
    (answer,) = hall.post(taps=[a_tap], now_ms=now_ms).answers
    assert answer.verdict is not None
    return answer.verdict.reason


def eat(hall: OneThread, fen: int, *, at_ms: int = NOW, card: str = "A", now_ms: int = NOW) -> Reason:
    return tap(hall, a_meal(next(_sequences), fen, at_ms=at_ms, card=card), now_ms)


def ride(hall: OneThread, *, at_ms: int = NOW) -> Reason:
    return tap(hall, a_bus_ride(next(_sequences), at_ms=at_ms))


def test_twenty_yuan_are_twenty_yuan_to_the_fen() -> None:
    assert eat(limited(DAY_OF_20), 2_000) is Reason.NONE
    assert eat(limited(DAY_OF_20), 2_001) is Reason.OVER_GUARDIAN_DAY
    hall = limited(DAY_OF_20)
    assert eat(hall, 1_999) is Reason.NONE
    assert eat(hall, 2) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 1) is Reason.NONE
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_DAY
    assert hall.funds(ANN) == (100_000 - 2_000, 0)


def test_a_single_payment_has_a_limit_of_its_own() -> None:
    hall = limited(Limits(payment_fen=500))
    assert eat(hall, 501) is Reason.OVER_GUARDIAN_PAYMENT
    assert hall.reason(till.pay(501)) is Reason.OVER_GUARDIAN_PAYMENT
    assert [eat(hall, 500) for _ in range(9)] == [Reason.NONE] * 9
    assert hall.reason(till.pay(500)) is Reason.NONE


def test_the_sixth_payment_of_five_is_refused_wherever_it_is() -> None:
    hall = limited(Limits(day_payments=5))
    asked = [eat(hall, 1), hall.reason(bus.pay(1)), ride(hall), hall.reason(till.hold(1, card="A2")), eat(hall, 1, card="A2")]
    assert asked == [Reason.NONE] * 5
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_COUNT
    assert hall.reason(trainer.pay(1)) is Reason.OVER_GUARDIAN_COUNT


def test_each_kind_of_merchant_has_a_limit_of_its_own() -> None:
    hall = limited(Limits(scene_day_fen={Scene.BUS: 200, Scene.CAMPUS: 1_000}))
    assert ride(hall) is Reason.NONE
    assert ride(hall) is Reason.OVER_GUARDIAN_SCENE
    assert hall.reason(bus.pay(1)) is Reason.OVER_GUARDIAN_SCENE
    assert eat(hall, 1_000) is Reason.NONE
    assert hall.reason(till.pay(1)) is Reason.OVER_GUARDIAN_SCENE
    assert hall.reason(trainer.pay(5_000)) is Reason.NONE, "nobody limits that"


def test_nothing_at_all_may_be_spent_under_a_limit_of_nothing() -> None:
    hall = limited(Limits(day_fen=0))
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_DAY
    assert tap(hall, Tap(trainer.terminal, 1, bytes(32), "A", NOW, None)) is Reason.NONE, "what is free costs nothing"


def test_what_costs_nothing_counts_neither_money_nor_payments() -> None:
    hall = limited(Limits(day_payments=1))
    for sequence in range(1, 4):
        assert tap(hall, Tap(trainer.terminal, sequence, sequence.to_bytes(32, "big"), "A", NOW, None)) is Reason.NONE
    assert eat(hall, 1) is Reason.NONE
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_COUNT


def test_what_is_refused_counts_nothing() -> None:
    hall = limited(Limits(day_payments=1, day_fen=2_000), available_fen=1_000)
    assert eat(hall, 1_001) is Reason.INSUFFICIENT_FUNDS
    assert eat(hall, 2_001) is Reason.OVER_GUARDIAN_DAY
    assert hall.reason(till.pay(1_001)) is Reason.INSUFFICIENT_FUNDS
    assert eat(hall, 1_000) is Reason.NONE


def test_a_bound_purse_is_money_of_the_child_as_well() -> None:
    child = holder(ANN, 1_000, a_card("A", limits=since_ever(Limits(day_fen=300))))
    hall = a_hall(a_purse(2**60, 1_000), ann=child)
    assert eat(hall, 301) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 300) is Reason.NONE
    assert hall.funds(ANN) == (1_000, 0)


def test_a_day_ends_at_midnight_in_the_city_by_the_clock_of_the_validator() -> None:
    hall = limited(DAY_OF_20)
    now = MIDNIGHT + DAY + HOUR
    assert eat(hall, 2_000, at_ms=MIDNIGHT + DAY - 1, now_ms=now) is Reason.NONE
    assert eat(hall, 1, at_ms=MIDNIGHT + DAY - 1, now_ms=now) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 2_000, at_ms=MIDNIGHT + DAY, now_ms=now) is Reason.NONE
    assert hall.reason(till.pay(1), now_ms=now) is Reason.OVER_GUARDIAN_DAY


def test_a_late_tap_of_yesterday_counts_with_yesterday() -> None:
    hall = limited(DAY_OF_20)
    assert eat(hall, 1_500, at_ms=NOW - DAY) is Reason.NONE
    assert eat(hall, 2_000) is Reason.NONE
    assert eat(hall, 501, at_ms=NOW - DAY) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 500, at_ms=NOW - DAY) is Reason.NONE
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_DAY


def test_eight_days_are_kept_and_no_more() -> None:
    hall = limited(DAY_OF_20)
    for days in range(10):
        assert eat(hall, 2_000, at_ms=NOW - days * DAY) is Reason.NONE
    assert [eat(hall, 1, at_ms=NOW - days * DAY) for days in range(8)] == [Reason.OVER_GUARDIAN_DAY] * 8
    child = hall.book.accounts["A"]
    assert len(child.usage["guardian"]) == 8
    assert eat(hall, 2_000, at_ms=NOW - 9 * DAY) is Reason.NONE, "that day is judged payment by payment"


def test_limits_hold_from_the_moment_they_were_set_whenever_the_tap_arrives() -> None:
    hall = a_childs_hall(SpendingLimitPeriod(DAY_OF_20, NOW - HOUR))
    assert eat(hall, 5_000, at_ms=NOW - HOUR - 1) is Reason.NONE
    assert hall.book.accounts["A"].usage == {}, "nothing is counted for those whom nobody limits"
    assert eat(hall, 2_001, at_ms=NOW - HOUR) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 2_000, at_ms=NOW - HOUR) is Reason.NONE


def test_other_limits_go_on_with_what_was_counted_and_lifted_ones_refuse_nothing() -> None:
    tighter, lifted = SpendingLimitPeriod(Limits(day_fen=1_000), NOW + HOUR), SpendingLimitPeriod(None, NOW + 2 * HOUR)
    hall = a_childs_hall(*since_ever(DAY_OF_20), tighter, lifted)
    later = NOW + 3 * HOUR
    assert eat(hall, 900) is Reason.NONE
    assert eat(hall, 101, at_ms=NOW + HOUR, now_ms=later) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 100, at_ms=NOW + HOUR, now_ms=later) is Reason.NONE
    assert eat(hall, 9_000, at_ms=NOW + 2 * HOUR, now_ms=later) is Reason.NONE
    assert hall.reason(till.pay(9_000), now_ms=later) is Reason.NONE


def test_the_last_midnight_of_childhood_ends_all_limits() -> None:
    """As the card service tells it: a period without limits begins on the eighteenth birthday."""
    hall = a_childs_hall(*since_ever(DAY_OF_20), SpendingLimitPeriod(None, MIDNIGHT + DAY))
    now = MIDNIGHT + DAY + HOUR
    assert hall.reason(till.pay(2_001), now_ms=MIDNIGHT + DAY - 1) is Reason.OVER_GUARDIAN_DAY
    assert hall.reason(till.pay(2_001), now_ms=MIDNIGHT + DAY) is Reason.NONE
    assert eat(hall, 2_001, at_ms=MIDNIGHT + DAY - 1, now_ms=now) is Reason.OVER_GUARDIAN_DAY, "it came late, and was a child's"
    assert eat(hall, 2_001, at_ms=MIDNIGHT + DAY, now_ms=now) is Reason.NONE


def test_the_city_counts_no_tap_that_it_pays_for_itself() -> None:
    lost = (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(CardStatus.FORMALLY_LOST, NOW - HOUR))
    limits = since_ever(DAY_OF_20)
    hall = a_hall(ann=holder(ANN, 10_000, a_card("A", lost, limits=limits), a_card("A2", limits=limits)))
    assert eat(hall, 2_000) is Reason.NONE
    assert eat(hall, 2_000, card="A2") is Reason.NONE
    assert hall.funds(ANN) == (8_000, 0)


def test_nobody_else_is_limited_and_nothing_of_them_is_counted() -> None:
    hall = limited(DAY_OF_20)
    assert eat(hall, 1_000, card="B") is Reason.NONE
    assert hall.book.accounts["B"].usage == {}


def test_payments_of_one_batch_see_each_other() -> None:
    hall = limited(Limits(day_payments=5))
    answers = hall.post([till.pay(1) for _ in range(3)], [a_meal(number, 1) for number in range(900, 904)])
    assert [a.ruling and a.ruling.reason for a in answers.answered] == [Reason.NONE] * 3
    assert [a.verdict and a.verdict.reason for a in answers.answers] == [Reason.NONE] * 2 + [Reason.OVER_GUARDIAN_COUNT] * 2


@pytest.mark.parametrize("ends_at", [NOW, NOW + HOUR])
def test_a_payment_that_is_let_go_gives_its_room_back(ends_at: int) -> None:
    hall = limited(Limits(day_fen=2_000, day_payments=1, scene_day_fen={Scene.CAMPUS: 2_000}))
    held = hall.rule(till.hold(2_000))
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_DAY
    hall.rule(till.void(held) if ends_at == NOW else window.expire(held), now_ms=ends_at)
    assert eat(hall, 2_000) is Reason.NONE


def test_what_was_captured_stays_counted_and_a_refund_gives_nothing_back() -> None:
    hall = limited(DAY_OF_20)
    held = hall.rule(till.hold(2_000))
    hall.rule(till.capture(held, 1_500))
    assert hall.reason(till.refund(held, 1_500)) is Reason.NONE
    assert eat(hall, 501) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 500) is Reason.NONE


def test_a_hold_of_yesterday_makes_room_yesterday() -> None:
    hall = limited(DAY_OF_20)
    held = hall.rule(till.hold(2_000), now_ms=NOW - DAY)
    assert eat(hall, 2_000) is Reason.NONE
    hall.rule(till.void(held))
    assert eat(hall, 1) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 2_000, at_ms=NOW - DAY) is Reason.NONE


def test_a_payment_from_before_there_were_limits_makes_no_room_under_them() -> None:
    hall = a_childs_hall(SpendingLimitPeriod(DAY_OF_20, NOW))
    paid = hall.rule(till.pay(1_500), now_ms=NOW - 1)
    assert eat(hall, 1_000) is Reason.NONE
    hall.rule(till.void(paid))
    assert eat(hall, 1_001) is Reason.OVER_GUARDIAN_DAY
    assert eat(hall, 1_000) is Reason.NONE


def test_the_citys_own_limits_are_asked_first_and_count_by_themselves() -> None:
    hall = limited(DAY_OF_20)
    hall.rules = replace(hall.rules, limits={"": Limits(payment_fen=2_500, day_fen=2_500, day_payments=9)})
    assert hall.reason(till.pay(2_501)) is Reason.OVER_PAYMENT_LIMIT
    assert hall.reason(till.pay(2_001)) is Reason.OVER_GUARDIAN_DAY
    assert hall.reason(till.pay(1_000)) is Reason.NONE
    assert eat(hall, 1_000) is Reason.NONE
    assert hall.reason(till.pay(1)) is Reason.OVER_GUARDIAN_DAY
