"""Dead letters before an operator, behind mutual TLS: looked at, replayed, and refused by two; every act is written down."""

import asyncio
import uuid
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.payments.v1 import dead_letter_service_pb2 as messages
from onecard.payments.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from onecard.payments.v1.dead_letters_pb2 import CAUSE_UNDECODABLE, CAUSE_UNKNOWN_TERMINAL
from services.common import topics
from services.common.database import make_engine
from services.payments.adapters.dead_letters import RefusedMeanwhileError
from services.payments.adapters.wire import decode
from services.payments.handlers.callers import grant
from services.payments.handlers.replay_dead_letters import ReplayDeadLetters
from tests.support.api import BACK_OFFICE, Api
from tests.support.client import refused
from tests.support.town import BUS, bus_ride, card_identifier, received
from tests.support.waiting import until

ONE, OTHER = "operator-1", "operator-2"


def new_id() -> str:
    return uuid.uuid4().hex


class Desk:
    """An operator."""

    def __init__(self, api: Api, name: str) -> None:
        self.stub = DeadLetterServiceStub(api.service(name).channel)

    async def get(self, number: int) -> messages.GetDeadLetterResponse:
        found: messages.GetDeadLetterResponse = await self.stub.GetDeadLetter(
            messages.GetDeadLetterRequest(number=number), timeout=20
        )
        return found

    async def replay(self, *numbers: int, request_id: str = "") -> list[messages.ReplayResult]:
        request = messages.ReplayDeadLettersRequest(request_id=request_id or new_id(), numbers=numbers, reason="mended")
        return list((await self.stub.ReplayDeadLetters(request, timeout=20)).results)

    async def ask(self, *numbers: int, reason: str = "forged", request_id: str = "") -> messages.DeadLetterAct:
        request = messages.RequestRefusalRequest(request_id=request_id or new_id(), numbers=numbers, reason=reason)
        act: messages.DeadLetterAct = (await self.stub.RequestRefusal(request, timeout=20)).act
        return act

    async def approve(self, asked: int) -> messages.ApproveRefusalResponse:
        request = messages.ApproveRefusalRequest(request_id=new_id(), asked=asked)
        response: messages.ApproveRefusalResponse = await self.stub.ApproveRefusal(request, timeout=20)
        return response

    async def reject(self, asked: int) -> messages.DeadLetterAct:
        request = messages.RejectRefusalRequest(request_id=new_id(), asked=asked, reason="it is genuine")
        act: messages.DeadLetterAct = (await self.stub.RejectRefusal(request, timeout=20)).act
        return act


@pytest.fixture
async def desks(api: Api) -> tuple[Desk, Desk]:
    """Two people who hold the right, as soon as the processes know of it."""
    owner = make_engine(api.database.owner_url, "tests", sessions=1)
    for name in (ONE, OTHER):
        await grant(owner, name, "operator")
    await owner.dispose()
    both = Desk(api, ONE), Desk(api, OTHER)

    async def known() -> bool:
        try:
            for desk in both:
                await desk.stub.CountDeadLetters(messages.CountDeadLettersRequest(), timeout=20)
        except grpc.aio.AioRpcError:
            return False
        return True

    await until("the operators are known", known, 10)
    return both


async def dead(api: Api, *records: Any) -> list[int]:
    """Put records aside; their numbers."""
    come = received(records)
    await api.town.post(come)
    rows = await api.rows(
        'select number from payments.dead_letter where "offset" = any(cast(:offsets as bigint[])) order by "offset"',
        offsets=[record.offset for record in come],
    )
    return [row[0] for row in rows]


async def register(engine: AsyncEngine, terminal_id: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into payments.terminal (merchant, terminal_id)"
                " select id, :t from payments.merchant where merchant_id = :m"
            ),
            {"t": terminal_id, "m": BUS},
        )


def replay_of(api: Api) -> ReplayDeadLetters:
    return ReplayDeadLetters(api.engine, api.town.post, api.town.registry, api.town.verifier)


async def test_only_operators_may_look_or_act(api: Api) -> None:
    for stranger in (api.service(BACK_OFFICE), api.till(1), api.window()):
        asking = DeadLetterServiceStub(stranger.channel)
        calls = (
            asking.CountDeadLetters(messages.CountDeadLettersRequest()),
            asking.ListDeadLetters(messages.ListDeadLettersRequest()),
            asking.GetDeadLetter(messages.GetDeadLetterRequest(number=1)),
            asking.ReplayDeadLetters(messages.ReplayDeadLettersRequest(request_id="r", numbers=[1], reason="x")),
            asking.RequestRefusal(messages.RequestRefusalRequest(request_id="r", numbers=[1], reason="x")),
            asking.ApproveRefusal(messages.ApproveRefusalRequest(request_id="r", asked=1)),
            asking.RejectRefusal(messages.RejectRefusalRequest(request_id="r", asked=1, reason="x")),
            asking.ListDeadLetterActs(messages.ListDeadLetterActsRequest()),
        )
        for call in calls:
            assert await refused(call) == (grpc.StatusCode.PERMISSION_DENIED, "OPERATOR_RIGHT_NEEDED")


async def test_a_letter_tells_when_its_cause_is_mended_and_is_decided_once(api: Api, desks: tuple[Desk, Desk]) -> None:
    desk, _ = desks
    card = api.new_card()
    (number,) = await dead(api, bus_ride(card, terminal_id="BUS-1-MENDED"))
    found = await desk.get(number)
    assert (found.standing, found.cause_now) == (messages.STANDING_STANDS, CAUSE_UNKNOWN_TERMINAL)
    assert card_identifier(card) not in str(found)
    assert [one.outcome for one in await desk.replay(number)] == [messages.REPLAY_OUTCOME_STILL_DEAD]
    await register(api.engine, "BUS-1-MENDED")
    assert (await desk.get(number)).standing == messages.STANDING_MENDED
    before = await api.rows("select record from payments.dead_letter where number = :n", n=number)
    outcomes = [one.outcome for one in await desk.replay(number)]
    assert outcomes == [messages.REPLAY_OUTCOME_POSTED]
    assert [one.outcome for one in await desk.replay(number, 2**40)] == [
        messages.REPLAY_OUTCOME_ENDED,
        messages.REPLAY_OUTCOME_UNKNOWN,
    ]
    assert await api.town.balance(card) == 9_800
    assert await api.rows("select record from payments.dead_letter where number = :n", n=number) == before
    found = await desk.get(number)
    assert found.standing == messages.STANDING_ENDED
    assert [(act.kind, act.actor) for act in found.acts] == [
        (messages.ACT_KIND_REPLAY, f"onecard://service/{ONE}"),
    ] * 3


async def test_lists_are_paged_and_filtered(api: Api, desks: tuple[Desk, Desk]) -> None:
    desk, _ = desks
    numbers = await dead(api, *((topics.TRANSACTIONS_BUS, b"\xff") for _ in range(5)))
    wanted = messages.DeadLetterFilter(cause=CAUSE_UNDECODABLE)
    (counted,) = (await desk.stub.CountDeadLetters(messages.CountDeadLettersRequest(filter=wanted))).counts
    seen: list[int] = []
    token = ""
    while True:
        page = await desk.stub.ListDeadLetters(messages.ListDeadLettersRequest(filter=wanted, page_size=2, page_token=token))
        seen += [letter.number for letter in page.letters]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == counted.records
    assert set(numbers) <= set(seen)
    none = messages.ListDeadLettersRequest(filter=messages.DeadLetterFilter(before_time_ms=1000))
    assert not (await desk.stub.ListDeadLetters(none)).letters


async def test_a_refusal_takes_two_people_and_ends_the_record_for_ever(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, other = desks
    (number,) = await dead(api, (topics.TRANSACTIONS_BUS, b"\xff\x00"))
    act = await one.ask(number)
    assert (await one.get(number)).standing == messages.STANDING_STANDS
    assert await refused(one.approve(act.number)) == (grpc.StatusCode.PERMISSION_DENIED, "SECOND_PERSON_NEEDED")
    approved = await other.approve(act.number)
    assert not approved.ended_before
    assert (await other.approve(act.number)).act == approved.act
    found = await one.get(number)
    assert (found.standing, found.letter.refusal) == (messages.STANDING_ENDED, approved.act.number)
    assert [(act.kind, act.actor.rpartition("/")[2], act.reason) for act in found.acts] == [
        (messages.ACT_KIND_APPROVE_REFUSAL, OTHER, "forged"),
        (messages.ACT_KIND_ASK_REFUSAL, ONE, "forged"),
    ]
    assert [result.outcome for result in await one.replay(number)] == [messages.REPLAY_OUTCOME_ENDED]
    assert await refused(one.ask(number)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_OPEN")
    assert await refused(one.reject(act.number)) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_ANSWERED")


async def test_what_was_rejected_stays_open_and_what_was_posted_meanwhile_stays_posted(
    api: Api, desks: tuple[Desk, Desk]
) -> None:
    one, other = desks
    card = api.new_card()
    (number,) = await dead(api, bus_ride(card, terminal_id="BUS-1-DOUBT"))
    act = await one.ask(number)
    await other.reject(act.number)
    assert await refused(other.approve(act.number)) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_ANSWERED")
    again = await one.ask(number)
    await register(api.engine, "BUS-1-DOUBT")
    assert (await other.replay(number))[0].outcome == messages.REPLAY_OUTCOME_POSTED
    assert list((await other.approve(again.number)).ended_before) == [number]
    assert (await one.get(number)).letter.refusal == 0
    assert await api.town.balance(card) == 9_800


async def test_a_request_id_stands_for_one_request(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, _ = desks
    first, second = await dead(api, (topics.TRANSACTIONS_BUS, b"\x01"), (topics.TRANSACTIONS_BUS, b"\x02"))
    request_id = new_id()
    assert await one.ask(first, request_id=request_id) == await one.ask(first, request_id=request_id)
    assert await refused(one.ask(second, request_id=request_id)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_TAKEN")


async def test_a_replay_and_a_refusal_at_once_give_one_end(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, other = desks
    cards = [api.new_card() for _ in range(10)]
    numbers = await dead(api, *(bus_ride(card, terminal_id="BUS-1-RACE") for card in cards))
    asked = [await one.ask(number) for number in numbers]
    await register(api.engine, "BUS-1-RACE")
    await asyncio.sleep(1.1)
    replays = [one.replay(number) for number in numbers]
    approvals = [other.approve(act.number) for act in asked]
    await asyncio.gather(*(call for both in zip(replays, approvals, strict=True) for call in both))
    for card, number in zip(cards, numbers, strict=True):
        letter = (await one.get(number)).letter
        assert letter.end_time_ms
        assert await api.town.balance(card) == (10_000 if letter.refusal else 9_800)


async def test_a_record_that_was_refused_is_not_posted_by_a_replay_that_had_read_it(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, other = desks
    card = api.new_card()
    ride = received([bus_ride(card, terminal_id="BUS-1-LATE-END")])
    await api.town.post(ride)
    ((number,),) = await api.rows('select number from payments.dead_letter where "offset" = :o', o=ride[0].offset)
    await other.approve((await one.ask(number)).number)
    await register(api.engine, "BUS-1-LATE-END")
    await api.town.registry.refresh()
    entries = [(ride[0], decode(ride[0], api.town.registry, api.town.verifier))]
    with pytest.raises(RefusedMeanwhileError):
        await api.town.post.settle(entries, replay=True)
    assert await api.town.balance(card) == 10_000


async def test_the_same_bytes_sent_again_end_as_they_did(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, other = desks
    ride = bus_ride(api.new_card(), terminal_id="BUS-1-STUBBORN")
    (number,) = await dead(api, ride)
    await other.approve((await one.ask(number)).number)
    (copy,) = await dead(api, ride)
    assert await replay_of(api).close_copies() == 1
    assert (await one.get(copy)).letter.refusal == (await one.get(number)).letter.refusal
    assert await replay_of(api).close_copies() == 0


async def test_the_database_keeps_the_rule_of_two_and_every_act(api: Api, desks: tuple[Desk, Desk]) -> None:
    one, _ = desks
    (number,) = await dead(api, (topics.TRANSACTIONS_BUS, b"\x07"))
    act = await one.ask(number)
    approve_own = (
        "insert into payments.dead_letter_act (kind, actor, letters, reason, asked, request_id)"
        f" values (3, '{act.actor}', array[{number}::bigint], 'x', {act.number}, '{new_id()}')"
    )
    for statement in (
        approve_own,
        f"update payments.dead_letter set refusal = {act.number}, resolved_time = now() where number = {number}",
        f"update payments.dead_letter_act set reason = 'y' where id = {act.number}",
        f"delete from payments.dead_letter_act where id = {act.number}",
        f"update payments.dead_letter set record = 'y' where number = {number}",
    ):
        with pytest.raises(DBAPIError):
            async with api.engine.begin() as connection:
                await connection.exec_driver_sql(statement)
