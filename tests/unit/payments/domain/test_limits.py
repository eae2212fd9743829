"""Limits of online payments: a payment counts itself, a day forgets the one before, what is let go makes room again."""

from dataclasses import replace

import pytest

from services.payments.domain.account import AccountStatus, HolderAccount, Usage
from services.payments.domain.limits import Limits
from services.payments.domain.spent import count, make_room, spent_online
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import (
    ANN,
    DAY,
    HOUR,
    MIDNIGHT,
    NOW,
    RULES,
    a_hall,
    a_meal,
    bus,
    holder,
    other_till,
    till,
    trainer,
    window,
)

LIMITS = Limits(payment_fen=500, day_fen=1_200, day_payments=4, scene_day_fen={Scene.CAMPUS: 700})
STUDENT = Limits(payment_fen=100, day_fen=150, day_payments=2)
LIMITED = replace(RULES, limits={"": LIMITS, "student": STUDENT})
NOTHING: Usage = {}


def a_limited_hall(available_fen: int = 100_000) -> OneThread:
    return a_hall(rules=LIMITED, ann=holder(ANN, available_fen, a_card("A"), a_card("A2"), a_card("S", category="student")))


def uncount(usage: Usage, fen: int, payments: int, scene: Scene, then_ms: int) -> Usage:
    return make_room(HolderAccount(ANN, 0, 0, AccountStatus.OPEN, usage=usage), fen, payments, scene, then_ms)


def spent(*payments: tuple[int, Scene], at_ms: int = NOW) -> Usage:
    usage = NOTHING
    for fen, scene in payments:
        usage = count(usage, fen, 1, scene, at_ms)
    return usage


@pytest.mark.parametrize(
    ("usage", "fen", "scene", "wanted"),
    [
        (NOTHING, 500, Scene.BUS, None),
        (NOTHING, 501, Scene.BUS, Reason.OVER_PAYMENT_LIMIT),
        (spent((500, Scene.BUS), (200, Scene.BUS)), 500, Scene.BUS, None),
        (spent((500, Scene.BUS), (200, Scene.BUS)), 501, Scene.BUS, Reason.OVER_PAYMENT_LIMIT),
        (spent((500, Scene.BUS), (201, Scene.BUS)), 500, Scene.BUS, Reason.OVER_DAY_LIMIT),
        (spent(*[(1, Scene.BUS)] * 3), 1, Scene.BUS, None),
        (spent(*[(1, Scene.BUS)] * 4), 1, Scene.BUS, Reason.OVER_DAY_COUNT),
        (spent((400, Scene.CAMPUS)), 300, Scene.CAMPUS, None),
        (spent((400, Scene.CAMPUS)), 301, Scene.CAMPUS, Reason.OVER_CATEGORY_LIMIT),
        (spent((400, Scene.CAMPUS)), 301, Scene.BUS, None),
        (spent((500, Scene.BUS)), 500, Scene.CAMPUS, None),
    ],
)
def test_every_limit_is_reached_to_the_last_fen_and_no_further(
    usage: Usage, fen: int, scene: Scene, wanted: Reason | None
) -> None:
    assert LIMITS.refuse(spent_online(usage, NOW), fen, scene) is wanted


def test_what_was_counted_yesterday_does_not_count_today() -> None:
    usage = spent((500, Scene.BUS), (500, Scene.BUS), (200, Scene.BUS), at_ms=MIDNIGHT - 1)
    assert LIMITS.refuse(spent_online(usage, MIDNIGHT - 1), 1, Scene.BUS) is Reason.OVER_DAY_LIMIT
    assert LIMITS.refuse(spent_online(usage, MIDNIGHT), 500, Scene.BUS) is None
    today = count(usage, 500, 1, Scene.BUS, MIDNIGHT)
    assert LIMITS.refuse(spent_online(today, MIDNIGHT), 500, Scene.BUS) is None
    assert today == spent((500, Scene.BUS), at_ms=MIDNIGHT)


def test_a_clock_that_is_behind_does_not_open_the_day_before_again() -> None:
    """Two processes need not agree on midnight to the millisecond."""
    today = spent((500, Scene.BUS), (500, Scene.BUS), at_ms=MIDNIGHT)
    assert LIMITS.refuse(spent_online(today, MIDNIGHT - 1), 201, Scene.BUS) is Reason.OVER_DAY_LIMIT
    late = count(today, 200, 1, Scene.BUS, MIDNIGHT - 1)
    assert late == spent((500, Scene.BUS), (500, Scene.BUS), (200, Scene.BUS), at_ms=MIDNIGHT)
    assert uncount(late, 200, 1, Scene.BUS, MIDNIGHT - 1) is late


def test_what_is_let_go_makes_room_on_its_own_day_only() -> None:
    usage = spent((400, Scene.CAMPUS), (300, Scene.BUS))
    assert uncount(usage, 400, 1, Scene.CAMPUS, NOW) == {"online": [*spent((300, Scene.BUS))["online"][:3], {"2": 0, "1": 300}]}
    assert uncount(usage, 400, 1, Scene.CAMPUS, NOW - DAY) is usage
    assert uncount(NOTHING, 400, 1, Scene.CAMPUS, NOW) is NOTHING


def test_what_others_count_is_kept() -> None:
    usage: Usage = {"rides": 7}
    assert count(usage, 1, 1, Scene.BUS, NOW)["rides"] == 7
    assert usage == {"rides": 7}
    assert uncount(count(usage, 1, 1, Scene.BUS, NOW), 1, 1, Scene.BUS, NOW)["rides"] == 7


# In the ledger


def test_the_payment_that_is_asked_for_counts_itself() -> None:
    hall = a_limited_hall()
    assert hall.reason(till.pay(501)) is Reason.OVER_PAYMENT_LIMIT
    assert hall.reason(till.pay(500)) is Reason.NONE
    assert hall.reason(till.pay(201)) is Reason.OVER_CATEGORY_LIMIT
    assert hall.reason(bus.pay(500)) is Reason.NONE
    assert hall.reason(bus.pay(201)) is Reason.OVER_DAY_LIMIT
    assert hall.reason(bus.hold(199)) is Reason.NONE
    assert hall.reason(trainer.pay(1)) is Reason.NONE
    assert hall.reason(trainer.pay(1)) is Reason.OVER_DAY_LIMIT


def test_holds_and_payments_are_counted_alike_and_declines_are_not() -> None:
    hall = a_limited_hall(available_fen=10)
    for _ in range(3):
        assert hall.reason(bus.pay(11)) is Reason.INSUFFICIENT_FUNDS
        assert hall.reason(bus.pay(501)) is Reason.OVER_PAYMENT_LIMIT
    reasons = [hall.reason(ask(1)) for ask in (bus.pay, bus.hold, bus.pay, bus.hold, bus.pay)]
    assert reasons == [Reason.NONE] * 4 + [Reason.OVER_DAY_COUNT]


def test_all_cards_of_a_holder_draw_on_one_limit_and_nobody_elses() -> None:
    hall = a_limited_hall()
    assert hall.reason(bus.pay(500, card="A")) is Reason.NONE
    assert hall.reason(bus.pay(500, card="A2")) is Reason.NONE
    assert hall.reason(bus.pay(201, card="A2")) is Reason.OVER_DAY_LIMIT
    assert hall.reason(bus.pay(500, card="B")) is Reason.NONE


def test_a_card_of_a_category_has_that_categorys_limits() -> None:
    hall = a_limited_hall()
    assert hall.reason(bus.pay(101, card="S")) is Reason.OVER_PAYMENT_LIMIT
    assert hall.reason(bus.pay(100, card="S")) is Reason.NONE
    assert hall.reason(bus.pay(51, card="S")) is Reason.OVER_DAY_LIMIT
    assert hall.reason(bus.pay(51, card="A")) is Reason.NONE
    assert hall.reason(bus.pay(1, card="S")) is Reason.OVER_DAY_LIMIT


def test_without_limits_nothing_is_limited() -> None:
    hall = a_hall(rules=replace(RULES, limits={"student": STUDENT}), ann=holder(ANN, 10**12, a_card("A")))
    assert hall.reason(till.pay(10**12)) is Reason.NONE


def test_taps_that_have_happened_know_no_limit_and_use_none_up() -> None:
    hall = a_limited_hall()
    journal = hall.post(taps=[a_meal(number, 5_000) for number in range(1, 10)])
    assert all(answer.verdict and answer.verdict.posted for answer in journal.answers)
    assert hall.reason(till.pay(500)) is Reason.NONE


def test_the_next_day_begins_at_midnight_in_the_city() -> None:
    hall = a_limited_hall()
    late = MIDNIGHT + DAY - 1
    assert [hall.reason(bus.pay(500), now_ms=late) for _ in range(3)] == [Reason.NONE] * 2 + [Reason.OVER_DAY_LIMIT]
    assert [hall.reason(bus.pay(500), now_ms=late + 1) for _ in range(3)] == [Reason.NONE] * 2 + [Reason.OVER_DAY_LIMIT]


@pytest.mark.parametrize("ends_at", [NOW, NOW + HOUR])
def test_a_voided_or_expired_hold_gives_its_room_back_the_same_day(ends_at: int) -> None:
    hall = a_limited_hall()
    held = hall.rule(till.hold(500))
    for _ in range(3):
        hall.rule(bus.pay(1))
    assert hall.reason(other_till.pay(1)) is Reason.OVER_DAY_COUNT
    hall.rule(till.void(held) if ends_at == NOW else window.expire(held), now_ms=ends_at)
    assert hall.reason(other_till.pay(500)) is Reason.NONE
    assert hall.reason(bus.pay(1)) is Reason.OVER_DAY_COUNT


def test_a_payment_that_is_taken_back_gives_its_room_back_the_same_day_and_a_refund_does_not() -> None:
    hall = a_limited_hall()
    paid = hall.rule(till.pay(500))
    assert hall.reason(till.void(paid)) is Reason.NONE
    refunded = hall.rule(till.pay(500))
    assert hall.reason(till.refund(refunded, 500)) is Reason.NONE
    assert hall.reason(till.pay(500)) is Reason.OVER_CATEGORY_LIMIT
    assert [hall.reason(bus.pay(1)) for _ in range(4)] == [Reason.NONE] * 3 + [Reason.OVER_DAY_COUNT]


def test_what_was_captured_stays_counted_and_what_was_let_go_does_not() -> None:
    hall = a_limited_hall()
    held = hall.rule(till.hold(500))
    hall.rule(till.capture(held, 200))
    assert hall.reason(till.pay(501)) is Reason.OVER_PAYMENT_LIMIT
    assert hall.reason(till.pay(500)) is Reason.NONE
    assert hall.reason(till.pay(1)) is Reason.OVER_CATEGORY_LIMIT
    # It was a payment all the same.
    assert [hall.reason(bus.pay(1)) for _ in range(3)] == [Reason.NONE] * 2 + [Reason.OVER_DAY_COUNT]


def test_a_capture_in_parts_counts_as_the_one_payment_that_was_held() -> None:
    hall = a_limited_hall()
    held = hall.rule(bus.hold(500))
    for _ in range(5):
        assert hall.reason(bus.capture(held, 100, more=True)) is Reason.NONE
    assert [hall.reason(bus.pay(1)) for _ in range(4)] == [Reason.NONE] * 3 + [Reason.OVER_DAY_COUNT]


def test_what_is_let_go_the_next_day_makes_no_room_on_either() -> None:
    hall = a_limited_hall()
    held = hall.rule(bus.hold(500))
    tomorrow = NOW + DAY
    hall.rule(bus.pay(500), now_ms=tomorrow)
    hall.rule(bus.void(held), now_ms=tomorrow)
    assert hall.reason(bus.pay(500), now_ms=tomorrow) is Reason.NONE
    assert hall.reason(bus.pay(201), now_ms=tomorrow) is Reason.OVER_DAY_LIMIT


def test_a_refund_gives_no_room_back() -> None:
    hall = a_limited_hall()
    paid = hall.rule(bus.pay(500))
    hall.rule(bus.pay(500))
    hall.rule(bus.refund(paid))
    assert hall.reason(bus.pay(201)) is Reason.OVER_DAY_LIMIT
