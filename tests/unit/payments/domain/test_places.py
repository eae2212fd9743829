"""Places of sites: a reservation is a hold, a tap uses it up, and the gates of a site share what is left."""

from dataclasses import replace
from itertools import count

import pytest

from services.payments.adapters import requests
from services.payments.domain.account import Account, AccountStatus
from services.payments.domain.book import Rules
from services.payments.domain.calendar import service_day
from services.payments.domain.card import CardStatus, StatusPeriod
from services.payments.domain.operation import Problem, Reserve, Ruling
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.places import MOST_RESERVATIONS, Quota, Reservations, ReservationTerms, Slot, Window, reservations
from services.payments.domain.rating.price import Flat
from services.payments.domain.tap import Facts, Scene, Tap, Terminal
from services.payments.domain.tariff import Tariff, Tariffs
from services.payments.domain.transfer import PLACES, Code
from services.payments.domain.verdict import Reason
from tests.support.one_thread import OneThread, a_card
from tests.unit.payments.domain.hall import ANN, BOB, DAY, HOUR, MIDNIGHT, NOW, RULES, At, a_hall, holder, new_id
from tests.unit.payments.tariffs.rider import read

MINUTE = 60_000
GIVEN, TAKEN, MORNING, AFTERNOON = 5, 6, 1020, 1021
GATE = Terminal(20, "PARK", "G1", Scene.SCENIC, 1005, retired=False)
OTHER_GATE = Terminal(21, "PARK", "G2", Scene.SCENIC, 1005, retired=False)
DESK = At(GATE)
QUOTA = Quota(
    (Window(8 * 60, 12 * 60, 3), Window(12 * 60, 18 * 60, 3)),
    Reservations.POSSIBLE,
    grace_ms=30 * MINUTE,
    other_tickets=frozenset({"pass"}),
)
AM = Slot("PARK", MIDNIGHT + 8 * HOUR, MIDNIGHT + 12 * HOUR, 3)
PM = Slot("PARK", MIDNIGHT + 12 * HOUR, MIDNIGHT + 18 * HOUR, 3)
_sequences = count(1)


def rules(quota: Quota = QUOTA, fen: int = 100, most_riders: int = 3) -> Rules:
    site = Tariff(Scene.SCENIC, 0, Flat(fen), quota=quota, most_riders=most_riders)
    return replace(RULES, tariffs=Tariffs([site]), places_given_account=GIVEN, places_taken_account=TAKEN)


def a_site(quota: Quota = QUOTA, *, fen: int = 100, places: int = 3, most_riders: int = 3) -> OneThread:
    """Ann and Bob with 10 yuan each, and a site with so many places in either slot."""
    hall = a_hall(rules=rules(quota, fen, most_riders))
    hall.add(Account(MORNING, places, 0, AccountStatus.OPEN), Account(AFTERNOON, places, 0, AccountStatus.OPEN))
    hall.book.places = {AM.key: MORNING, PM.key: AFTERNOON}
    return hall


def reserve(
    places: int = 1, card: str = "A", slot: Slot = AM, *, once: bool = False, most: int = 3, name: str = "", opens_ms: int = 0
) -> Reserve:
    account = MORNING if slot is AM else AFTERNOON
    terms = ReservationTerms(Scene.SCENIC, account, opens_ms, most, once, slot.ends_ms + DAY)
    return requests.reserve(GATE, name or new_id(), card, slot, places, terms)


def enter(
    hall: OneThread, card: str = "A", at_ms: int = NOW, gate: Terminal = GATE, *, now_ms: int = NOW + DAY, **facts: object
) -> Reason:
    tap = Tap(gate, next(_sequences), b"", card, at_ms, None, Facts(**facts))  # type: ignore[arg-type]
    (answer,) = hall.post(taps=[tap], now_ms=now_ms).answers
    assert answer.verdict is not None
    return answer.verdict.reason


def test_a_reservation_holds_places_and_the_tap_of_its_holder_uses_them_up() -> None:
    hall = a_site()
    ruling = hall.rule(reserve(2))
    assert hall.funds(MORNING) == (1, 2)
    assert (ruling.amount_fen, ruling.moved_fen) == (0, 0), "no money is concerned"
    assert enter(hall, riders=2) is Reason.NONE
    assert hall.funds(MORNING) == (1, 0)
    assert hall.accrued_fen[TAKEN] == 2
    assert not hall.promised_fen[TAKEN]
    payment = hall.payment(ruling)
    assert (payment.status, payment.captured_fen) == (PaymentStatus.CAPTURED, 2)
    assert not reservations(hall.book.accounts["A"].usage)


def test_what_is_reserved_beyond_those_who_come_is_free_again() -> None:
    hall = a_site()
    ruling = hall.rule(reserve(3))
    assert enter(hall, "B") is Reason.QUOTA_FULL
    assert enter(hall) is Reason.NONE
    assert hall.payment(ruling).captured_fen == 1
    assert hall.funds(MORNING) == (2, 0)
    assert enter(hall, "B") is Reason.NONE


def test_gates_share_the_places_and_the_last_one_is_given_once() -> None:
    hall = a_site(places=2)
    assert enter(hall) is Reason.NONE
    assert enter(hall, "B", gate=OTHER_GATE) is Reason.NONE
    assert enter(hall, gate=OTHER_GATE) is Reason.QUOTA_FULL
    assert enter(hall, at_ms=PM.begins_ms, gate=OTHER_GATE) is Reason.NONE, "the next slot has places of its own"


def test_a_slot_that_the_office_has_frozen_gives_no_place_but_those_that_are_reserved() -> None:
    hall = a_site()
    hall.rule(reserve())
    hall.book.locked[MORNING].status = AccountStatus.FROZEN
    assert hall.reason(reserve(card="B")) is Reason.QUOTA_FULL
    assert enter(hall, "B") is Reason.QUOTA_FULL
    assert enter(hall) is Reason.NONE


def test_who_is_refused_for_money_takes_no_place() -> None:
    hall = a_site(fen=1_001)
    assert enter(hall) is Reason.INSUFFICIENT_FUNDS
    assert hall.funds(MORNING) == (3, 0)
    ruling = hall.rule(reserve())
    assert enter(hall) is Reason.INSUFFICIENT_FUNDS
    assert hall.payment(ruling).status is PaymentStatus.HELD


def test_where_a_reservation_is_required_nobody_enters_without() -> None:
    hall = a_site(replace(QUOTA, reservations=Reservations.REQUIRED))
    assert enter(hall) is Reason.NO_RESERVATION
    hall.rule(reserve())
    assert enter(hall, "B") is Reason.NO_RESERVATION, "it is Ann's"
    assert enter(hall, riders=2) is Reason.NO_RESERVATION, "it is for one"
    assert enter(hall) is Reason.NONE
    assert enter(hall) is Reason.NO_RESERVATION, "it is used up"


@pytest.mark.parametrize(
    ("at_ms", "reason"),
    [
        (AM.begins_ms - 30 * MINUTE - 1, Reason.NO_RESERVATION),
        (AM.begins_ms - 30 * MINUTE, Reason.NONE),
        (AM.ends_ms + 30 * MINUTE - 1, Reason.NONE),
        (AM.ends_ms + 30 * MINUTE, Reason.NO_RESERVATION),
    ],
)
def test_a_reservation_lets_in_a_little_earlier_and_later(at_ms: int, reason: Reason) -> None:
    hall = a_site(replace(QUOTA, reservations=Reservations.REQUIRED))
    hall.rule(reserve())
    assert enter(hall, at_ms=at_ms) is reason


def test_outside_the_windows_the_site_is_closed() -> None:
    hall = a_site()
    assert enter(hall, at_ms=AM.begins_ms - 1) is Reason.OUTSIDE_HOURS
    assert enter(hall, at_ms=PM.ends_ms - 1) is Reason.NONE
    assert enter(hall, at_ms=PM.ends_ms) is Reason.OUTSIDE_HOURS


def test_who_buys_a_pass_takes_no_place() -> None:
    hall = a_site()
    assert enter(hall, ticket="pass") is Reason.NONE
    assert hall.funds(MORNING) == (3, 0)


def test_under_real_names_one_place_a_holder_and_slot_and_nobody_is_taken_along() -> None:
    hall = a_site(replace(QUOTA, real_name=True))
    assert hall.reason(reserve(2, once=True, most=1)) is Reason.TOO_MANY_RIDERS
    hall.rule(reserve(once=True, most=1))
    assert hall.reason(reserve(once=True, most=1)) is Reason.ALREADY_RESERVED
    hall.rule(reserve(slot=PM, once=True, most=1))
    hall.rule(reserve(card="B", once=True, most=1))
    assert enter(hall, riders=2) is Reason.TOO_MANY_RIDERS


def test_a_full_slot_is_declined_and_a_cancelled_reservation_makes_room() -> None:
    hall = a_site()
    first = hall.rule(reserve(3))
    refused = reserve(card="B", name="b-1")
    assert hall.reason(refused) is Reason.QUOTA_FULL
    assert hall.reason(DESK.void(first)) is Reason.NONE
    assert hall.funds(MORNING) == (3, 0)
    assert not hall.promised_fen[TAKEN]
    assert hall.reason(refused) is Reason.QUOTA_FULL, "a verdict is for ever"
    assert hall.reason(reserve(card="B")) is Reason.NONE


def test_a_reservation_is_let_go_when_nobody_came_and_a_tap_before_that_wins() -> None:
    hall = a_site()
    missed, used = hall.rule(reserve()), hall.rule(reserve(card="B"))
    assert hall.ask(DESK.expire(missed), now_ms=AM.ends_ms + DAY - 1).problem is Problem.NOT_DUE
    assert enter(hall, "B", now_ms=AM.ends_ms + 2 * DAY) is Reason.NONE, "told late, held still"
    assert hall.reason(DESK.expire(used), now_ms=AM.ends_ms + DAY) is Reason.NOT_HELD
    assert hall.reason(DESK.expire(missed), now_ms=AM.ends_ms + DAY) is Reason.NONE
    assert hall.payment(missed).status is PaymentStatus.EXPIRED
    assert hall.funds(MORNING) == (2, 0)
    assert not reservations(hall.book.accounts["A"].usage)


def test_a_cancellation_bars_a_reservation_that_has_not_arrived() -> None:
    hall = a_site()
    assert hall.reason(DESK.void("r-late")) is Reason.NONE
    assert hall.reason(reserve(name="r-late")) is Reason.VOIDED
    assert hall.funds(MORNING) == (3, 0)


def test_a_reservation_is_no_money_that_could_be_captured_or_given_back() -> None:
    hall = a_site()
    ruling = hall.rule(reserve())
    assert hall.reason(DESK.capture(ruling)) is Reason.NOT_HELD
    assert enter(hall) is Reason.NONE
    assert hall.reason(DESK.refund(ruling, 1)) is Reason.EXCEEDS_PAID
    assert hall.reason(DESK.void(ruling)) is Reason.NOT_HELD


def test_a_slot_is_reserved_from_its_day_on_until_it_is_over() -> None:
    hall = a_site()
    asked = reserve(opens_ms=NOW)
    assert hall.reason(asked, now_ms=NOW - 1) is Reason.NOT_YET_RESERVABLE
    assert hall.reason(reserve(opens_ms=NOW), now_ms=NOW) is Reason.NONE
    assert hall.reason(reserve(), now_ms=AM.ends_ms - 1) is Reason.NONE
    assert hall.reason(reserve(), now_ms=AM.ends_ms) is Reason.OUTSIDE_HOURS


def test_a_holder_keeps_so_many_reservations_at_a_time() -> None:
    hall = a_site(places=100)
    for _ in range(MOST_RESERVATIONS):
        hall.rule(reserve())
    assert hall.reason(reserve()) is Reason.ALREADY_RESERVED


def test_a_card_that_is_lost_reserves_nothing_and_lets_nobody_use_what_was_reserved() -> None:
    lost = (StatusPeriod(CardStatus.NORMAL, 0), StatusPeriod(CardStatus.FORMALLY_LOST, NOW - HOUR))
    hall = a_site(replace(QUOTA, reservations=Reservations.REQUIRED))
    hall.rule(reserve())
    account = hall.book.accounts["A"]
    hall.book.locked[ANN] = hall.book.accounts["A"] = holder(ANN, 1_000, a_card("A", lost))  # type: ignore[index]
    hall.book.accounts["A"].usage = account.usage
    assert hall.reason(reserve()) is Reason.CARD_LOST
    assert enter(hall) is Reason.NONE, "the city pays the site until the hotlist is out"
    assert len(reservations(hall.book.accounts["A"].usage)) == 1
    assert hall.funds(MORNING) == (2, 1)


def test_an_admission_stands_in_the_journal_beside_the_verdict_of_the_tap() -> None:
    hall = a_site()
    ruling = hall.rule(reserve())
    tap = Tap(GATE, next(_sequences), b"d" * 32, "A", NOW, None)
    journal = hall.post(taps=[tap])
    (decided,), (admitted,) = journal.decided, journal.admitted
    assert (decided.verdict.row, admitted.row, journal.row) == (0, 1, 2)
    place = next(leg for leg in journal.legs if leg.code is Code.ADMISSION)
    assert (place.row, place.currency, place.amount_fen) == (1, PLACES, 1)
    ruled = requests.admission(admitted)
    assert (ruled.ruling.moved_fen, ruled.ruling.payment) == (1, ruling.payment)
    assert requests.admission_of(ruled.operation.request.body) == admitted.admission


def test_a_request_is_the_same_whatever_the_rules_say_later() -> None:
    first = reserve(name="same")
    later = requests.reserve(
        GATE, "same", "A", AM._replace(ends_ms=AM.ends_ms + HOUR, places=9), 1, first.terms._replace(most_places=9)
    )
    assert first.request.digest == later.request.digest
    assert reserve(2, name="same").request.digest != first.request.digest
    again = requests.again(GATE, "same", first.request.body, 0)
    assert again == first


def test_the_slots_of_a_file() -> None:
    quota = read("example-site/garden.toml").quota
    assert quota is not None
    slots = list(quota.day("GARDEN", service_day(NOW)))
    assert [(slot.begins_ms - MIDNIGHT, slot.ends_ms - MIDNIGHT, slot.places) for slot in slots] == [
        (8 * HOUR, 12 * HOUR, 3000),
        (12 * HOUR, 17 * HOUR + 30 * MINUTE, 4000),
    ]
    assert slots[0].name == "places GARDEN 2026-09-22 08:00"
    assert quota.reservable_from_ms(slots[1]) == MIDNIGHT - 7 * DAY
    assert [slot.begins_ms for slot in quota.near("GARDEN", MIDNIGHT + 12 * HOUR)] == [slot.begins_ms for slot in slots]


def test_a_window_that_begins_at_midnight_lets_in_a_little_before() -> None:
    night = replace(QUOTA, windows=(Window(0, 24 * 60, 3),))
    near = [slot.begins_ms for slot in night.near("PARK", MIDNIGHT - 10 * MINUTE)]
    assert near == [MIDNIGHT - DAY, MIDNIGHT]


def test_rulings_name_whose_they_are() -> None:
    hall = a_site()
    ruling: Ruling = hall.rule(reserve(card="B"))
    assert ruling.account_id == BOB
