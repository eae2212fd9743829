"""ReservationService: places of sites that take so many visitors a slot."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1 import reservations_pb2 as messages
from onecard.payments.v1.payments_pb2 import PAYMENT_STATUS_DECLINED
from onecard.payments.v1.reservations_pb2_grpc import ReservationServiceServicer
from services.common.clock import day_of, midnight_ms, now_ms
from services.common.errors import Code, DomainError
from services.payments.adapters import requests
from services.payments.adapters.callers import Caller
from services.payments.adapters.full_slots import FullSlots
from services.payments.adapters.ledger import Ledger
from services.payments.api import reading
from services.payments.api.desk import Desk
from services.payments.api.receipts import MESSAGES, receipt_of, ruling_of
from services.payments.domain.calendar import service_day
from services.payments.domain.operation import Kind
from services.payments.domain.places import Reservations, ReservationTerms, Slot
from services.payments.domain.tap import Scene
from services.payments.domain.verdict import Reason
from services.payments.handlers.find_payment import Found, find_payment
from services.payments.handlers.list_slots import Listed, list_slots
from services.payments.handlers.open_places import OpenPlaces
from services.payments.metrics import RESERVATIONS_SHED

_DAY_MS: Final = 24 * 3_600_000
_MOST_DAYS: Final = 31
_LAST_DAY: Final = date(9998, 12, 31)
_MOST_PLACES: Final = 10_000
_SCENE: Final = text("select scene from payments.merchant where merchant_id = :merchant_id and retired_time is null")


class ReservationService(ReservationServiceServicer):
    """Reads requests, asks the ledger, writes receipts."""

    def __init__(self, desk: Desk, engine: AsyncEngine, ledger: Ledger, full: FullSlots) -> None:
        self._desk = desk
        self._engine = engine
        self._tariffs = ledger.rules.tariffs
        self._places = ledger.places
        self._open_places = OpenPlaces(ledger)
        self._full = full

    async def Reserve(self, request: messages.ReserveRequest, context: Any) -> messages.ReserveResponse:  # noqa: N802
        """Keep places of a slot for a card's holder."""
        caller = await self._desk.caller()
        self._desk.needs_fresh_cards()
        request_id = reading.request_id(request.request_id)
        card = reading.card_identifier(request.card_identifier)
        if not 1 <= request.places <= _MOST_PLACES:
            raise reading.bad("places", f"1 to {_MOST_PLACES} are wanted")
        scene, merchant_id = await self._site(caller, request.merchant_id)
        begins_ms = reading.instant_ms("begin_time_ms", request.begin_time_ms)
        tariff = self._tariffs.of_merchant(scene, merchant_id, begins_ms)
        quota = None if tariff is None else tariff.quota
        if tariff is None or quota is None or quota.reservations is Reservations.NONE:
            raise DomainError(Code.FAILED_PRECONDITION, "NOT_RESERVABLE", "此处无需预约")
        slot = quota.slot_at(merchant_id, begins_ms)
        if slot is None or slot.begins_ms != begins_ms:
            raise reading.bad("begin_time_ms", "the beginning of a slot is wanted, as ListSlots says")
        if not quota.reservable_from_ms(slot) - _DAY_MS <= now_ms() < slot.ends_ms + _DAY_MS:
            raise reading.bad("begin_time_ms", f"a slot of the next {quota.days_ahead} days is wanted")
        if await self._full.refuse(slot, request.places):
            RESERVATIONS_SHED.inc()
            raise DomainError(Code.UNAVAILABLE, "SLOT_FULL", "该时段名额暂无，请稍后用同一请求号重试")
        await self._open_places([slot])
        terms = ReservationTerms(
            scene=scene,
            places_account=self._places[slot.key],
            reservable_from_ms=quota.reservable_from_ms(slot),
            most_places=tariff.most_riders,
            once=quota.real_name,
            expire_time_ms=slot.ends_ms + quota.kept_ms,
        )
        answer = await self._desk.ask(requests.reserve(caller.terminal, request_id, card, slot, request.places, terms))
        if ruling_of(answer).reason is Reason.QUOTA_FULL:
            await self._full.mark(slot, request.places)
        return messages.ReserveResponse(receipt=receipt_of(answer))

    async def CancelReservation(  # noqa: N802
        self, request: messages.CancelReservationRequest, context: Any
    ) -> messages.CancelReservationResponse:
        """Let a reservation go."""
        caller = await self._desk.caller()
        request_id, reference = reading.request_id(request.request_id), reading.payment_reference(request.reservation)
        if request_id == reference.authorize_request_id:
            raise reading.bad("request_id", "a cancellation has a request id of its own")
        answer = await self._desk.ask(requests.void(caller.terminal, request_id, reference))
        return messages.CancelReservationResponse(receipt=receipt_of(answer))

    async def GetReservation(  # noqa: N802
        self, request: messages.GetReservationRequest, context: Any
    ) -> messages.GetReservationResponse:
        """A reservation that the caller made, as it is now."""
        caller = await self._desk.caller()
        reference = reading.payment_reference(request.reservation)
        found = await find_payment(self._engine, caller.terminal, reference, Kind.RESERVE)
        if found is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_RESERVATION", "没有这个预约，或尚未处理")
        return messages.GetReservationResponse(reservation=_reservation(found))

    async def ListSlots(self, request: messages.ListSlotsRequest, context: Any) -> messages.ListSlotsResponse:  # noqa: N802
        """The slots of a site, and what is left of them."""
        caller = await self._desk.caller()
        scene, merchant_id = await self._site(caller, request.merchant_id)
        if not 0 <= request.days <= _MOST_DAYS:
            raise reading.bad("days", f"1 to {_MOST_DAYS} are wanted")
        first = reading.day("from_date", request.from_date, _LAST_DAY) if request.from_date else day_of(now_ms())
        slots = [slot for n in range(request.days or 1) for slot in self._of_day(scene, merchant_id, first + timedelta(days=n))]
        return messages.ListSlotsResponse(slots=[_slot(one) for one in await list_slots(self._engine, slots)])

    def _of_day(self, scene: Scene, merchant_id: str, day: date) -> Iterator[Slot]:
        begins_ms = midnight_ms(day)
        tariff = self._tariffs.of_merchant(scene, merchant_id, begins_ms)
        return iter(()) if tariff is None or tariff.quota is None else tariff.quota.day(merchant_id, service_day(begins_ms))

    async def _site(self, caller: Caller, asked: str) -> tuple[Scene, str]:
        """Whose places are meant. Raises DomainError where the caller may not speak for it."""
        terminal = caller.terminal
        if asked in ("", terminal.merchant_id) and not terminal.is_service:
            return terminal.scene, terminal.merchant_id
        if not terminal.is_service:
            caller.needs_window()
        merchant_id = reading.identifier("merchant_id", asked, 32)
        async with self._engine.connect() as connection:
            scene = await connection.scalar(_SCENE, {"merchant_id": merchant_id})
        if scene is None:
            raise DomainError(Code.NOT_FOUND, "UNKNOWN_MERCHANT", "there is no such merchant, or it was retired")
        return Scene(scene), merchant_id


def _slot(listed: Listed) -> messages.Slot:
    return messages.Slot(
        begin_time_ms=listed.slot.begins_ms,
        end_time_ms=listed.slot.ends_ms,
        places=listed.places,
        reserved=listed.reserved,
        taken=listed.taken,
        free=listed.free,
        account_id=listed.account_id,
    )


def _reservation(found: Found) -> messages.Reservation:
    message = messages.Reservation(
        reserve_request_id=found.request_id,
        status=PAYMENT_STATUS_DECLINED,
        reason=found.reason,  # type: ignore[arg-type]  # numbers agree, a test holds it
        message=MESSAGES[found.reason],
        decide_time_ms=found.decide_time_ms,
    )
    payment = found.payment
    if payment is not None:
        message.reservation_id = payment.id.hex()
        message.status = payment.status  # type: ignore[assignment]  # numbers agree, a test holds it
        message.merchant_id = payment.merchant_id
        message.places = payment.amount_fen
        message.used = payment.captured_fen
        message.expire_time_ms = payment.expire_time_ms
    return message
