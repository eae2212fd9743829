"""The way of one payment, read back from a real ledger and a real road."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.servers.broker import Broker
from services.common import topics
from services.common.announce import Announcer
from services.common.database import sqlstate_of
from services.common.topic_reader import partition_of, read_between
from services.payments.adapters.trails import looking
from services.payments.domain.trail import Identity, Place, Trail, name_of
from services.payments.domain.verdict import Cause, Reason
from services.payments.handlers.seal_batches import SealBatches
from services.payments.handlers.trace_payment import SeveralError, look_into_logs, look_on_the_road, trace_payment
from services.payments.trace_command import _facts, _told
from tests.integration.payments.test_late_taps import MINUTE, ride, town_of
from tests.support.office import Office, new_id
from tests.support.road import PARTITIONS
from tests.support.town import BUS, KEY, Town, build_town, bus_ride, card_identifier, now_ms, purchase, received

READ_ONLY = "25006"


async def trail_of(engine: AsyncEngine, *words: str) -> Trail:
    trail = await trace_payment(engine, name_of(words))
    assert trail is not None
    return trail


def told(trail: Trail) -> list[str]:
    return [step.what for step in trail.in_order()]


def facts_of(trail: Trail, what: str) -> dict[str, object]:
    (step,) = [step for step in trail.steps if step.what == what]
    return dict(step.facts)


async def seal(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await SealBatches(KEY)(connection)


async def test_a_tap_that_posted_is_told_from_the_terminal_to_its_seal(engine: AsyncEngine) -> None:
    town = await build_town(engine, 2)
    await town.post(received([purchase(1, 750, sequence=42, at_ms=now_ms() - 5000)]))
    trail = await trail_of(engine, "CAMPUS-1", "CAMPUS-1-T0", "42")
    assert told(trail) == ["tapped", "posted", "transfer charge"]
    assert trail.unseen == [f"batch {trail.places[0].batch} is not sealed yet"]
    posted = facts_of(trail, "posted")
    assert (posted["fare_fen"], posted["charged_fen"]) == (750, 750)
    assert facts_of(trail, "transfer charge") == {
        "debit": f"holder {2**32 + 1}",
        "credit": "merchant:CAMPUS-1",
        "amount_fen": 750,
    }
    await seal(engine)
    by_place = await trail_of(engine, f"{posted['batch']}/{posted['row']}")
    assert told(by_place) == ["tapped", "posted", "transfer charge", "sealed"]
    assert facts_of(by_place, "sealed")["batches"] == [posted["batch"]]


async def test_a_refusal_has_its_reason_and_no_transfer(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1, 100)
    await town.post(received([purchase(0, 750, sequence=1)]))
    trail = await trail_of(engine, "CAMPUS-1", "CAMPUS-1-T0", "1")
    assert facts_of(trail, "refused")["reason"] == Reason.INSUFFICIENT_FUNDS.name
    assert not [what for what in told(trail) if what.startswith("transfer")]


async def test_a_dead_letter_is_told_and_its_end_too(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    await town.post(received([bus_ride(7, sequence=5)]))
    waiting = await trail_of(engine, BUS, f"{BUS}-T0", "5")
    assert told(waiting) == ["appended", "put aside as a dead letter"]
    letter = facts_of(waiting, "put aside as a dead letter")
    assert (letter["cause"], letter["open"]) == (Cause.UNKNOWN_CARD.name, True)
    assert card_identifier(7) not in json.dumps(_told(waiting))
    assert waiting.decide_time_ms == 0


async def test_what_a_late_ride_changes_is_told_of_both(engine: AsyncEngine) -> None:
    town, _ = await town_of(engine, "jiangmen")
    noon = now_ms() - 60 * MINUTE
    await town.post(received([ride(0, 2, noon, "2")]))
    first = await trail_of(engine, BUS, f"{BUS}-T0", "2")
    assert "rated by a tariff that remembers" in told(first)
    await town.post(received([ride(0, 1, noon - 10 * MINUTE, "1")]))
    changed = await trail_of(engine, BUS, f"{BUS}-T0", "2")
    adjusted = facts_of(changed, "its fare was adjusted")
    assert (adjusted["revision"], adjusted["cause"]) == (1, f"{BUS} {BUS}-T0 1")
    assert changed.now["fare_fen"] == adjusted["fare_fen"] != facts_of(changed, "posted")["fare_fen"]
    assert "transfer adjustment" in told(changed)
    cause = await trail_of(engine, BUS, f"{BUS}-T0", "1")
    assert facts_of(cause, "it changed the fare of another tap of the holder")["sequence"] == 2


async def test_everything_that_was_asked_about_a_payment_is_told_whatever_it_is_called_by(office: Office) -> None:
    held = await office.rule(office.hold(1, 900, "order-1"))
    assert held.payment is not None
    captured = await office.rule(office.capture(held, 700))
    await office.rule(office.refund(held, 200, "refund-of-order-1"))
    words: Sequence[tuple[str, ...]] = (
        (held.payment.hex(),),
        (str(UUID(bytes=held.payment)),),
        ("refund-of-order-1",),
        (office.till.merchant_id, office.till.terminal_id, "order-1"),
        (f"{captured.batch}/{captured.row}",),
    )
    for name in words:
        trail = await trail_of(office.engine, *name)
        assert told(trail) == [
            "authorize: approved",
            "capture of the hold: approved",
            "transfer payment",
            "refund: approved",
            "transfer refund",
        ], name
        assert trail.identity == Identity(office.till.merchant_id, office.till.terminal_id, request_id="order-1")
        assert trail.now == {
            "status": "CAPTURED",
            "amount_fen": 900,
            "captured_fen": 700,
            "refunded_fen": 200,
            "held_fen": 0,
        }


async def test_how_a_hold_ended_is_told(office: Office) -> None:
    voided = await office.rule(office.hold(1, 900))
    await office.rule(office.void(voided))
    open_ = await office.rule(office.hold(1, 800))
    ran_out = await office.rule(office.hold(1, 700, hold_ms=1))
    await asyncio.sleep(0.01)
    await office.rule(office.expire(ran_out))
    ends = []
    for ruling in (voided, open_, ran_out):
        assert ruling.payment is not None
        trail = await trail_of(office.engine, ruling.payment.hex())
        ends.append((told(trail)[-1], trail.now["status"], "held_until" in trail.now))
    assert ends == [
        ("void: approved", "VOIDED", False),
        ("authorize: approved", "HELD", True),
        ("the hold ran out: approved", "EXPIRED", False),
    ]


async def test_a_name_that_several_have_used_must_be_told_apart(office: Office) -> None:
    name = new_id("same")
    for till in (office.till, office.other_till):
        await office.rule(office.pay(1, 100, name, till))
    with pytest.raises(SeveralError, match=office.other_till.merchant_id):
        await trace_payment(office.engine, name_of((name,)))
    trail = await trail_of(office.engine, office.other_till.merchant_id, office.other_till.terminal_id, name)
    assert trail.identity.merchant_id == office.other_till.merchant_id


async def test_what_does_not_exist_is_not_found(office: Office) -> None:
    paid = await office.rule(office.pay(1, 100))
    assert paid.payment is not None
    another_time = bytes([paid.payment[0], paid.payment[1] ^ 1, *paid.payment[2:]])
    for name in (UUID(bytes=another_time), UUID(int=7), Place(10**9, 0), Identity("", "", request_id="never")):
        assert await trace_payment(office.engine, name) is None
    assert await trace_payment(office.engine, Identity("BUS-1", "BUS-1-T0", 10**9)) is None


async def test_who_looks_cannot_write(engine: AsyncEngine) -> None:
    await build_town(engine, 1)
    with pytest.raises(DBAPIError) as refused:
        async with looking(engine) as rows:
            await rows._connection.execute(text("delete from payments.outbox"))
    assert sqlstate_of(refused.value) == READ_ONLY


async def test_its_records_its_outcome_and_the_lines_of_its_batch_are_found(
    engine: AsyncEngine, broker: Broker, tmp_path: Path
) -> None:
    """Sent twice: both records are told, and the verdict once."""
    town: Town = await build_town(engine, 20)
    announcer = Announcer(broker.bootstrap)
    await announcer.start()
    try:
        taps = [purchase(card, 300, sequence=1000 + card) for card in range(20)]
        keyed = [(card_identifier(card).encode(), tap.record) for card, tap in enumerate(taps)]
        await announcer.send(topics.TRANSACTIONS_CAMPUS, [*keyed, keyed[3]])
        owed = await town.post(received(taps))
        await announcer.send(topics.OUTCOMES, ((merchant.encode(), outcome) for merchant, outcome in owed.outcomes))
    finally:
        await announcer.stop()
    trail = await trail_of(engine, "CAMPUS-1", "CAMPUS-1-T0", "1003")
    place = trail.places[0]
    for name, batches in (("one", [[place.batch, place.batch]]), ("other", [[place.batch + 1, place.batch + 9]])):
        line = {"event": "batches_posted", "process": "payments-streams", "instance": name, "batches": batches, "count": 1}
        line["timestamp"] = "2100-01-01T00:00:00Z"
        (tmp_path / f"{name}.log").write_text(json.dumps(line) + "\n")
    await asyncio.to_thread(look_on_the_road, trail, broker.bootstrap)
    look_into_logs(trail, [tmp_path])
    appended = [step.facts for step in trail.steps if step.what == "appended"]
    assert len(appended) == 2, trail.unseen
    assert {facts["partition"] for facts in appended} == {partition_of(card_identifier(3), PARTITIONS)}
    assert facts_of(trail, "its outcome was sent")["batch"] == place.batch
    assert [step.facts["instance"] for step in trail.steps if step.what == "batches_posted"] == ["one"]
    shown = json.dumps(_told(trail), ensure_ascii=False) + "".join(_facts(step.facts) for step in trail.steps)
    assert card_identifier(3) not in shown
    later = now_ms() + 3_600_000
    none = list(read_between(broker.bootstrap, topics.TRANSACTIONS_CAMPUS, [card_identifier(3)], later, later + 1, most=10))
    assert none == []


async def test_a_road_that_does_not_answer_is_said_and_the_rest_is_told(engine: AsyncEngine) -> None:
    town = await build_town(engine, 1)
    await town.post(received([purchase(0, 300, sequence=7)]))
    trail = await trail_of(engine, "CAMPUS-1", "CAMPUS-1-T0", "7")
    await asyncio.to_thread(look_on_the_road, trail, "127.0.0.1:1")
    assert [what for what in trail.unseen if what.startswith("the road")]
    assert "posted" in told(trail)
