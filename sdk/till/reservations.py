"""A site's desk: reserves places for holders, and says what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Unpack

from onecard.payments.v1 import reservations_pb2 as messages
from onecard.payments.v1.reservations_pb2_grpc import ReservationServiceStub
from sdk.asking import Asker, Patience, new_request_id
from sdk.merchant.access import Line
from sdk.till.receipt import Receipt, receipt_of
from sdk.till.till import reference


class Reservations(Asker):
    """As a site, one of its terminals, or a window of the city. Methods block until there is a verdict.

    They raise as those of `Till`. A slot that was full a moment ago is asked for again with the same request id, until the
    ledger has decided. A reservation is named by its id (`payment_id` of its receipt), or by the request id that asked for it.
    """

    def __init__(self, line: Line, **patience: Unpack[Patience]) -> None:
        """The line is closed with it."""
        super().__init__(line, **patience)
        self._stub = ReservationServiceStub(line.channel)

    def reserve(
        self, card_identifier: str, begin_time_ms: int, places: int = 1, *, merchant_id: str = "", request_id: str = ""
    ) -> Receipt:
        """Keep places of the slot that begins then. Whoever does not ask for itself names the site."""
        request_id = request_id or new_request_id()
        request = messages.ReserveRequest(
            request_id=request_id,
            card_identifier=card_identifier,
            merchant_id=merchant_id,
            begin_time_ms=begin_time_ms,
            places=places,
        )
        return receipt_of(request_id, self._asking.ask(self._stub.Reserve, request, request_id).receipt)

    def cancel(self, reservation: str, *, request_id: str = "") -> Receipt:
        """Let a reservation go. One that has not arrived yet will be refused."""
        request_id = request_id or new_request_id()
        request = messages.CancelReservationRequest(request_id=request_id, reservation=reference(reservation))
        return receipt_of(request_id, self._asking.ask(self._stub.CancelReservation, request, request_id).receipt)

    def find(self, reservation: str) -> messages.Reservation:
        """A reservation of this desk as it is now. NotAcceptedError with UNKNOWN_RESERVATION: it is not decided yet."""
        request = messages.GetReservationRequest(reservation=reference(reservation))
        found: messages.Reservation = self._asking.ask(self._stub.GetReservation, request).reservation
        return found

    def slots(self, first: date | None = None, days: int = 1, *, merchant_id: str = "") -> Sequence[messages.Slot]:
        """The slots of so many days, today first unless it is said otherwise."""
        request = messages.ListSlotsRequest(merchant_id=merchant_id, from_date=first.isoformat() if first else "", days=days)
        listed: messages.ListSlotsResponse = self._asking.ask(self._stub.ListSlots, request)
        return listed.slots
