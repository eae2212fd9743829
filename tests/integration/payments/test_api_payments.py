"""PaymentsService on real processes: what a terminal asks, what it is answered, and what nobody answers."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import outcomes_pb2, payments_pb2
from onecard.payments.v1.outcomes_pb2 import Reason
from onecard.payments.v1.payments_pb2 import (
    DECISION_APPROVED,
    DECISION_DECLINED,
    PAYMENT_STATUS_CAPTURED,
    PAYMENT_STATUS_DECLINED,
    PAYMENT_STATUS_EXPIRED,
    PAYMENT_STATUS_HELD,
    PAYMENT_STATUS_VOIDED,
    Receipt,
)
from services.payments.domain.card import CardStatus
from services.payments.handlers.operate import Operate
from services.payments.handlers.sweep import Sweep
from tests.support.api import Api, till_subject
from tests.support.client import Client, reference, refused, refused_saying
from tests.support.office import new_id
from tests.support.town import BUS, CAMPUS, LONG_AGO_MS, card_identifier, card_state, now_ms
from tests.support.waiting import until

INVALID, MISSING, TAKEN = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS


@pytest.fixture
async def till(api: Api) -> Client:
    return api.till()


def outcome(receipt: Receipt) -> tuple[int, int]:
    """What was decided, and on how much."""
    return receipt.decision, receipt.amount.amount_fen


def why(receipt: Receipt) -> str:
    """Why it was declined: a reason for programs, and a word for people."""
    assert receipt.decision == DECISION_DECLINED
    assert receipt.message
    return outcomes_pb2.Reason.Name(receipt.reason).removeprefix("REASON_")


async def stands(till: Client, payment: str) -> tuple[int, int, int, int]:
    """(status, held, captured, refunded) of a payment."""
    found = await till.payment(payment)
    return found.status, found.held.amount_fen, found.captured.amount_fen, found.refunded.amount_fen


# The ordinary way


async def test_a_payment_in_one_step_takes_the_money_and_says_where_it_is_written(api: Api, till: Client) -> None:
    card, name, began_ms = api.new_card(), new_id("pay"), now_ms()
    receipt = await till.pay(card, 700, name)
    assert outcome(receipt) == (DECISION_APPROVED, 700)
    assert (receipt.reason, receipt.message) == (Reason.REASON_UNSPECIFIED, "")
    assert began_ms <= receipt.decide_time_ms <= now_ms()
    assert receipt.batch_number > 0
    assert await api.town.balance(card) == 9_300
    by_id, by_name = await till.payment(receipt.payment_id), await till.payment(name)
    assert by_id == by_name
    assert by_id == payments_pb2.Payment(
        payment_id=receipt.payment_id,
        authorize_request_id=name,
        status=PAYMENT_STATUS_CAPTURED,
        amount=Money(amount_fen=700),
        held=Money(),
        captured=Money(amount_fen=700),
        refunded=Money(),
        decide_time_ms=receipt.decide_time_ms,
    )


async def test_a_hold_is_captured_in_parts_and_the_rest_is_let_go(api: Api, till: Client) -> None:
    card = api.new_card()
    held = await till.authorize(card, 1_000, hold_seconds=60)
    assert outcome(held) == (DECISION_APPROVED, 1_000)
    assert await stands(till, held.payment_id) == (PAYMENT_STATUS_HELD, 1_000, 0, 0)
    assert (await till.payment(held.payment_id)).expire_time_ms == held.decide_time_ms + 60_000
    first = await till.capture(held.payment_id, 300, more=True)
    assert outcome(first) == (DECISION_APPROVED, 300)
    assert first.payment_id == held.payment_id
    assert await stands(till, held.payment_id) == (PAYMENT_STATUS_HELD, 700, 300, 0)
    assert why(await till.capture(held.payment_id, 701)) == "EXCEEDS_HOLD"
    assert outcome(await till.capture(held.payment_id, 200)) == (DECISION_APPROVED, 200)
    assert await stands(till, held.payment_id) == (PAYMENT_STATUS_CAPTURED, 0, 500, 0)
    assert why(await till.capture(held.payment_id, 1)) == "NOT_HELD"
    assert await api.town.balance(card) == 9_500


async def test_a_capture_without_an_amount_takes_all_that_is_held(api: Api, till: Client) -> None:
    held = await till.authorize(api.new_card(), 1_000)
    assert outcome(await till.capture(held.payment_id)) == (DECISION_APPROVED, 1_000)


async def test_a_hold_lives_for_a_week_unless_its_caller_says_otherwise(api: Api, till: Client) -> None:
    held = await till.authorize(api.new_card(), 1)
    assert (await till.payment(held.payment_id)).expire_time_ms == held.decide_time_ms + 7 * 24 * 3_600_000


async def test_held_money_is_nobody_elses(api: Api, till: Client) -> None:
    card = api.new_card()
    held = await till.authorize(card, 9_000)
    assert why(await api.till(1).pay(card, 1_001)) == "INSUFFICIENT_FUNDS"
    await till.void(held.payment_id)
    assert outcome(await till.pay(card, 1_001)) == (DECISION_APPROVED, 1_001)


async def test_a_void_lets_a_hold_go_and_takes_a_payment_back(api: Api, till: Client) -> None:
    card = api.new_card()
    for payment in (await till.authorize(card, 1_000), await till.pay(card, 700)):
        assert outcome(await till.void(payment.payment_id)) == (DECISION_APPROVED, payment.amount.amount_fen)
        assert why(await till.void(payment.payment_id)) == "NOT_HELD"
    assert await api.town.balance(card) == 10_000


async def test_refunds_give_back_what_was_paid_and_never_more(api: Api, till: Client) -> None:
    card = api.new_card()
    paid = await till.pay(card, 700)
    assert outcome(await till.refund(paid.payment_id, 300)) == (DECISION_APPROVED, 300)
    assert await stands(till, paid.payment_id) == (PAYMENT_STATUS_CAPTURED, 0, 700, 300)
    assert why(await till.refund(paid.payment_id, 401)) == "EXCEEDS_PAID"
    assert outcome(await till.refund(paid.payment_id)) == (DECISION_APPROVED, 400)
    assert why(await till.refund(paid.payment_id)) == "EXCEEDS_PAID"
    assert await api.town.balance(card) == 10_000


async def test_a_payment_is_found_by_either_of_its_names(api: Api, till: Client) -> None:
    name = new_id("hold")
    held = await till.authorize(api.new_card(), 1_000, name)
    assert (await till.capture(name, 400)).payment_id == held.payment_id
    assert (await till.refund(name, 100)).payment_id == held.payment_id
    assert await stands(till, name) == await stands(till, held.payment_id) == (PAYMENT_STATUS_CAPTURED, 0, 400, 100)


async def test_a_hold_that_has_run_out_is_swept_and_cannot_be_captured(api: Api, till: Client) -> None:
    card = api.new_card()
    held = await till.authorize(card, 1_000, hold_seconds=1)
    sweep = Sweep(api.engine, Operate(api.town.ledger))

    async def swept() -> bool:
        async with api.engine.connect() as connection:
            await sweep.holds(connection)
        return (await till.payment(held.payment_id)).status == PAYMENT_STATUS_EXPIRED

    await until("the hold is swept", swept)
    assert why(await till.capture(held.payment_id)) == "NOT_HELD"
    assert outcome(await till.pay(card, 10_000)) == (DECISION_APPROVED, 10_000)


# Declines


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (CardStatus.SEALED, "CARD_SEALED"),
        (CardStatus.FORMALLY_LOST, "CARD_LOST"),
        (CardStatus.TEMPORARILY_LOST, "CARD_LOST"),
        (CardStatus.LOCKED, "CARD_LOCKED"),
        (CardStatus.CANCELLED, "CARD_CANCELLED"),
    ],
)
async def test_a_card_that_is_not_normal_cannot_pay(api: Api, till: Client, status: CardStatus, reason: str) -> None:
    card, name = api.new_card(), new_id("pay")
    await api.project(card_state(card, periods=[(CardStatus.NORMAL, LONG_AGO_MS, 0), (status, now_ms() - 1, 0)], version=2))
    assert why(await till.pay(card, 1, name)) == reason
    found = await till.payment(name)
    assert (found.status, found.payment_id, found.amount.amount_fen) == (PAYMENT_STATUS_DECLINED, "", 1)
    assert outcomes_pb2.Reason.Name(found.reason) == f"REASON_{reason}"
    assert found.message


async def test_nobody_pays_more_than_there_is_or_than_the_city_allows(api: Api, till: Client) -> None:
    card, bus = api.new_card(), api.till(0, BUS)
    assert why(await till.pay(card, 10_001)) == "INSUFFICIENT_FUNDS"
    assert why(await till.pay(card, 100_001)) == "OVER_PAYMENT_LIMIT"
    await api.window().top_up(card, 400_000)
    await till.pay(card, 15_000)
    assert why(await till.pay(card, 5_001)) == "OVER_CATEGORY_LIMIT"
    for fen in (100_000, 100_000, 85_000):
        assert outcome(await bus.pay(card, fen)) == (DECISION_APPROVED, fen)
    assert why(await bus.pay(card, 1)) == "OVER_DAY_LIMIT"
    assert await api.town.balance(card) == 110_000


async def test_nobody_pays_more_often_than_the_city_allows(api: Api, till: Client) -> None:
    card = api.new_card()
    receipts = await asyncio.gather(*(till.pay(card, 1) for _ in range(64)))
    declined = [why(receipt) for receipt in receipts if receipt.decision == DECISION_DECLINED]
    assert declined == ["OVER_DAY_COUNT"] * 14


# Identity


async def test_a_repeat_is_answered_with_the_very_same_receipt(api: Api, till: Client) -> None:
    card = api.new_card()
    for fen in (700, 100_001):
        name = new_id("same")
        first = await till.pay(card, fen, name)
        await api.window().top_up(card, 1)
        others = [api.till() for _ in range(8)]  # some of them speak with the other process
        assert {(await other.pay(card, fen, name)).SerializeToString() for other in others} == {first.SerializeToString()}


async def test_repeats_of_every_operation_change_nothing(api: Api, till: Client) -> None:
    card = api.new_card()
    held = await till.authorize(card, 1_000)
    paid = await till.pay(card, 500)

    async def twice(operation: Callable[..., Any], *asked: Any) -> Receipt:
        name = new_id("twice")
        first = await operation(*asked, request_id=name)
        assert await operation(*asked, request_id=name) == first
        assert isinstance(first, Receipt)
        return first

    assert outcome(await twice(till.capture, held.payment_id, 600)) == (DECISION_APPROVED, 600)
    assert outcome(await twice(till.refund, held.payment_id, 100)) == (DECISION_APPROVED, 100)
    assert outcome(await twice(till.void, paid.payment_id)) == (DECISION_APPROVED, 500)
    assert outcome(await twice(api.window().top_up, card, 50)) == (DECISION_APPROVED, 50)
    assert await api.town.balance(card) == 10_000 - 600 + 100 + 50


async def test_the_same_id_with_another_body_is_refused_and_the_first_verdict_stays(api: Api, till: Client) -> None:
    card, name = api.new_card(), new_id("taken")
    first = await till.pay(card, 700, name)
    others = [
        till.pay(card, 701, name),
        till.pay(api.new_card(), 700, name),
        till.authorize(card, 700, name),
        till.refund(first.payment_id, 700, name),
        till.void(first.payment_id, name),
    ]
    assert [await refused(other) for other in others] == [(TAKEN, "IDENTITY_CONFLICT")] * len(others)
    assert await till.pay(card, 700, name) == first
    assert await api.town.balance(card) == 9_300


async def test_the_same_id_of_another_till_is_another_payment(api: Api, till: Client) -> None:
    card, name = api.new_card(), new_id("mine")
    assert (await till.pay(card, 700, name)).payment_id != (await api.till(1).pay(card, 700, name)).payment_id
    assert await api.town.balance(card) == 8_600


async def test_64_copies_at_once_over_64_connections_and_two_processes_pay_once(api: Api) -> None:
    card, name = api.new_card(), new_id("copies")
    before = [process.answered("Authorize") for process in api.processes]
    tills = [api.till(2) for _ in range(64)]
    await asyncio.gather(*(asyncio.wait_for(till.channel.channel_ready(), 20) for till in tills))
    receipts = await asyncio.gather(*(till.pay(card, 700, name) for till in tills))
    assert len({receipt.SerializeToString() for receipt in receipts}) == 1
    assert await api.town.balance(card) == 9_300
    served = [process.answered("Authorize") - was for process, was in zip(api.processes, before, strict=True)]
    assert sum(served) == 64
    assert min(served) > 0, "both processes must have served"


async def test_of_64_payments_at_once_exactly_those_that_the_limit_allows_apply(api: Api) -> None:
    card = api.new_card()
    await api.window().top_up(card, 100_000)
    tills = [api.till(number % 8) for number in range(16)]
    receipts = await asyncio.gather(*(tills[number % 16].pay(card, 2_000) for number in range(64)))
    assert sum(receipt.decision == DECISION_APPROVED for receipt in receipts) == 10
    assert {why(receipt) for receipt in receipts if receipt.decision == DECISION_DECLINED} == {"OVER_CATEGORY_LIMIT"}
    assert await api.town.balance(card) == 90_000


async def test_of_many_changes_to_one_payment_at_once_over_two_processes_only_what_it_bears_applies(api: Api) -> None:
    tills, card = [api.till(5) for _ in range(16)], api.new_card()
    held = await tills[0].authorize(card, 1_000)
    captures = await asyncio.gather(*(till.capture(held.payment_id, 150, more=True) for till in tills))
    assert sum(receipt.decision == DECISION_APPROVED for receipt in captures) == 6
    paid = await tills[0].pay(card, 700)
    refunds = await asyncio.gather(*(till.refund(paid.payment_id, 100) for till in tills))
    assert sum(receipt.decision == DECISION_APPROVED for receipt in refunds) == 7
    wrong = await tills[0].pay(card, 500)
    voids = await asyncio.gather(*(till.void(wrong.payment_id) for till in tills))
    assert sum(receipt.decision == DECISION_APPROVED for receipt in voids) == 1
    assert await api.town.balance(card) == 10_000 - 6 * 150


# No verdict


async def test_of_an_unknown_card_nothing_is_stored_so_the_same_request_may_come_again(api: Api, till: Client) -> None:
    card, name = 999_001, new_id("unknown")
    assert await refused(till.pay(card, 1, name)) == (MISSING, "UNKNOWN_CARD")
    assert await refused(till.payment(name)) == (MISSING, "UNKNOWN_PAYMENT")
    await api.project(card_state(card))
    assert why(await till.pay(card, 1, name)) == "INSUFFICIENT_FUNDS"


async def test_a_payment_is_not_found_before_it_is_decided_and_found_afterwards(api: Api, till: Client) -> None:
    card, name = api.new_card(), new_id("later")
    assert await refused(till.payment(name)) == (MISSING, "UNKNOWN_PAYMENT")
    assert await refused(till.payment("0" * 32)) == (MISSING, "UNKNOWN_PAYMENT")
    receipt = await till.pay(card, 700, name)
    assert (await till.payment(name)).payment_id == receipt.payment_id


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
async def test_what_was_never_paid_can_be_neither_captured_nor_given_back(till: Client, operation: str) -> None:
    ask = getattr(till, operation)
    assert await refused(ask("f" * 32)) == (MISSING, "UNKNOWN_PAYMENT")
    if operation != "void":  # which bars the way
        assert await refused(ask(new_id("never"))) == (MISSING, "UNKNOWN_PAYMENT")


async def test_a_void_of_a_payment_that_never_arrived_bars_its_way(api: Api, till: Client) -> None:
    card, name = api.new_card(), new_id("late")
    assert outcome(await till.void(name)) == (DECISION_APPROVED, 0)
    for _ in range(2):
        assert why(await till.pay(card, 700, name)) == "VOIDED"
    found = await till.payment(name)
    assert (found.status, found.reason) == (PAYMENT_STATUS_DECLINED, Reason.REASON_VOIDED)
    assert await api.town.balance(card) == 10_000


async def test_a_void_of_a_hold_that_is_partly_captured_keeps_what_was_captured(api: Api, till: Client) -> None:
    card = api.new_card()
    held = await till.authorize(card, 1_000)
    await till.capture(held.payment_id, 300, more=True)
    assert outcome(await till.void(held.payment_id)) == (DECISION_APPROVED, 700)
    assert await stands(till, held.payment_id) == (PAYMENT_STATUS_CAPTURED, 0, 300, 0)
    unused = await till.authorize(card, 1_000)
    await till.void(unused.payment_id)
    assert await stands(till, unused.payment_id) == (PAYMENT_STATUS_VOIDED, 0, 0, 0)


GOOD = {"request_id": "x-1", "card_identifier": card_identifier(0), "amount": Money(amount_fen=1)}
OF_A_PAYMENT: dict[str, Any] = {"request_id": "x-1", "payment": reference("hold-1")}


def _authorize(**wrong: Any) -> tuple[str, Any]:
    return "Authorize", payments_pb2.AuthorizeRequest(**{**GOOD, **wrong})


def _capture(**wrong: Any) -> tuple[str, Any]:
    return "Capture", payments_pb2.CaptureRequest(**{**OF_A_PAYMENT, **wrong})


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (_authorize(request_id=""), "request_id"),
        (_authorize(request_id="x" * 65), "request_id"),
        (_authorize(request_id="two words"), "request_id"),
        (_authorize(request_id="号"), "request_id"),
        (_authorize(request_id="a\0b"), "request_id"),
        (_authorize(card_identifier=""), "card_identifier"),
        (_authorize(card_identifier="4" * 33), "card_identifier"),
        (_authorize(card_identifier="卡"), "card_identifier"),
        (_authorize(amount=None), "amount"),
        (_authorize(amount=Money(amount_fen=0)), "amount"),
        (_authorize(amount=Money(amount_fen=-1)), "amount"),
        (_authorize(amount=Money(amount_fen=2**63 - 1)), "amount"),
        (_authorize(amount=Money(amount_fen=1, currency="HKD")), "amount"),
        (_authorize(amount=Money(amount_fen=1, currency="¥")), "amount"),
        (_authorize(hold_seconds=-1), "hold_seconds"),
        (_authorize(hold_seconds=30 * 24 * 3600 + 1), "hold_seconds"),
        (_capture(request_id=""), "request_id"),
        (_capture(payment=None), "payment"),
        (_capture(payment=payments_pb2.PaymentReference()), "payment"),
        (_capture(payment=payments_pb2.PaymentReference(payment_id="")), "payment_id"),
        (_capture(payment=payments_pb2.PaymentReference(payment_id="z" * 32)), "payment_id"),
        (_capture(payment=payments_pb2.PaymentReference(payment_id="0" * 34)), "payment_id"),
        (_capture(payment=reference("")), "authorize_request_id"),
        (_capture(payment=reference("x" * 65)), "authorize_request_id"),
        (_capture(amount=Money(amount_fen=0)), "amount"),
        (_capture(amount=Money(amount_fen=1, currency="MOP")), "amount"),
        (("Void", payments_pb2.VoidRequest(request_id="x-1")), "payment"),
        (("Void", payments_pb2.VoidRequest(request_id="hold-1", payment=reference("hold-1"))), "request_id"),
        (("Refund", payments_pb2.RefundRequest(request_id="", payment=reference("hold-1"))), "request_id"),
        (("Refund", payments_pb2.RefundRequest(**OF_A_PAYMENT, amount=Money(amount_fen=-1))), "amount"),
        (("GetPayment", payments_pb2.GetPaymentRequest()), "payment"),
    ],
)
async def test_a_request_that_makes_no_sense_names_its_field(till: Client, call: tuple[str, Any], field: str) -> None:
    method, request = call
    code, reason, message = await refused_saying(getattr(till.payments, method)(request, timeout=10))
    assert (code, reason) == (INVALID, "BAD_REQUEST")
    assert message.startswith(f"{field}: ")


async def test_what_is_logged_of_a_refusal_names_neither_the_card_nor_what_it_was_to_pay(api: Api, till: Client) -> None:
    card, fen, name = api.new_card(), 13_337, new_id("logged")
    await till.pay(card, 100, name)
    await refused(till.pay(card, fen, name))
    await refused(till.pay(999_002, fen))
    await refused(till.balance(card))
    await refused(api.window().top_up(card, fen, source=0))
    assert why(await till.pay(card, fen)) == "INSUFFICIENT_FUNDS"
    reasons = ("IDENTITY_CONFLICT", "UNKNOWN_CARD", "WINDOW_RIGHT_NEEDED", "BAD_REQUEST")
    await until("it is logged", lambda: all(f'"reason": "{reason}"' in api.log for reason in reasons))
    assert card_identifier(card) not in api.log
    assert re.search(rf"\b{fen}\b", api.log) is None


# Deadlines


async def test_a_payment_whose_deadline_passed_while_it_was_posted_is_found_by_its_id(api: Api, till: Client) -> None:
    card, name = api.new_card(), new_id("slow")
    await till.channel.channel_ready()
    async with api.lock_held(card):
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await till.pay(card, 700, name, timeout=2)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await refused(till.payment(name)) == (MISSING, "UNKNOWN_PAYMENT")

    async def decided() -> bool:
        try:
            return (await till.payment(name)).status == PAYMENT_STATUS_CAPTURED
        except grpc.aio.AioRpcError:
            return False

    await until("the payment is decided", decided)
    assert outcome(await till.pay(card, 700, name)) == (DECISION_APPROVED, 700)
    assert await api.town.balance(card) == 9_300


async def test_a_payment_whose_deadline_passed_before_its_turn_is_not_posted(api: Api, till: Client) -> None:
    held_up, card, name = [api.new_card() for _ in range(4)], api.new_card(), new_id("late")
    await till.channel.channel_ready()
    async with api.lock_held(*held_up):
        others = []
        for other in held_up:  # one after the other, so that each lane has one
            others.append(asyncio.ensure_future(till.pay(other, 1)))
            await asyncio.sleep(0.1)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await till.pay(card, 700, name, timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.2)  # the server's clock may be a moment behind
    await asyncio.gather(*others)
    assert await refused(till.payment(name)) == (MISSING, "UNKNOWN_PAYMENT")
    assert await api.town.balance(card) == 10_000
    assert outcome(await till.pay(card, 700, name)) == (DECISION_APPROVED, 700)


# Cards that nobody tells of


async def test_while_the_cards_are_not_heard_of_nobody_pays_but_everything_else_goes_on(api: Api) -> None:
    alone = Api(api.database, api.folder / "stale", api.engine, api.town)
    card = api.new_card()
    try:
        await alone.start(ONECARD_PROJECTION_LIMIT_SECONDS="6").serves()
        till = alone.client(till_subject(0, CAMPUS))
        paid, held = await till.pay(card, 700), await till.authorize(card, 500)
        await api.stop_beating()

        async def stale() -> bool:
            try:
                await till.pay(card, 1)
            except grpc.aio.AioRpcError:
                return True
            return False

        await until("nobody knows how cards stand", stale)
        assert await refused(till.pay(card, 1)) == (grpc.StatusCode.UNAVAILABLE, "PROJECTION_STALE")
        assert (await till.payment(paid.payment_id)).status == PAYMENT_STATUS_CAPTURED
        assert outcome(await till.capture(held.payment_id, 200)) == (DECISION_APPROVED, 200)
        assert outcome(await till.refund(held.payment_id)) == (DECISION_APPROVED, 200)
        assert outcome(await till.void(paid.payment_id)) == (DECISION_APPROVED, 700)
        api.begin_to_beat()

        async def fresh() -> bool:
            return not await stale()

        await until("payments go on", fresh)
    finally:
        await alone.close()
        await api.stop_beating()
        api.begin_to_beat()
