"""Reservations at real processes: who may ask for whose places, what is answered, and what Redis has to do with it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from onecard.payments.v1.outcomes_pb2 import REASON_QUOTA_FULL, REASON_UNSPECIFIED
from onecard.payments.v1.payments_pb2 import (
    DECISION_APPROVED,
    PAYMENT_STATUS_CAPTURED,
    PAYMENT_STATUS_DECLINED,
    PAYMENT_STATUS_HELD,
    PAYMENT_STATUS_VOIDED,
    Receipt,
)
from onecard.payments.v1.reservations_pb2 import (
    CancelReservationRequest,
    GetReservationRequest,
    ListSlotsRequest,
    Reservation,
    ReserveRequest,
    Slot,
)
from services.payments.adapters.full_slots import MARK_MS
from services.payments.handlers.check_books import check_books
from tests.support.api import Api, open_api
from tests.support.client import ANSWER_SECONDS, Client, reference, refused
from tests.support.databases import drop_database, make_database
from tests.support.office import new_id
from tests.support.site import rate_by, site_tariffs
from tests.support.tokens import redis_of
from tests.support.town import BUS, SCENIC, card_identifier, entry, received

PLACES = 5
DENIED, INVALID = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def api(postgres_server: Postgres, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Api]:
    """Two processes before a ledger of their own, and a site that takes five a day."""
    database = await make_database(postgres_server)
    tariffs = site_tariffs(tmp_path / "tariffs", PLACES)
    redis_of(valkey_server).flushall()
    async with open_api(
        database, tmp_path, cards=40, ONECARD_REDIS=valkey_server.address, ONECARD_TARIFFS=str(tariffs)
    ) as opened:
        await rate_by(opened.town, tariffs)
        yield opened
        books = await check_books(opened.engine)
        assert books.balance, books.problem
        opened.logs_name_nobody()
    await drop_database(database)


@pytest.fixture
async def desk(api: Api) -> Client:
    return api.till(merchant_id=SCENIC)


async def slot(client: Client, site: str = "") -> Slot:
    """Today's."""
    listed = await client.reservations.ListSlots(ListSlotsRequest(merchant_id=site), timeout=ANSWER_SECONDS)
    (found,) = listed.slots
    assert isinstance(found, Slot)
    return found


async def reserve(
    client: Client, card: int, places: int = 1, request_id: str = "", *, site: str = "", begin_time_ms: int | None = None
) -> Receipt:
    begins_ms = (await slot(client, site)).begin_time_ms if begin_time_ms is None else begin_time_ms
    request = ReserveRequest(
        request_id=request_id or new_id("v"),
        card_identifier=card_identifier(card),
        merchant_id=site,
        begin_time_ms=begins_ms,
        places=places,
    )
    response = await client.reservations.Reserve(request, timeout=ANSWER_SECONDS)
    receipt: Receipt = response.receipt
    return receipt


async def cancel(client: Client, reservation: str) -> Receipt:
    request = CancelReservationRequest(request_id=new_id("x"), reservation=reference(reservation))
    receipt: Receipt = (await client.reservations.CancelReservation(request, timeout=ANSWER_SECONDS)).receipt
    return receipt


async def find(client: Client, reservation: str) -> Reservation:
    request = GetReservationRequest(reservation=reference(reservation))
    found: Reservation = (await client.reservations.GetReservation(request, timeout=ANSWER_SECONDS)).reservation
    return found


def figures(of: Slot) -> tuple[int, int, int, int]:
    return of.places, of.reserved, of.taken, of.free


async def test_a_desk_reserves_finds_and_cancels_and_a_gate_uses_it_up(api: Api, desk: Client) -> None:
    assert figures(await slot(desk)) == (PLACES, 0, 0, PLACES)
    first = await reserve(desk, 0, 2, "first")
    assert (first.decision, first.amount.amount_fen) == (DECISION_APPROVED, 0)
    assert await reserve(desk, 0, 2, "first") == first
    second = await reserve(desk, 1)
    assert figures(await slot(desk)) == (PLACES, 3, 0, 2)
    assert (await cancel(desk, second.payment_id)).decision == DECISION_APPROVED
    assert (await find(desk, second.payment_id)).status == PAYMENT_STATUS_VOIDED
    held = await find(desk, "first")
    assert (held.status, held.merchant_id, held.places, held.used) == (PAYMENT_STATUS_HELD, SCENIC, 2, 0)
    await api.town.post(received([entry(0)]))
    used = await find(desk, first.payment_id)
    assert (used.status, used.places, used.used) == (PAYMENT_STATUS_CAPTURED, 2, 1)
    assert figures(await slot(desk)) == (PLACES, 0, 1, 4)


async def test_a_full_slot_is_declined_once_and_the_rush_behind_it_never_reaches_the_ledger(api: Api, desk: Client) -> None:
    receipts = await asyncio.gather(*(reserve(desk, card) for card in range(PLACES)))
    assert {receipt.decision for receipt in receipts} == {DECISION_APPROVED}
    begins_ms = (await slot(desk)).begin_time_ms
    declined = await reserve(desk, 10, request_id="late", begin_time_ms=begins_ms)
    assert declined.reason == REASON_QUOTA_FULL
    rush = await asyncio.gather(*(refused(reserve(desk, card, begin_time_ms=begins_ms)) for card in range(11, 20)))
    assert set(rush) == {(grpc.StatusCode.UNAVAILABLE, "SLOT_FULL")}
    assert len(await api.rows("select row from payments.operation where kind = 11")) == PLACES + 1
    assert (await find(desk, "late")).status == PAYMENT_STATUS_DECLINED
    await cancel(desk, receipts[0].payment_id)
    await asyncio.sleep(MARK_MS / 1000 + 0.2)
    assert (await reserve(desk, 10)).decision == DECISION_APPROVED
    assert await reserve(desk, 10, request_id="late") == declined, "a verdict is for ever"


async def test_while_redis_has_forgotten_everything_the_ledger_decides_alone(
    api: Api, desk: Client, valkey_server: Valkey
) -> None:
    begins_ms = (await slot(desk)).begin_time_ms

    async def try_one(card: int) -> Any:
        redis_of(valkey_server).flushall()
        try:
            return (await reserve(desk, card, begin_time_ms=begins_ms)).reason
        except grpc.aio.AioRpcError as error:
            return error.code()

    reasons = Counter(await asyncio.gather(*(try_one(card) for card in range(30))))
    assert reasons[REASON_UNSPECIFIED] == PLACES
    assert figures(await slot(desk)) == (PLACES, PLACES, 0, 0)


async def test_a_site_sells_its_own_places_and_the_citys_windows_those_of_any_site(api: Api, desk: Client) -> None:
    begins_ms = (await slot(desk)).begin_time_ms
    bus, window, service = api.till(merchant_id=BUS), api.window(), api.service()
    assert await refused(reserve(bus, 0, site=SCENIC, begin_time_ms=begins_ms)) == (DENIED, "WINDOW_RIGHT_NEEDED")
    assert await refused(reserve(bus, 0, begin_time_ms=begins_ms)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_RESERVABLE")
    by_window = await reserve(window, 0, site=SCENIC)
    by_service = await reserve(service, 1, site=SCENIC)
    assert by_window.decision == by_service.decision == DECISION_APPROVED
    assert await refused(cancel(bus, by_window.payment_id)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_PAYMENT")
    assert await refused(find(bus, by_window.payment_id)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_RESERVATION")
    site = api.client(f"onecard://merchant/{SCENIC}")
    assert (await cancel(site, by_window.payment_id)).decision == DECISION_APPROVED, "it concerns the site's own places"
    assert await refused(reserve(service, 1, site="NOBODY", begin_time_ms=begins_ms)) == (
        grpc.StatusCode.NOT_FOUND,
        "UNKNOWN_MERCHANT",
    )


async def test_what_is_wrong_with_a_request_is_named(api: Api, desk: Client) -> None:
    begins_ms = (await slot(desk)).begin_time_ms
    for asked in (
        reserve(desk, 0, places=0),
        reserve(desk, 0, places=10_001),
        reserve(desk, 0, begin_time_ms=begins_ms + 1),
        reserve(desk, 0, begin_time_ms=begins_ms + 9 * 86_400_000),
        reserve(desk, 0, begin_time_ms=begins_ms - 2 * 86_400_000),
        reserve(desk, 0, request_id="with blank"),
    ):
        code, _ = await refused(asked)
        assert code is INVALID
    for wrong in (
        ListSlotsRequest(from_date="tomorrow"),
        ListSlotsRequest(from_date="9999-12-31"),
        ListSlotsRequest(from_date="0001-01-01"),
        ListSlotsRequest(days=32),
    ):
        assert (await refused(desk.reservations.ListSlots(wrong, timeout=ANSWER_SECONDS)))[0] is INVALID
    assert figures(await slot(desk)) == (PLACES, 0, 0, PLACES)


async def test_a_payment_is_no_reservation_and_a_reservation_no_payment(api: Api, desk: Client) -> None:
    reserved = await reserve(desk, 0, request_id="a-visit")
    paid = await desk.pay(1, 100)
    for names in (reserved.payment_id, "a-visit"):
        assert (await refused(desk.payment(names)))[0] is grpc.StatusCode.NOT_FOUND
    assert (await refused(find(desk, paid.payment_id)))[0] is grpc.StatusCode.NOT_FOUND
