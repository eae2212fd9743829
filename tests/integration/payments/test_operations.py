"""Online operations on the real database: each has one verdict, and no purse ever holds what it does not have."""

import asyncio
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from services.payments.adapters import requests
from services.payments.adapters.ledger import Point
from services.payments.domain.operation import Operation, PaymentReference, Problem
from services.payments.domain.payment import PaymentStatus
from services.payments.domain.transfer import payment_id
from services.payments.domain.verdict import Reason
from services.payments.handlers.find_payment import find_payment
from tests.support.office import BANK, HOUR_MS, Gate, Office, another_process, new_id, reference
from tests.support.town import FIRST_ACCOUNT, Database, card_state, now_ms
from tests.support.waiting import until


async def test_a_one_step_payment_takes_the_money_at_once(office: Office) -> None:
    ruling = await office.rule(office.pay(0, 700))
    assert (ruling.reason, ruling.amount_fen, ruling.moved_fen) == (Reason.NONE, 700, 700)
    assert await office.funds(0) == (9_300, 0)


async def test_a_hold_is_captured_in_parts_and_the_rest_let_go(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    assert await office.funds(0) == (10_000, 1_000)
    assert await office.reason(office.capture(held, 300, more=True)) is Reason.NONE
    assert await office.funds(0) == (9_700, 700)
    assert await office.reason(office.capture(held, 701)) is Reason.EXCEEDS_HOLD
    assert await office.reason(office.capture(held, 200)) is Reason.NONE
    assert await office.funds(0) == (9_500, 0)
    assert await office.reason(office.capture(held, 1)) is Reason.NOT_HELD


async def test_a_void_lets_a_hold_go_and_a_second_one_finds_nothing(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    assert await office.reason(office.void(held)) is Reason.NONE
    assert await office.funds(0) == (10_000, 0)
    assert await office.reason(office.void(held)) is Reason.NOT_HELD
    assert await office.reason(office.capture(held)) is Reason.NOT_HELD


async def test_a_void_takes_a_one_step_payment_back(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700))
    assert await office.reason(office.void(paid)) is Reason.NONE
    assert await office.funds(0) == (10_000, 0)
    assert await office.reason(office.void(paid)) is Reason.NOT_HELD
    assert await office.reason(office.refund(paid)) is Reason.EXCEEDS_PAID


async def test_refunds_never_exceed_what_was_paid(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700))
    assert await office.reason(office.refund(paid, 300)) is Reason.NONE
    assert await office.reason(office.refund(paid, 401)) is Reason.EXCEEDS_PAID
    assert await office.reason(office.void(paid)) is Reason.NOT_HELD
    assert await office.reason(office.refund(paid)) is Reason.NONE
    assert await office.reason(office.refund(paid, 1)) is Reason.EXCEEDS_PAID
    assert await office.funds(0) == (10_000, 0)


async def test_a_void_bars_the_way_of_a_payment_that_comes_later(office: Office) -> None:
    name = new_id("late")
    assert await office.reason(office.void(name)) is Reason.NONE
    (late,) = await office.ask(office.pay(0, 700, request_id=name))
    assert late.ruling is not None
    assert late.ruling.reason is Reason.VOIDED
    assert await office.funds(0) == (10_000, 0)


async def test_a_repeat_gets_the_first_verdict_and_another_body_a_conflict(office: Office) -> None:
    name = new_id("same")
    too_much = office.pay(0, 10_001, request_id=name)
    first = await office.rule(too_much)
    assert first.reason is Reason.INSUFFICIENT_FUNDS
    async with office.engine.begin() as connection:
        await connection.execute(text("update payments.account set credits_posted_fen = credits_posted_fen where id = 1"))
    (again,) = await office.ask(too_much)
    assert (again.ruling, again.repeated) == (first, True)
    (other,) = await office.ask(office.pay(0, 5, request_id=name))
    assert other.problem is Problem.CONFLICT


async def test_64_copies_at_once_before_two_processes_apply_once(office: Office, rival: Office) -> None:
    payment = office.pay(0, 700)
    answers = await asyncio.gather(*((office, rival)[n % 2].ask(payment) for n in range(64)))
    assert len({answer.ruling for (answer,) in answers}) == 1
    assert sum(answer.repeated for (answer,) in answers) == 63
    assert await office.funds(0) == (9_300, 0)


async def test_64_bodies_under_one_name_apply_once_and_conflict_otherwise(office: Office, rival: Office) -> None:
    name = new_id("same")
    answers = await asyncio.gather(
        *((office, rival)[n % 2].ask(office.pay(n % 4, 100 + n, request_id=name)) for n in range(64))
    )  # fmt: skip
    (ruling,) = {answer.ruling for (answer,) in answers if answer.ruling is not None}
    assert sum(answer.problem is Problem.CONFLICT for (answer,) in answers) == 63
    balances = [(await office.funds(card))[0] for card in range(4)]
    assert sum(balances) == 40_000 - ruling.amount_fen


async def test_another_body_is_a_conflict_also_where_it_could_not_be_decided(office: Office, rival: Office) -> None:
    name = new_id("same")
    first = await office.rule(office.pay(0, 700, request_id=name))
    nobody = new_id("never-made")
    for asked in (
        office.pay(99, 700, request_id=name),
        requests.capture(office.till, name, reference(nobody), 5, more_to_come=False),
        requests.refund(office.till, name, reference(nobody), None),
        requests.top_up(office.till, name, FIRST_ACCOUNT + 99, BANK, 5),
    ):
        for process in (office, rival):
            (answer,) = await process.ask(asked)
            assert answer.problem is Problem.CONFLICT
    assert await rival.rule(office.pay(0, 700, request_id=name)) == first


async def test_a_name_is_known_for_ever(office: Office, rival: Office) -> None:
    """What was posted in month 1 and is asked again in month 14 posts nothing: rulings are never folded nor detached."""
    paid, declined = office.pay(0, 700), office.pay(0, 10_001)
    first = await office.ask(paid, declined)
    later = now_ms() + 14 * 31 * 24 * HOUR_MS
    for operations in ([paid], [declined], [paid, declined]):
        answers = await rival.ledger.operate(operations, later, read_all=True)
        wanted = [answer.ruling for operation, answer in zip((paid, declined), first, strict=True) if operation in operations]
        assert [answer.ruling for answer in answers] == wanted
        assert all(answer.repeated for answer in answers)
    assert await office.funds(0) == (9_300, 0)


# Races, one winner each


async def test_capture_void_and_expiry_race_and_one_wins(office: Office, rival: Office) -> None:
    won: Counter[str] = Counter()
    for turn in range(12):
        held = await office.rule(office.hold(1, 100, hold_ms=1))
        await asyncio.sleep(0.003)
        rivals = {
            "capture": office.capture(held),
            "part": office.capture(held, 60),
            "void": office.void(held),
            "expiry": office.expire(held),
        }
        names = list(rivals)[turn % 4 :] + list(rivals)[: turn % 4]
        reasons = await asyncio.gather(*((office, rival)[n % 2].reason(rivals[name]) for n, name in enumerate(names)))
        assert Counter(reasons) == {Reason.NONE: 1, Reason.NOT_HELD: 3}
        winner = names[reasons.index(Reason.NONE)]
        won[winner] += 1
        payment = await office.payment(held)
        assert payment.status is {
            "capture": PaymentStatus.CAPTURED,
            "part": PaymentStatus.CAPTURED,
            "void": PaymentStatus.VOIDED,
            "expiry": PaymentStatus.EXPIRED,
        }[winner]  # fmt: skip
    taken = won["capture"] * 100 + won["part"] * 60
    assert await office.funds(1) == (10_000 - taken, 0)
    assert (await office.sums(office.till.payable_account)).credits_pending_fen == 0


async def test_after_expiry_the_balance_is_what_it_was(office: Office) -> None:
    meals = await office.open_purse(0, 300)
    before = await office.funds(0), await office.available(meals)
    held = await office.rule(office.hold(0, 1_000, hold_ms=1))
    assert (await office.funds(0), await office.available(meals)) == ((10_000, 700), 0)
    await asyncio.sleep(0.003)
    assert await office.reason(office.expire(held)) is Reason.NONE
    assert (await office.funds(0), await office.available(meals)) == before
    payee = await office.sums(office.till.payable_account)
    assert (payee.balance_fen, payee.credits_pending_fen) == (0, 0)


async def test_an_early_sweeper_leaves_the_name_of_the_expiry_free(office: Office) -> None:
    held = await office.rule(office.hold(0, 1_000, hold_ms=3_000))
    (early,) = await office.ask(office.expire(held))
    assert early.problem is Problem.NOT_DUE
    await asyncio.sleep(3.01)
    assert await office.reason(office.expire(held)) is Reason.NONE


async def test_two_sweepers_ask_for_the_same(office: Office, rival: Office) -> None:
    held = await office.rule(office.hold(0, 1_000, hold_ms=1))
    await asyncio.sleep(0.003)
    rulings = await asyncio.gather(*((office, rival)[n % 2].rule(office.expire(held)) for n in range(8)))
    assert len(set(rulings)) == 1
    assert rulings[0].reason is Reason.NONE


async def test_partial_captures_at_once_never_exceed_the_hold(office: Office, rival: Office) -> None:
    held = await office.rule(office.hold(0, 1_000))
    captures = [office.capture(held, 130, more=True) for _ in range(20)]
    reasons = Counter(await asyncio.gather(*((office, rival)[n % 2].reason(one) for n, one in enumerate(captures))))
    assert reasons == {Reason.NONE: 7, Reason.EXCEEDS_HOLD: 13}
    assert await office.funds(0) == (9_090, 90)


@pytest.mark.parametrize("how", ["void", "refund"])
async def test_many_reversals_at_once_under_different_names_and_one_applies(office: Office, rival: Office, how: str) -> None:
    paid = await office.rule(office.pay(0, 700))
    back = [office.void(paid) if how == "void" else office.refund(paid) for _ in range(32)]
    reasons = Counter(await asyncio.gather(*((office, rival)[n % 2].reason(one) for n, one in enumerate(back))))
    assert reasons == {Reason.NONE: 1, (Reason.NOT_HELD if how == "void" else Reason.EXCEEDS_PAID): 31}
    assert await office.funds(0) == (10_000, 0)


async def test_a_reversal_and_refunds_at_once_give_back_no_more_than_was_paid(office: Office, rival: Office) -> None:
    for _ in range(5):
        paid = await office.rule(office.pay(0, 700))
        back = [office.void(paid), *(office.refund(paid, 300) for _ in range(4)), office.refund(paid)]
        rulings = await asyncio.gather(*((office, rival)[n % 2].rule(one) for n, one in enumerate(back)))
        assert sum(ruling.moved_fen for ruling in rulings) == (await office.payment(paid)).refunded_fen <= 700
    assert (await office.funds(0))[0] <= 10_000


# A payment and its void, in either order and wherever they meet


async def nothing_was_taken(office: Office, name: str, later: Operation, card: int = 0) -> None:
    """After an approved void: neither now nor by a copy that comes late."""
    (late,) = await office.ask(later)
    assert late.ruling is not None
    assert await office.funds(card) == (10_000, 0)
    found = await find_payment(office.engine, office.till, reference(name))
    assert found is not None
    assert found.payment is None or found.payment.paid_fen == found.payment.held_fen == 0


@pytest.mark.parametrize("ask", [Office.pay, Office.hold])
async def test_a_payment_and_its_void_race_and_no_money_is_taken(
    office: Office, rival: Office, ask: Callable[..., Operation]
) -> None:
    for _ in range(20):
        name = new_id("raced")
        payment = ask(office, 0, 700, request_id=name)
        paid, voided = await asyncio.gather(office.rule(payment), rival.rule(office.void(name)))
        assert voided.reason is Reason.NONE
        assert paid.reason in (Reason.NONE, Reason.VOIDED)
        await nothing_was_taken(office, name, payment)


@pytest.mark.parametrize("point", ["locked", "written"])
@pytest.mark.parametrize("first", ["payment", "void"])
async def test_a_void_that_meets_its_payment_half_way_takes_it_back(
    office: Office, database: Database, point: Point, first: str
) -> None:
    """One of them is stopped inside its transaction, in a batch of two, while the other one runs into it."""
    gate, name = Gate(point), new_id("met")
    payment, void = office.pay(0, 700, request_id=name), office.void(name)
    stops, runs = (payment, void) if first == "payment" else (void, payment)
    async with another_process(office, database, at=gate) as stopped:
        half_way = asyncio.create_task(stopped.ask(stops, office.pay(1, 1)))
        await gate.reached()
        other = asyncio.create_task(office.ask(runs))
        await asyncio.wait([other], timeout=0.3)
        gate.open()
        await asyncio.gather(half_way, other)
    assert await office.reason(void) is Reason.NONE
    await nothing_was_taken(office, name, payment)


async def test_a_void_beside_a_copy_of_its_payment_finds_the_one_that_was_made_a_moment_ago(
    office: Office, database: Database
) -> None:
    """The copy tells the batch that the payment was made, after the void had looked for it in vain."""
    gate, name = Gate("written"), new_id("moment")
    payment, void = office.pay(7, 700, request_id=name), office.void(name)
    (unknown,) = await office.ask(payment)
    assert unknown.problem is Problem.UNKNOWN_CARD
    await office.town.project(card_state(7))
    await office.rule(office.top_up(7, 10_000))
    async with another_process(office, database, at=gate) as stopped:
        made = asyncio.create_task(stopped.ask(payment, office.pay(1, 1)))
        await gate.reached()
        # This process has met the copy before, when its card was not known yet.
        beside = asyncio.create_task(office.ask(payment, void))
        await asyncio.wait([beside], timeout=0.3)
        assert not beside.done()
        gate.open()
        await made
        copy, voided = await beside
    assert copy.ruling is not None
    assert voided.ruling is not None
    assert (copy.ruling.moved_fen, copy.repeated, voided.ruling.reason) == (700, True, Reason.NONE)
    await nothing_was_taken(office, name, payment, card=7)


async def test_a_payment_that_is_being_made_is_not_there_yet_for_who_guesses_its_id(office: Office, database: Database) -> None:
    gate = Gate("written")
    async with another_process(office, database, at=gate) as stopped:
        now = now_ms()
        async with office.engine.begin() as connection:
            before = await connection.scalar(text("select nextval('payments.batch_number')")) or 0
        made = asyncio.create_task(stopped.ledger.operate([office.pay(0, 700), office.pay(1, 1)], now))
        await gate.reached()
        guessed = PaymentReference(payment_id(now, before + 1, 0), "")
        refund = requests.refund(office.till, new_id("refund"), guessed, None)
        # The other payment of the guesser waits for an account that the first batch has locked.
        asked = asyncio.create_task(office.ask(refund, office.pay(1, 1)))
        await until("it waits", office.somebody_waits)
        gate.open()
        (paid, _), (refused, _) = await made, await asked
    assert paid.ruling is not None
    assert paid.ruling.payment == guessed.payment
    assert refused.problem is Problem.UNKNOWN_PAYMENT
    assert await office.reason(refund) is Reason.NONE


# What the database itself holds


async def test_what_was_decided_online_is_append_only_for_the_application(office: Office, database: Database) -> None:
    await office.ask(office.pay(0, 700), office.hold(0, 100))
    application = await asyncpg.connect(database.application_url.replace("+asyncpg", ""))
    try:
        for statement in (
            "update payments.operation set reason = 0",
            "delete from payments.operation",
            "truncate payments.operation",
            "delete from payments.payment",
            "update payments.payment set amount_fen = 1",
            "update payments.payment set account_id = 1",
            "update payments.payment set held_fen = '{1}'",
            "update payments.payment set expire_time = now()",
            "insert into payments.caller_right (terminal, caller_right) values (1, 'overdraft')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(statement)
    finally:
        await application.close()


async def test_what_has_ended_stays_as_it_ended_whoever_writes(office: Office, database: Database) -> None:
    voided, captured = await office.rule(office.hold(0, 100)), await office.rule(office.hold(0, 100))
    expired = await office.rule(office.hold(0, 100, hold_ms=1))
    await asyncio.sleep(0.003)
    for ending in (office.void(voided), office.capture(captured), office.expire(expired)):
        assert await office.reason(ending) is Reason.NONE
    for url in (database.application_url, database.owner_url):
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for ruling in (voided, captured, expired):
                assert ruling.payment is not None
                status = (await office.payment(ruling)).status
                for other in set(PaymentStatus) - {status}:
                    with pytest.raises(asyncpg.CheckViolationError, match="stays as it ended"):
                        await connection.execute(
                            "update payments.payment set status = $2 where id = $1", UUID(bytes=ruling.payment), other
                        )
        finally:
            await connection.close()


async def test_no_payment_holds_gives_or_gets_back_more_than_there_is_whoever_writes(
    office: Office, database: Database
) -> None:
    held = await office.rule(office.hold(0, 100))
    assert held.payment is not None
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    try:
        for change in (
            "captured_total_fen = 101",
            "captured_total_fen = 50, refunded_total_fen = 51",
            "captured_total_fen = -1",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await owner.execute(f"update payments.payment set {change} where id = $1", UUID(bytes=held.payment))
    finally:
        await owner.close()


async def test_nobody_touches_what_another_till_paid_but_its_merchant_may(office: Office) -> None:
    paid = await office.rule(office.pay(0, 700, till=office.other_till))
    (refused,) = await office.ask(office.refund(paid))
    assert refused.problem is Problem.UNKNOWN_PAYMENT
    office.till = office.merchant
    assert await office.reason(office.refund(paid)) is Reason.NONE


async def test_what_was_decided_waits_in_the_outbox(office: Office) -> None:
    async def waiting() -> int:
        async with office.engine.connect() as connection:
            return await connection.scalar(text("select count(*) from payments.outbox")) or 0

    before = await waiting()
    await office.ask(office.pay(0, 100), office.pay(0, 200))
    assert await waiting() == before + 1
