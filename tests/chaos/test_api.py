"""API processes killed, ended and frozen, and what they stand on taken away, with 64 payments in flight.

After each every verdict is read back by its id, each approved payment counts once, and the books are exact.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from signal import SIGKILL, SIGSTOP, SIGTERM

import grpc
import pytest

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from onecard.card.v1.card_events_pb2 import ELECTRONIC_USE_PAY
from onecard.payments.v1.outcomes_pb2 import REASON_TOKEN_SPENT, REASON_TOKEN_UNKNOWN
from onecard.payments.v1.payments_pb2 import DECISION_APPROVED, PAYMENT_STATUS_CAPTURED
from services.payments.adapters.ledger import Point
from tests.support.api import Api, ApiProcess, open_api
from tests.support.client import Client, refused
from tests.support.databases import drop_database, make_database
from tests.support.office import new_id
from tests.support.rush import AT_ONCE, Rush
from tests.support.tokens import electronic, leave
from tests.support.waiting import until
from tests.support.worker import Stop

pytestmark = pytest.mark.timeout(300)

CARDS_OF_A_TEST = 60


@pytest.fixture(scope="module")
async def api(postgres_server: Postgres, valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One process that outlives all tests of this module; each starts the one that suffers."""
    database = await make_database(postgres_server)
    folder = tmp_path_factory.mktemp("api")
    async with open_api(database, folder, cards=800, processes=1, ONECARD_REDIS=valkey_server.address) as opened:
        yield opened
        opened.logs_name_nobody()
    await drop_database(database)


@pytest.fixture
async def rush(api: Api) -> Rush:
    return Rush(api, [api.new_card() for _ in range(CARDS_OF_A_TEST)])


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[Valkey]:
    yield valkey_server
    if not valkey_server.child.alive:
        valkey_server.start()


async def busy(rush: Rush, more: int = 200) -> None:
    """Until so many more are answered, with all clerks at work."""
    goal = rush.answered + more
    await until("payments go on", lambda: rush.answered >= goal and rush.in_flight > AT_ONCE / 2)


async def till_before(process: ApiProcess, api: Api, card: int) -> Client:
    """A till that is connected with this one of the processes that share the port."""
    for number in range(64):
        till, answered = api.till(number), process.answered("Authorize")
        await till.pay(card, 1)
        if process.answered("Authorize") > answered:
            return till
    raise AssertionError(f"none of 64 connections came to {process.name}")


@pytest.mark.parametrize("point", ["locked", "written", "committed"])
async def test_a_process_killed_under_load_loses_no_verdict_and_doubles_none(api: Api, rush: Rush, point: Point) -> None:
    victim = api.start(Stop(point, arrival=10))
    await victim.serves()
    async with rush.on():
        assert await victim.died() == -SIGKILL
        await busy(rush)
    assert rush.unknown, "calls were in flight"
    await rush.exactly()
    assert rush.found or point != "committed", "there are verdicts that nobody was told"


async def test_a_process_that_is_told_to_end_finishes_what_it_has_begun_and_loses_nothing(api: Api, rush: Rush) -> None:
    leaving = api.start()
    await leaving.serves()
    cards = [api.new_card() for _ in range(4)]
    tills = [await till_before(leaving, api, card) for card in cards]
    async with rush.on():
        await busy(rush)
        async with api.lock_held(*cards) as waited_for:  # these are in flight when the signal comes, and for a while after it
            begun = [asyncio.ensure_future(till.pay(card, 700)) for till, card in zip(tills, cards, strict=True)]
            await until("their postings wait", waited_for)
            leaving.child.signal(SIGTERM)
            await asyncio.sleep(1)
            assert leaving.child.alive
        assert {receipt.decision for receipt in await asyncio.gather(*begun)} == {DECISION_APPROVED}
        assert await leaving.died() == 0
        await busy(rush)
    await rush.exactly()
    # What gRPC took from the wire in the moment of its stop no handler has begun: it is cancelled, and has no verdict.
    assert set(rush.unknown) <= {grpc.StatusCode.CANCELLED}
    assert rush.found == 0


async def test_a_process_frozen_in_a_posting_holds_its_cards_up_for_seconds_only(api: Api, rush: Rush) -> None:
    till = api.till()
    await asyncio.wait_for(till.channel.channel_ready(), 20)  # with the process that goes on
    frozen = api.start(Stop("written", arrival=10, signal=SIGSTOP))
    await frozen.serves()
    async with rush.on():
        await frozen.froze()
        since = time.monotonic()
        receipts = await asyncio.gather(*(till.pay(card, 1) for card in rush.cards))
        assert time.monotonic() - since < 12
        frozen.thaw()
        await busy(rush)
    rush.paid_besides(receipts)
    await rush.exactly()
    frozen.end()


@pytest.mark.parametrize("restart", [Postgres.restart, Postgres.kill], ids=["restarted", "killed"])
async def test_postgres_goes_and_comes_back_and_every_call_is_answered(
    api: Api, rush: Rush, restart: Callable[[Postgres], None]
) -> None:
    other = api.start()
    await other.serves()
    away_seconds = 0.0
    async with rush.on():
        await busy(rush)
        await api.engine.dispose()
        for _ in range(2):
            since = time.monotonic()
            await asyncio.to_thread(restart, api.database.server)
            if restart is Postgres.kill:
                await asyncio.to_thread(api.database.server.start)
            away_seconds = max(away_seconds, time.monotonic() - since)
            await busy(rush)
    assert rush.unknown == {} or away_seconds > 4, "whoever waits for the ledger is answered"
    await rush.exactly()
    assert all(process.child.alive for process in (api.processes[0], other))
    other.end()


async def test_who_reads_while_postgres_is_away_is_told_to_ask_again_and_then_answered(api: Api) -> None:
    tills, card, name = [api.till() for _ in range(8)], api.new_card(), new_id("before")
    await tills[0].pay(card, 700, name)
    await asyncio.gather(*(till.payment(name) for till in tills))  # so that sessions lie ready, to be broken
    await api.engine.dispose()
    server = api.database.server
    server.kill()
    for till in tills:
        assert await refused(till.payment(name)) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY")
    await asyncio.to_thread(server.start)
    assert {(await till.payment(name)).status for till in tills} == {PAYMENT_STATUS_CAPTURED}


@pytest.mark.parametrize("point", ["locked", "committed"])
async def test_a_process_killed_between_token_and_posting_lets_each_token_pay_once(
    api: Api, valkey_server: Valkey, point: Point
) -> None:
    victim = api.start(Stop(point, arrival=1), ONECARD_REDIS=valkey_server.address)
    await victim.serves()
    cards = [api.new_card() for _ in range(16)]
    await api.project(*(electronic(card, ELECTRONIC_USE_PAY) for card in cards))
    asked = [(api.till(number % 8), leave(valkey_server, card), new_id("token")) for number, card in enumerate(cards)]
    first = await asyncio.gather(*(till.by_token(token, 700, name) for till, token, name in asked), return_exceptions=True)
    assert await victim.died() == -SIGKILL
    tills = [api.till(number % 8) for number in range(len(asked))]  # on connections that nobody has broken
    again = await asyncio.gather(
        *(till.by_token(token, 700, name) for till, (_, token, name) in zip(tills, asked, strict=True))
    )
    assert {receipt.decision for receipt in again} == {DECISION_APPROVED}
    assert all(old == new for old, new in zip(first, again, strict=True) if not isinstance(old, BaseException))
    others = await asyncio.gather(*(till.by_token(token, 700) for till, (_, token, _) in zip(tills, asked, strict=True)))
    assert {receipt.reason for receipt in others} == {REASON_TOKEN_SPENT}
    window = api.window()
    assert {(await window.balance(card)).balance.amount_fen for card in cards} == {10_000 - 700}


async def test_without_redis_nothing_is_paid_by_token_and_repeats_are_answered(api: Api, valkey: Valkey) -> None:
    card, till, name = api.new_card(), api.till(), new_id("token")
    await api.project(electronic(card, ELECTRONIC_USE_PAY))
    token, unspent = leave(valkey, card), leave(valkey, card)
    receipt = await till.by_token(token, 700, name)
    valkey.kill()
    assert await refused(till.by_token(unspent, 700)) == (grpc.StatusCode.UNAVAILABLE, "TOKENS_AWAY")
    assert await till.by_token(token, 700, name) == receipt
    await asyncio.to_thread(valkey.start)  # it has forgotten everything
    assert (await till.by_token(unspent, 700)).reason == REASON_TOKEN_UNKNOWN


async def test_without_redis_payments_go_on(api: Api, rush: Rush, valkey: Valkey) -> None:
    process = api.processes[0]
    await until("the limits are shared", lambda: process.metric("onecard_rate_limits_local") == 0)
    async with rush.on():
        await busy(rush)
        valkey.kill()
        await until("it limits alone", lambda: process.metric("onecard_rate_limits_local") == 1)
        await busy(rush, more=500)
        await asyncio.to_thread(valkey.start)
        await until("the limits are shared again", lambda: process.metric("onecard_rate_limits_local") == 0)
        await busy(rush)
    assert rush.unknown == {}
    await rush.exactly()
