"""Who may ask for what: certificates, rights, revocation and rates, on real processes behind mutual TLS."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.authority import Authority, Issued, read
from onecard.payments.v1 import ledger_pb2, payments_pb2
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED, PAYMENT_STATUS_CAPTURED
from services.common.database import make_engine
from services.payments.domain.tap import Scene
from services.payments.handlers.callers import grant, revoke, take
from services.payments.handlers.register_merchants import ensure_merchant, ensure_service, ensure_terminal
from tests.support.api import BACK_OFFICE, HALL, VISITOR, Api, service_subject, terminal_subject, till_subject
from tests.support.client import Client, credit, debit, named, refused
from tests.support.edge import reason_of
from tests.support.office import new_id
from tests.support.town import BUS, CAMPUS
from tests.support.waiting import until

DENIED, NOBODY, MISSING = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.NOT_FOUND,
)
UNKNOWN = (DENIED, "UNKNOWN_CALLER")
HEARD_WITHIN = 10.0
"""Seconds until every process must have heard of what the operators took away."""

BACK_OFFICE_ASKS: list[Callable[[Client], Awaitable[object]]] = [
    lambda client: client.open_account(new_id("name")),
    lambda client: client.set_status(named("bank_settlement"), ledger_pb2.ACCOUNT_STATUS_FROZEN),
    lambda client: client.post(debit(named("bank_settlement"), 1), credit(named("concession_fund"), 1)),
    lambda client: client.account(named("bank_settlement")),
    lambda client: client.transfers(),
]
WINDOW_ASKS: list[Callable[[Client], Awaitable[object]]] = [
    lambda client: client.balance(0),
    lambda client: client.entries(0),
    lambda client: client.top_up(0, 100),
]


async def ends_with(
    ask: Callable[[], Awaitable[object]], expected: tuple[grpc.StatusCode, str], within: float = HEARD_WITHIN
) -> float:  # fmt: skip
    """Ask until it is refused like that; answers after how many seconds."""
    began = time.monotonic()

    async def refused_so() -> bool:
        try:
            await ask()
        except grpc.aio.AioRpcError as error:
            return (error.code(), reason_of(error)) == expected
        return False

    await until(f"it ends with {expected[1]}", refused_so, within)
    return time.monotonic() - began


async def as_owner(api: Api, work: Callable[..., Awaitable[object]], *given: str) -> None:
    owner = make_engine(api.database.owner_url, "tests", sessions=1)
    await work(owner, *given)
    await owner.dispose()


# Rights


@pytest.mark.parametrize("ask", range(3), ids=["GetBalance", "ListEntries", "TopUp"])
async def test_only_windows_and_the_back_office_may_see_or_fill_a_purse(api: Api, ask: int) -> None:
    asks = WINDOW_ASKS[ask]
    for subject in (till_subject(), f"onecard://merchant/{CAMPUS}", f"onecard://merchant/{HALL}", service_subject(VISITOR)):
        assert await refused(asks(api.client(subject))) == (DENIED, "WINDOW_RIGHT_NEEDED"), subject
    await asks(api.window())
    await asks(api.service(BACK_OFFICE))


@pytest.mark.parametrize("ask", range(5), ids=["OpenAccount", "SetAccountStatus", "Post", "GetAccount", "ListTransfers"])
async def test_only_who_holds_the_right_speaks_with_the_ledger(api: Api, ask: int) -> None:
    callers = [api.till(), api.window(), api.service(VISITOR), api.client(f"onecard://merchant/{CAMPUS}")]
    answers = [await refused(BACK_OFFICE_ASKS[ask](caller)) for caller in callers]
    assert answers == [(DENIED, "BACK_OFFICE_RIGHT_NEEDED")] * len(callers)


async def test_a_right_is_given_and_taken_within_seconds(api: Api) -> None:
    service = api.service("newcomer")

    async def ask() -> object:
        return await service.account(named("bank_settlement"))

    assert await refused(ask()) == UNKNOWN
    await as_owner(api, grant, "newcomer", "back_office")

    async def answered() -> bool:
        try:
            await ask()
        except grpc.aio.AioRpcError:
            return False
        return True

    await until("the right is heard of", answered, HEARD_WITHIN)
    await as_owner(api, take, "newcomer", "back_office")
    assert await ends_with(ask, (DENIED, "BACK_OFFICE_RIGHT_NEEDED")) < HEARD_WITHIN


# Own payments alone


async def test_a_till_neither_sees_nor_changes_what_another_one_was_paid(api: Api) -> None:
    till, name = api.till(), new_id("mine")
    paid = await till.pay(api.new_card(), 700, name)
    held = await till.authorize(api.new_card(), 700)
    strangers = [api.till(1), api.till(0, BUS), api.client(f"onecard://merchant/{BUS}"), api.service(BACK_OFFICE)]
    for other in strangers:
        for ask in (
            other.payment(paid.payment_id),
            other.payment(name),
            other.refund(paid.payment_id),
            other.void(paid.payment_id),
            other.capture(held.payment_id),
            other.void(held.payment_id),
        ):
            assert await refused(ask) == (MISSING, "UNKNOWN_PAYMENT")
    assert (await till.payment(paid.payment_id)).captured.amount_fen == 700
    assert (await till.payment(held.payment_id)).held.amount_fen == 700


async def test_a_merchant_acts_for_all_of_its_tills_but_pays_under_its_own_names(api: Api) -> None:
    card, name = api.new_card(), new_id("till")
    paid = await api.till().pay(card, 700, name)
    held = await api.till(1).authorize(card, 500)
    merchant = api.client(f"onecard://merchant/{CAMPUS}")
    assert (await merchant.payment(paid.payment_id)).status == PAYMENT_STATUS_CAPTURED
    assert (await merchant.refund(paid.payment_id, 300)).decision == DECISION_APPROVED
    assert (await merchant.capture(held.payment_id, 400)).decision == DECISION_APPROVED
    assert await refused(merchant.payment(name)) == (MISSING, "UNKNOWN_PAYMENT")  # that name is the till's
    own = await merchant.pay(card, 100, name)
    assert own.payment_id != paid.payment_id
    assert await refused(api.till().payment(own.payment_id)) == (MISSING, "UNKNOWN_PAYMENT")
    assert await api.town.balance(card) == 10_000 - 700 + 300 - 400 - 100


async def test_a_void_by_name_bars_nobody_elses_way(api: Api) -> None:
    card, name = api.new_card(), new_id("shared")
    await api.till(1).void(name)
    assert (await api.till(0).pay(card, 700, name)).decision == DECISION_APPROVED


# Certificates


@pytest.mark.parametrize(
    "subject",
    [
        terminal_subject(CAMPUS, "TILL-NOBODY-REGISTERED"),
        "onecard://merchant/NOBODY",
        terminal_subject("NOBODY", "T1"),
        service_subject("nobody"),
    ],
)
async def test_a_good_certificate_of_somebody_who_is_not_registered_opens_nothing(api: Api, subject: str) -> None:
    client = api.client(subject)
    for ask in (client.pay(0, 1), client.payment(new_id("x")), client.balance(0), client.account(named("bank_settlement"))):
        assert await refused(ask) == UNKNOWN


@pytest.mark.parametrize(
    "uri",
    [
        "onecard://merchant/service%3Asettlement",
        "onecard://merchant/service%3Asettlement/terminal/%2A",
        f"onecard://merchant/{CAMPUS}/terminal/%2A",
        f"onecard://merchant/{CAMPUS}/terminal/",
        "onecard://merchant/",
        "https://merchant/CAMPUS-1",
    ],
)
async def test_no_certificate_gets_a_right_by_its_spelling(api: Api, uri: str) -> None:
    with pytest.raises(ValueError, match="no subject"):
        api.authority.issue(uri)
    # What the development authority does not sign, another one that a city trusts might.
    name = new_id("forged")
    forged = Issued(api.authority.folder / f"{name}.pem", api.authority.folder / f"{name}.key")
    api.authority._sign(forged, uri, name, ())
    client = api.client(uri, forged)
    for ask in (client.account(named("bank_settlement")), client.pay(0, 1)):
        assert await refused(ask) == (NOBODY, "SUBJECT_UNKNOWN")


@pytest.mark.parametrize("kind", ["of another authority", "none"])
async def test_whoever_has_no_certificate_of_ours_is_not_even_heard(api: Api, tmp_path: Path, kind: str) -> None:
    trusted = api.authority.certificate.read_bytes()
    if kind == "none":
        credentials = grpc.ssl_channel_credentials(trusted)
    else:
        credentials = api.credentials(Authority(tmp_path).issue(till_subject()))
    before = [process.answered("GetPayment") for process in api.processes]
    async with grpc.aio.secure_channel(api.address, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unheard:
            await Client(channel).payment("x")
    assert unheard.value.code() is grpc.StatusCode.UNAVAILABLE
    assert [process.answered("GetPayment") for process in api.processes] == before


async def test_a_revoked_certificate_is_refused_by_every_process_within_seconds(api: Api) -> None:
    async with api.engine.begin() as connection:
        await ensure_terminal(connection, CAMPUS, "STOLEN")
    subject = terminal_subject(CAMPUS, "STOLEN")
    clients = [api.client(subject) for _ in range(16)]  # on both processes

    async def ask_all() -> object:
        endings = await asyncio.gather(*(client.payment("x") for client in clients), return_exceptions=True)
        reasons = {reason_of(ending) for ending in endings if isinstance(ending, grpc.aio.AioRpcError)}
        if reasons == {"CERTIFICATE_REVOKED"}:
            raise next(ending for ending in endings if isinstance(ending, grpc.aio.AioRpcError))
        return reasons

    await until("the new till is known", lambda: _says(ask_all(), {"UNKNOWN_PAYMENT"}), HEARD_WITHIN)
    await as_owner(api, revoke, read(api.authority.issue(subject).certificate).serial.upper(), "stolen")
    assert await ends_with(ask_all, (NOBODY, "CERTIFICATE_REVOKED")) < 5.5
    assert await refused(api.client(subject).pay(0, 1)) == (NOBODY, "CERTIFICATE_REVOKED")


async def _says(call: Awaitable[object], expected: object) -> bool:
    return await call == expected


async def test_a_retired_till_is_refused_within_seconds_and_so_are_those_of_a_retired_merchant(api: Api) -> None:
    async with api.engine.begin() as connection:
        await ensure_merchant(connection, "CLOSED-SHOP", Scene.CAMPUS)
        for terminal in ("OLD", "NEW"):
            await ensure_terminal(connection, "CLOSED-SHOP", terminal)
    old, new = (api.client(terminal_subject("CLOSED-SHOP", terminal)) for terminal in ("OLD", "NEW"))
    shop = api.client("onecard://merchant/CLOSED-SHOP")
    card = api.new_card()

    for client in (old, new, shop):  # each may be heard by another process
        await until("the shop is known", partial(_known, client), HEARD_WITHIN)
        await client.pay(card, 1)
    await _retire(api, "terminal", "OLD")
    assert await ends_with(lambda: old.pay(card, 1), UNKNOWN) < HEARD_WITHIN
    await new.pay(card, 1)
    await _retire(api, "merchant", "CLOSED-SHOP")
    for client in (new, shop):
        assert await ends_with(lambda client=client: client.pay(card, 1), UNKNOWN) < HEARD_WITHIN  # type: ignore[misc]


async def _retire(api: Api, table: str, name: str) -> None:
    async with api.engine.begin() as connection:
        await connection.exec_driver_sql(
            f"update payments.{table} set retired_time = now() where {table}_id = $1",
            (name,),
        )


async def test_a_service_that_was_registered_a_moment_ago_is_known(api: Api) -> None:
    async with api.engine.begin() as connection:
        await ensure_service(connection, "latecomer")
    client = api.service("latecomer")
    assert await ends_with(lambda: client.account(named("x")), (DENIED, "BACK_OFFICE_RIGHT_NEEDED"), within=4) < 4


# Rates


async def test_who_asks_too_often_is_told_so_and_nobody_else_suffers(api: Api) -> None:
    async with api.engine.begin() as connection:
        await ensure_terminal(connection, CAMPUS, "HASTY")
    hasty, other = api.client(terminal_subject(CAMPUS, "HASTY")), api.till(3)
    await until("the new till is known", lambda: _known(hasty), HEARD_WITHIN)
    began = time.monotonic()
    endings = Counter(await asyncio.gather(*(_ending(hasty) for _ in range(1000))))
    assert set(endings) == {(MISSING, "UNKNOWN_PAYMENT"), (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")}
    # 400 at once and 200 a second; a block of 20 may be in hand.
    assert 390 <= endings[MISSING, "UNKNOWN_PAYMENT"] <= 420 + 200 * (time.monotonic() - began)
    assert await _ending(other) == (MISSING, "UNKNOWN_PAYMENT")
    await asyncio.sleep(0.5)
    assert await _ending(hasty) == (MISSING, "UNKNOWN_PAYMENT"), "after a moment it may ask again"


async def _known(client: Client) -> bool:
    return await _ending(client) != UNKNOWN


async def _ending(client: Client) -> tuple[Any, str]:
    return await refused(client.payment("x"))


async def test_a_limited_call_leaves_its_id_free(api: Api) -> None:
    """Nothing was stored of it, so the very same request may come again."""
    till, card = api.till(4), api.new_card()
    names = [new_id("burst") for _ in range(600)]
    request = [payments_pb2.GetPaymentRequest(payment=payments_pb2.PaymentReference(authorize_request_id=n)) for n in names]
    await asyncio.gather(*(till.payments.GetPayment(one, timeout=20) for one in request), return_exceptions=True)
    name = new_id("again")

    async def approved() -> bool:
        try:
            return (await till.pay(card, 700, name)).decision == DECISION_APPROVED
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "RATE_LIMITED":
                raise
            return False

    await until("there is room again", approved, within=5)
    assert await api.town.balance(card) == 9_300
