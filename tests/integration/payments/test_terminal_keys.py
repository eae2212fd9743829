"""Keys for those whose they are, behind mutual TLS; nothing of a key is ever in a log."""

import asyncio
import base64
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1.terminal_keys_pb2 import GetTerminalKeysRequest, GetTerminalKeysResponse
from onecard.payments.v1.terminal_keys_pb2_grpc import TerminalKeyServiceStub
from sdk.merchant.access import Access, Credentials
from sdk.merchant.key_file import Place
from sdk.merchant.keys import TerminalKeys
from sdk.merchant.transaction import BusRide
from services.common.database import make_engine
from services.payments.domain.tap import Scene
from services.payments.handlers.epochs import add_epoch
from services.payments.handlers.register_merchants import ensure_merchant, ensure_terminal
from tests.support.api import BACK_OFFICE, Api, service_subject, terminal_subject
from tests.support.client import Client, refused
from tests.support.edge import reason_of
from tests.support.terminal_keys import key_of
from tests.support.town import BUS, CAMPUS, card_identifier, now_ms, received
from tests.support.waiting import until

DAY_MS = 86_400_000


@pytest.fixture
async def owner(api: Api) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(api.database.owner_url, "tests", sessions=1)
    yield engine
    await engine.dispose()


async def keys(client: Client, terminal_id: str = "") -> GetTerminalKeysResponse:
    asking = TerminalKeyServiceStub(client.channel).GetTerminalKeys
    answer: GetTerminalKeysResponse = await asking(GetTerminalKeysRequest(terminal_id=terminal_id), timeout=20)
    return answer


async def test_a_terminal_is_given_its_own_keys_and_no_others(api: Api) -> None:
    till = api.till(1)
    for asked in ("", f"{CAMPUS}-T1"):
        answer = await keys(till, asked)
        assert answer.current_epoch == 1
        assert (answer.keys[0].epoch, answer.keys[0].key) == (1, key_of(CAMPUS, f"{CAMPUS}-T1").key)
    for other in (f"{CAMPUS}-T2", f"{BUS}-T1", "*", "NOBODY"):
        assert await refused(keys(till, other)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_TERMINAL")


async def test_a_merchant_is_given_those_of_its_own_terminals_alone(api: Api) -> None:
    merchant = api.client(f"onecard://merchant/{CAMPUS}")
    assert (await keys(merchant, f"{CAMPUS}-T3")).keys[0].key == key_of(CAMPUS, f"{CAMPUS}-T3").key
    assert await refused(keys(merchant, f"{BUS}-T1")) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TERMINAL")
    for nobody in ("", "*"):
        assert (await refused(keys(merchant, nobody)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_services_and_strangers_are_given_none(api: Api) -> None:
    assert await refused(keys(api.service(BACK_OFFICE), f"{BUS}-T1")) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_A_MERCHANT")
    for stranger in (terminal_subject("NOBODY", "T-1"), terminal_subject(BUS, "STOLEN"), service_subject("stranger")):
        assert await refused(keys(api.client(stranger))) == (grpc.StatusCode.PERMISSION_DENIED, "UNKNOWN_CALLER")


async def test_a_retired_terminal_is_given_nothing_more(api: Api, owner: AsyncEngine) -> None:
    async with owner.begin() as connection:
        await ensure_merchant(connection, "LOST", Scene.BUS)
        await ensure_terminal(connection, "LOST", "L-1")
    await until("it is known", lambda: _answers(api, terminal_subject("LOST", "L-1")), 10)
    async with owner.begin() as connection:
        await connection.exec_driver_sql("update payments.terminal set retired_time = now() where terminal_id = 'L-1'")
    terminal, merchant = api.client(terminal_subject("LOST", "L-1")), api.client("onecard://merchant/LOST")

    async def gone() -> bool:
        try:
            await keys(terminal)
        except grpc.aio.AioRpcError:
            return True
        return False

    await until("it is retired", gone, 10)
    assert await refused(keys(merchant, "L-1")) == (grpc.StatusCode.NOT_FOUND, "RETIRED_TERMINAL")


async def _answers(api: Api, subject: str) -> bool:
    try:
        return bool((await keys(api.client(subject))).keys)
    except grpc.aio.AioRpcError:
        return False


async def test_the_sdk_signs_with_what_it_was_given_over_mutual_tls(api: Api, tmp_path_factory: pytest.TempPathFactory) -> None:
    issued = api.authority.issue(f"onecard://merchant/{BUS}")
    credentials = Credentials(issued.certificate, issued.key, api.authority.certificate)
    held = TerminalKeys(tmp_path_factory.mktemp("keys") / "keys", Access(api.address, lambda _: credentials))
    places: list[Place] = [(BUS, f"{BUS}-T4"), (BUS, "STOLEN")]
    missing = await asyncio.to_thread(held.fetch, places)
    assert [(place, why.final) for place, why in missing.items()] == [((BUS, "STOLEN"), True)]
    card = api.new_card()
    ride = BusRide(
        merchant_id=BUS,
        terminal_id=f"{BUS}-T4",
        card_identifier=card_identifier(card),
        event_time_ms=now_ms(),
        line_id="L1",
        stop_id="S1",
    )
    assert len((await api.town.post(received([held.sign(ride, 1)]))).outcomes) == 1
    assert await api.town.balance(card) == 9_800


async def test_who_asks_too_often_is_told_so(api: Api) -> None:
    till = api.till(7)
    endings = await asyncio.gather(*(keys(till) for _ in range(900)), return_exceptions=True)
    refusals = {reason_of(ending) for ending in endings if isinstance(ending, grpc.aio.AioRpcError)}
    assert refusals == {"RATE_LIMITED"}


async def test_the_next_epochs_key_comes_before_its_time_and_no_log_has_any_key(api: Api, owner: AsyncEngine) -> None:
    added = await add_epoch(owner, 1, now_ms() + DAY_MS)
    till = api.till(5)

    async def told() -> bool:
        return [key.epoch for key in (await keys(till)).keys] == [1, added.number]

    await until("the next epoch is told", told, 10)
    answer = await keys(till)
    assert answer.current_epoch == 1
    assert (answer.keys[1].key, answer.keys[1].valid_from_ms) == (
        key_of(CAMPUS, f"{CAMPUS}-T5", added.number).key,
        added.valid_from_ms,
    )
    assert '"event": "terminal_keys_given"' in api.log
    assert f"{CAMPUS}-T5" in api.log
    for key in answer.keys:
        for shown in (key.key.hex(), key.key.hex().upper(), base64.b64encode(key.key).decode(), repr(key.key)[2:-1]):
            assert shown not in api.log
