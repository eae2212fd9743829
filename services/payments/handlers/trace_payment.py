"""Tell the way of one payment: what the ledger, the road and the logs of all processes know of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.outcomes_pb2 import Operation as Asked
from onecard.payments.v1.outcomes_pb2 import Reason as OutcomeReason
from services.common.clock import instant, milliseconds
from services.common.errors import BrokerAwayError
from services.common.kafka_security import PLAIN_TEXT, KafkaSecurity
from services.common.log_lines import Wanted, find_lines
from services.payments.adapters.requests import adjustment_of
from services.payments.adapters.rides import rated_fare
from services.payments.adapters.road_search import find_outcomes, find_taps
from services.payments.adapters.trails import Rows, looking
from services.payments.domain.operation import Kind
from services.payments.domain.trail import Identity, Name, Place, Trail, masked_card
from services.payments.domain.transfer import CNY, Code, place_of_payment, transfer_id
from services.payments.domain.verdict import Cause, Reason

_WHAT: Final = {
    Kind.AUTHORIZE: "authorize",
    Kind.CAPTURE: "capture of the hold",
    Kind.VOID: "void",
    Kind.REFUND: "refund",
    Kind.EXPIRE: "the hold ran out",
    Kind.TOP_UP: "top-up",
    Kind.RESERVE: "reservation",
    Kind.POST: "posting of the back office",
    Kind.ADMIT: "admitted to the site",
}


class SeveralError(ValueError):
    """A request id under which several callers have asked."""


async def trace_payment(engine: AsyncEngine, name: Name) -> Trail | None:
    """What the ledger knows; None: it knows nothing of that name. Raises SeveralError."""
    async with looking(engine) as rows:
        verdict, operation, identity = await _find(rows, name)
        if verdict is not None:
            return await _tap(rows, verdict)
        if operation is not None:
            return await _payment(rows, operation)
        trail = Trail(identity) if identity and identity.sequence else None
        if trail is not None:
            await _dead_letters(rows, trail)
        return trail if trail and trail.steps else None


async def _find(rows: Rows, name: Name) -> tuple[Any | None, Any | None, Identity | None]:
    match name:
        case UUID():
            place = Place(*place_of_payment(name.bytes))
            verdict, operation = await rows.at(place)
            row = verdict or operation
            # Any sixteen bytes name a place: what stands there must have been decided when the id says.
            if row is None or transfer_id(milliseconds(row.now), *place, 0)[:-1] != name.bytes[:-1]:
                return None, None, None
            return verdict, operation, None
        case Place():
            return *await rows.at(name), None
        case Identity(sequence=sequence) if sequence:
            return await rows.tap(name), None, name
    found = await rows.operations(name)
    if len(found) > 1:
        callers = ", ".join(sorted(f"{row.merchant_id} {row.terminal_id}" for row in found))
        raise SeveralError(f"several callers have asked under this id; name the one who is meant: {callers}")
    return None, next(iter(found), None), None


async def _tap(rows: Rows, verdict: Any) -> Trail:
    identity = Identity(verdict.merchant_id, verdict.terminal_id, verdict.sequence)
    trail = Trail(identity, scene=verdict.scene, card_identifiers=await rows.cards(verdict.account_id))
    decided_ms = trail.decide_time_ms = milliseconds(verdict.now)
    place = Place(verdict.batch, verdict.row)
    trail.add(milliseconds(verdict.event_time), "terminal", "tapped", clock="the terminal's")
    await _dead_letters(rows, trail)
    ride = await rows.ride(verdict)
    if ride is not None:
        fare = rated_fare(ride.rated)
        funds = await rows.accounts(fund for fund, _ in fare.shares)
        shares = {funds.get(fund, str(fund)): fen for fund, fen in fare.shares}
        trail.add(
            decided_ms, "ledger", "rated by a tariff that remembers", key=ride.tariff_key, fare_fen=fare.fare_fen,
            charged_fen=fare.charged_fen, paid_by=shares or None, note="as it stands now",
        )  # fmt: skip
    reason = Reason(verdict.reason)
    trail.add(
        decided_ms, "ledger", "refused" if reason else "posted", batch=verdict.batch, row=verdict.row,
        reason=reason.name if reason else "", fare_fen=verdict.fare_fen, charged_fen=verdict.charged_fen,
        account=f"holder {verdict.account_id}", body_digest=verdict.body_digest.hex()[:16],
    )  # fmt: skip
    await _transfers(rows, trail, decided_ms, place)
    admission = await rows.operations(Identity(*identity[:2], request_id=f"admit {verdict.sequence}"))
    for one in admission:
        await _operation(rows, trail, one)
    trail.now = {"fare_fen": verdict.fare_fen, "charged_fen": verdict.charged_fen}
    after = UUID(bytes=transfer_id(decided_ms, *place, 0))
    for one in await rows.adjustments(verdict.account_id, after):
        facts = adjustment_of(one.body)
        if (facts.terminal, facts.sequence) == (verdict.terminal, verdict.sequence):
            cause = f"{one.merchant_id} {one.terminal_id} {one.request_id.split()[1]}"
            trail.now = {"fare_fen": facts.fare_fen, "charged_fen": facts.charged_fen}
            trail.add(
                milliseconds(one.now), "ledger", "its fare was adjusted", revision=facts.revision, batch=one.batch, row=one.row,
                fare_fen=facts.fare_fen, charged_fen=facts.charged_fen, cause=cause,
            )  # fmt: skip
            await _transfers(rows, trail, milliseconds(one.now), Place(one.batch, one.row))
    for one in await rows.caused(verdict.terminal, verdict.sequence):
        facts = adjustment_of(one.body)
        if (facts.terminal, facts.sequence) != (verdict.terminal, verdict.sequence):
            trail.add(
                milliseconds(one.now), "ledger", "it changed the fare of another tap of the holder", batch=one.batch,
                row=one.row, sequence=facts.sequence, fare_fen=facts.fare_fen, charged_fen=facts.charged_fen,
            )  # fmt: skip
    await _seals(rows, trail)
    return trail


async def _payment(rows: Rows, asked: Any) -> Trail:
    """Of whatever was asked about it, the whole payment."""
    about: Sequence[Any] = [asked]
    if asked.payment is not None:
        made = (await rows.at(Place(*place_of_payment(asked.payment.bytes))))[1]
        if made is not None:
            about = await rows.about(asked.payment, made.terminal, made.merchant_id) or about
            asked = made
    identity = Identity(asked.merchant_id, asked.terminal_id, request_id=asked.request_id)
    cards = await rows.cards(asked.account_id)
    trail = Trail(identity, asked.payment and asked.payment.bytes, asked.scene, cards, milliseconds(asked.now))
    for one in about:
        await _operation(rows, trail, one)
    if trail.payment is not None:
        payment = (await rows.payments([trail.payment])).get(trail.payment)
        if payment is not None:
            sums = {"amount": payment.amount_fen, "captured": payment.captured_fen, "refunded": payment.refunded_fen,
                    "held": payment.held_fen}  # fmt: skip
            unit = "places" if payment.is_reservation else "fen"
            trail.now = {"status": payment.status.name} | {f"{name}_{unit}": sum_ for name, sum_ in sums.items()}
            if payment.held_fen:
                trail.now["held_until"] = instant(payment.expire_time_ms).isoformat(timespec="seconds")
    await _seals(rows, trail)
    return trail


async def _operation(rows: Rows, trail: Trail, one: Any) -> None:
    kind, reason = Kind(one.kind), Reason(one.reason)
    trail.request_ids.append(one.request_id)
    trail.add(
        milliseconds(one.now), "ledger", f"{_WHAT.get(kind, kind.name.lower())}: {'declined' if reason else 'approved'}",
        reason=reason.name if reason else "", batch=one.batch, row=one.row, by=f"{one.merchant_id} {one.terminal_id}",
        request_id=one.request_id, amount_fen=None if kind is Kind.RESERVE else one.amount_fen,
        account=f"holder {one.account_id}" if one.account_id else "",
        payment=one.payment.hex if one.payment else "",
    )  # fmt: skip
    await _transfers(rows, trail, milliseconds(one.now), Place(one.batch, one.row))


async def _transfers(rows: Rows, trail: Trail, now_ms: int, place: Place) -> None:
    trail.places.append(place)
    moved = await rows.transfers(now_ms, place)
    accounts = await rows.accounts(account for row in moved for account in (row.debit_account, row.credit_account))
    for row in moved:
        amount = {"amount_fen" if row.currency == CNY else "places": row.amount_fen}
        trail.add(
            now_ms, "ledger", f"transfer {Code(row.code).name.lower().replace('_', ' ')}", debit=accounts[row.debit_account],
            credit=accounts[row.credit_account], **amount,
        )  # fmt: skip


async def _dead_letters(rows: Rows, trail: Trail) -> None:
    for letter in await rows.dead_letters(trail.identity):
        place = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
        trail.add(letter.append_time_ms, "broker", "appended", **place)
        trail.add(
            milliseconds(letter.create_time), "ledger", "put aside as a dead letter", **place, cause=Cause(letter.cause).name,
            sqlstate=letter.sqlstate, open=letter.resolved_time is None,
            card=masked_card(letter.card_identifier) if letter.card_identifier else "",
        )  # fmt: skip
        if letter.resolved_time is not None:
            trail.add(milliseconds(letter.resolved_time), "ledger", "the dead letter was closed", **place)


async def _seals(rows: Rows, trail: Trail) -> None:
    seals: dict[tuple[int, int], list[int]] = {}
    for batch in sorted({place.batch for place in trail.places}):
        seal = await rows.seal(batch)
        if seal is None:
            trail.unseen.append(f"batch {batch} is not sealed yet")
        else:
            seals.setdefault((milliseconds(seal.create_time), seal.number), []).append(batch)
    for (time_ms, number), batches in seals.items():
        trail.add(time_ms, "seal", "sealed", seal=number, batches=batches)


def look_on_the_road(trail: Trail, bootstrap: str, security: KafkaSecurity = PLAIN_TEXT) -> None:
    """Where its records lie, while the broker keeps them. Says so where it cannot be asked."""
    try:
        known = {(step.facts.get("topic"), step.facts.get("partition"), step.facts.get("offset")) for step in trail.steps}
        if trail.identity.sequence and trail.decide_time_ms:
            _appended(trail, bootstrap, security, known)
        times_ms = sorted({step.time_ms for step in trail.steps if "batch" in step.facts})
        told = list(find_outcomes(bootstrap, security, trail, times_ms))
    except BrokerAwayError as error:
        trail.unseen.append(f"the road: {error}")
        return
    for record, outcome in told:
        operation = Asked.Name(outcome.operation).removeprefix("OPERATION_").lower() if outcome.operation else ""
        trail.add(
            record.append_time_ms, "broker", "its outcome was sent", topic=record.topic, partition=record.partition,
            offset=record.offset, operation=operation, revision=outcome.revision or None,
            reason=OutcomeReason.Name(outcome.reason).removeprefix("REASON_") if outcome.reason else "",
            batch=outcome.batch_number or None, row=outcome.batch_row if outcome.batch_number else None,
        )  # fmt: skip
    if not told and trail.decide_time_ms:
        trail.unseen.append("no outcome is on the road: not sent yet, or no longer kept")


def _appended(trail: Trail, bootstrap: str, security: KafkaSecurity, known: set[tuple[Any, Any, Any]]) -> None:
    found = find_taps(bootstrap, security, trail)
    for record, body in found:
        if (record.topic, record.partition, record.offset) not in known:
            trail.add(
                record.append_time_ms, "broker", "appended", topic=record.topic, partition=record.partition,
                offset=record.offset, card=masked_card(body.card_identifier), price_fen=body.price_fen or None,
                line=body.bus_ride.line_id, stop=body.bus_ride.stop_id, gate=body.scenic_entry.gate_id,
                outlet=body.campus_purchase.outlet_id, again=record.append_time_ms > trail.decide_time_ms or None,
            )  # fmt: skip
    if not found:
        trail.unseen.append("its record is not on the road: no longer kept, or it waited there for more than six hours")


def look_into_logs(trail: Trail, places: Sequence[Path]) -> None:
    """The lines of all processes that carry an id, a place or a batch of it."""
    wanted = Wanted(
        frozenset([*trail.request_ids, *([trail.payment.hex()] if trail.payment else [])]),
        frozenset([trail.identity[:3]] if trail.identity.sequence else []),
        frozenset(
            (step.facts["topic"], step.facts["partition"], step.facts["offset"])
            for step in trail.steps
            if "offset" in step.facts
        ),
        frozenset(place.batch for place in trail.places),
    )
    for line in find_lines(places, wanted):
        facts = dict(line.facts)
        if line.event == "batches_posted":
            mine = sorted(wanted.batches & _numbers(facts.pop("batches", []), wanted.batches))
            records = facts.pop("records", {})
            facts = {"batches": mine, "others_between": facts.get("others_between")}
            if records and not mine:
                facts = {"acknowledged": True}
        trail.add(line.time_ms, line.process or "log", line.event, instance=line.instance, **facts)


def _numbers(spans: Any, asked: frozenset[int]) -> set[int]:
    return {number for number in asked for first, last in spans if first <= number <= last}
