"""Answers about blanks: what was moved, how one stands, and how a shift does."""

from collections.abc import Iterable

from onecard.issuance.v1 import blanks_pb2 as messages
from onecard.issuance.v1.issuance_pb2 import Refusal as RefusalMessage
from services.issuance.adapters.delivery_file import FAULTS, LineFault
from services.issuance.adapters.entries import Entry
from services.issuance.adapters.shifts import Counted
from services.issuance.domain.blank import Blank
from services.issuance.domain.countersignature import Countersignature
from services.issuance.domain.refusal import Refusal, sentence
from services.issuance.handlers.close_shift import differences_of
from services.issuance.handlers.move_blanks import Moved

_MOST_NAMED = 20


def refusal_of(refusal: Refusal | None) -> RefusalMessage | None:
    """A rule's no."""
    return RefusalMessage(reason=refusal.name, message=sentence(refusal)) if refusal else None


def moved_of(moved: Moved) -> messages.BlanksMoved:
    """What came of a write."""
    return messages.BlanksMoved(
        count=moved.count,
        refusal=refusal_of(moved.refusal),
        countersignature_id=moved.countersignature,
        serials=moved.serials,
    )


def not_received(faults: Iterable[LineFault]) -> messages.BlanksMoved:
    """A delivery that stays outside."""
    serials = dict.fromkeys(fault.serial for fault in faults if fault.serial)
    return messages.BlanksMoved(refusal=refusal_of(Refusal.DELIVERY_NOT_ACCEPTED), serials=[*serials][:_MOST_NAMED])


def fault_of(fault: LineFault) -> messages.DeliveryFault:
    """What is wrong with a line."""
    message = f"第 {fault.line} 行：{FAULTS[fault.fault]}"
    return messages.DeliveryFault(line=fault.line, serial=fault.serial, reason=fault.fault.name, message=message)


def blank_of(blank: Blank) -> messages.Blank:
    """A blank as it is now."""
    return messages.Blank(
        serial=blank.serial,
        product=blank.product,
        box=blank.box,
        state=blank.state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        place=blank.place,
        destination=blank.destination,
        application_id=blank.application,
        barred=blank.barred,
        attempts=blank.attempts,
    )


def entry_of(entry: Entry) -> messages.BlankEntry:
    """What happened to one."""
    return messages.BlankEntry(
        entry_id=entry.id,
        what=entry.verb.name,
        from_state=entry.from_state,  # type: ignore[arg-type]  # numbers agree, a test holds it
        to_state=entry.to_state,  # type: ignore[arg-type]
        place=entry.to_place,
        record_id=entry.record,
        epoch=entry.epoch,
        staff_id=entry.staff,
        second_staff_id=entry.second,
        reason=entry.reason or entry.incident,
        time_ms=entry.time_ms,
    )


def countersignature_of(asked: Countersignature) -> messages.Countersignature:
    """What waits for a second person."""
    return messages.Countersignature(
        countersignature_id=asked.id,
        act=asked.act,
        detail=asked.detail,
        requested_by_staff_id=asked.requested_by,
        terminal=asked.terminal,
        outlet=asked.outlet,
        create_time_ms=asked.create_ms,
        expire_time_ms=asked.expire_ms,
    )


def balance_of(counted: Counted) -> messages.ShiftBalance | None:
    """How a shift stands, against what was counted; None: it was not shown yet."""
    if (books := counted.books) is None:
        return None
    found = differences_of(counted)
    return messages.ShiftBalance(
        opening=books.opening,
        received=books.received,
        issued=books.issued,
        spoiled=books.spoiled,
        transferred=books.transferred,
        returned=books.returned,
        missing=books.missing,
        on_hand=books.on_hand,
        unfinished=books.unfinished,
        lying=books.lying,
        cash_fen=books.cash_fen,
        unused_difference=found.unused,
        spoiled_difference=found.spoiled,
        lying_difference=found.lying,
        cash_difference_fen=found.cash_fen,
        differed_before=bool(counted.otherwise),
    )
