"""Personalise as a terminal meets it: messages that belong elsewhere, come late, or make no sense end the stream by name."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from inspect import isawaitable
from itertools import count
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from onecard.issuance.v1 import issuance_pb2 as messages
from onecard.issuance.v1.blanks_pb2 import DecideCountersignatureRequest
from onecard.issuance.v1.blanks_pb2_grpc import CountersignServiceStub, add_CountersignServiceServicer_to_server
from onecard.issuance.v1.issuance_pb2_grpc import IssuanceServiceStub, add_IssuanceServiceServicer_to_server
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server
from services.issuance.adapters.audit import MOST_CHECKS
from services.issuance.adapters.records import PostgresJournal
from services.issuance.api import issuance
from services.issuance.api.actors import Actors
from services.issuance.api.countersignatures import CountersignService
from services.issuance.api.issuance import IssuanceService
from services.issuance.domain.actor import Actor, Role
from services.issuance.domain.effects import VaultRefused
from services.issuance.handlers.check_card import CheckCard
from services.issuance.handlers.dialogue import Run
from services.issuance.handlers.once import keyed_digests
from services.issuance.handlers.personalise import Personalise
from services.issuance.handlers.update_card import UpdateCard
from tests.support.blank_desk import StaffRoom
from tests.support.blanks import WINDOW
from tests.support.chip import Cut
from tests.support.chip_driver import PRODUCTS
from tests.support.edge import reason_of
from tests.support.hostile_terminal import answer_to
from tests.support.issuance import ATR, Room
from tests.support.issuance_postgres import check, open_room
from tests.support.issuance_room import PRESENTED, ChipTerminal

Driver: TypeAlias = "asyncpg.Connection[Any]"


class Desk:
    """A terminal that speaks gRPC, with a chip in its reader."""

    def __init__(self, port: int, room: Room, staff: StaffRoom, actors: Actors) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.room = room
        self.staff = staff
        self.actors = actors
        self.token = staff.sign_in(3, Role.CLERK)
        self.supervisor = staff.sign_in(4, Role.SUPERVISOR)

    def begin(self, application: int = 0, **other: Any) -> messages.PersonaliseRequest:
        fields = {"application_id": application, "atr": ATR["ssc3"], "printer_ready": True, **other}
        return messages.PersonaliseRequest(begin=messages.BeginPersonalising(**fields))

    def open(self) -> Any:
        metadata = (("x-onecard-subject", WINDOW), ("x-onecard-shift", self.token))
        return IssuanceServiceStub(self.channel).Personalise(metadata=metadata, timeout=30)

    async def issue(
        self, application: int, change: Callable[[messages.PersonaliseRequest, int], Any] = lambda *_: None
    ) -> messages.Finished:
        """The whole dialogue; `change` alters what is said at a step, or answers what is said instead."""
        call, terminal = self.open(), ChipTerminal(self.room.cards[0])
        await call.write(self.begin(application))
        step = 0
        while True:
            message = await call.read()
            if message is grpc.aio.EOF:
                await call  # raises what it ended with
                raise AssertionError("a stream ends with Finished, or a status")
            if message.WhichOneof("what") == "finished":
                assert await call.read() is grpc.aio.EOF
                finished: messages.Finished = message.finished
                return finished
            step += 1
            answer = answer_to(terminal, message)
            changed = change(answer, step)
            answer = (await changed if isawaitable(changed) else changed) or answer
            await call.write(answer)

    async def converse(self, method: str, begin: Any, cut_at: int = -1) -> Any:
        """With the chip alone; the last message."""
        metadata = (("x-onecard-subject", WINDOW), ("x-onecard-shift", self.token))
        call = getattr(IssuanceServiceStub(self.channel), method)(metadata=metadata, timeout=30)
        await call.write(begin)
        terminal = ChipTerminal(self.room.cards[0])
        numbers = count()
        while True:
            message = await call.read()
            if message is grpc.aio.EOF:
                await call
                raise AssertionError("a stream ends with a message, or a status")
            if message.WhichOneof("what") != "commands":
                return message
            if next(numbers) == cut_at:
                call.cancel()
                return None
            said = answer_to(terminal, message).responses
            await call.write(type(begin)(at=message.at, responses=said))

    async def sign(self, number: int, *, sign: bool = True) -> str:
        metadata = (("x-onecard-subject", WINDOW), ("x-onecard-shift", self.supervisor))
        request = DecideCountersignatureRequest(countersignature_id=number, sign=sign, reason="" if sign else "no")
        answer = await CountersignServiceStub(self.channel).DecideCountersignature(request, metadata=metadata, timeout=20)
        return str(answer.refusal.reason)


@pytest.fixture
async def room(journal: PostgresJournal, driver: Driver) -> Room:
    return await open_room(journal, driver, 2)


@pytest.fixture
async def desk(journal: PostgresJournal, room: Room, issuance_engine: AsyncEngine) -> AsyncIterator[Desk]:
    async def revoked() -> frozenset[str]:
        return frozenset()

    staff = StaffRoom()
    server: Any = make_server(Listen("127.0.0.1:0", None), RevocationList(revoked))
    personalise = Personalise(journal, room.registry, room.vault, tuple(PRODUCTS.values()))
    actors: Any = Actors(staff)  # type: ignore[arg-type]  # all that it asks of the card service
    parts = (journal, room.registry, room.vault, tuple(PRODUCTS.values()))
    update, looking = UpdateCard(issuance_engine, keyed_digests(journal._vault), *parts), CheckCard(*parts)
    add_IssuanceServiceServicer_to_server(IssuanceService(actors, personalise, update, looking, "江门市"), server)
    add_CountersignServiceServicer_to_server(CountersignService(issuance_engine, actors), server)
    await server.start()
    made = Desk(server.port, room, staff, actors)
    yield made
    await made.channel.close()
    await server.stop()


async def refused(work: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await work
    return error.value.code(), reason_of(error.value)


async def test_a_card_is_issued_in_twenty_messages_and_announced(desk: Desk, room: Room, driver: Driver) -> None:
    steps: list[int] = []
    finished = await desk.issue(room.registry.apply(), lambda _, step: steps.append(step))
    assert finished.outcome == messages.ISSUE_OUTCOME_ISSUED
    assert finished.blank_serial == room.cards[0].serial
    assert not finished.HasField("refusal")
    assert len(steps) <= 20
    events = await driver.fetch("select outcome from issuance.outbox order by id")
    assert [row[0] for row in events] == [messages.ISSUE_OUTCOME_LYING, messages.ISSUE_OUTCOME_ISSUED]


@pytest.mark.parametrize("step", [1, 4, 9, 14, 17])
async def test_a_shift_that_ends_while_a_card_is_made_ends_the_stream_at_its_next_message(
    desk: Desk, room: Room, driver: Driver, step: int
) -> None:
    async def end_shift(_: messages.PersonaliseRequest, at: int) -> None:
        if at == step:
            actor = await desk.staff.who_acts(desk.token, WINDOW, "")
            assert isinstance(actor, Actor)
            desk.actors.hear_ended({actor.shift})

    application = room.registry.apply()
    assert await refused(desk.issue(application, end_shift)) == (grpc.StatusCode.UNAUTHENTICATED, "SHIFT_ENDED")
    assert await refused(desk.issue(application)) == (grpc.StatusCode.UNAUTHENTICATED, "SHIFT_ENDED")
    desk.token = desk.staff.sign_in(5, Role.CLERK)
    finished = await desk.issue(application)
    assert finished.outcome == messages.ISSUE_OUTCOME_ISSUED
    await check(driver, room)


@pytest.mark.parametrize("field", ["record_id", "epoch", "step"])
@pytest.mark.parametrize("step", [1, 3, 8])
async def test_a_message_of_another_record_epoch_or_step_ends_the_stream(desk: Desk, room: Room, field: str, step: int) -> None:
    def splice(answer: messages.PersonaliseRequest, at: int) -> None:
        if at == step:
            setattr(answer.at, field, getattr(answer.at, field) + 1)

    application = room.registry.apply()
    assert await refused(desk.issue(application, splice)) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_POSITION")
    assert (await desk.issue(application)).outcome == messages.ISSUE_OUTCOME_ISSUED


async def test_a_message_that_is_replayed_ends_the_stream(desk: Desk, room: Room) -> None:
    said: list[messages.PersonaliseRequest] = []

    def replay(answer: messages.PersonaliseRequest, at: int) -> messages.PersonaliseRequest:
        said.append(answer)
        return said[at - 2] if at == 5 else answer

    application = room.registry.apply()
    assert (await refused(desk.issue(application, replay)))[1] == "WRONG_POSITION"
    first = said
    said = []

    def older(answer: messages.PersonaliseRequest, at: int) -> messages.PersonaliseRequest:
        return first[at - 1] if at == 3 else answer

    assert (await refused(desk.issue(application, older)))[1] == "WRONG_POSITION"
    assert (await desk.issue(application)).outcome == messages.ISSUE_OUTCOME_ISSUED


@pytest.mark.parametrize(
    "what",
    [
        {"printed": messages.Printed(outcome=messages.PRINT_OUTCOME_DONE)},
        {"begin": messages.BeginPersonalising(application_id=1, atr=b"1")},
        {"responses": messages.ChipResponses(responses=[b"1"])},
        {"responses": messages.ChipResponses(responses=[bytes(300)])},
        {"responses": messages.ChipResponses(trouble=9)},  # type: ignore[arg-type]
        {"given_up": messages.GivenUp()},
        {},
    ],
)
async def test_what_makes_no_sense_ends_the_stream(desk: Desk, room: Room, what: dict[str, Any]) -> None:
    def wrong(answer: messages.PersonaliseRequest, at: int) -> messages.PersonaliseRequest:
        return messages.PersonaliseRequest(at=answer.at, **what) if at == 4 else answer

    application = room.registry.apply()
    assert await refused(desk.issue(application, wrong)) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert (await desk.issue(application)).outcome == messages.ISSUE_OUTCOME_ISSUED


@pytest.mark.parametrize("raw", [b"\xff" * 40, b"\x0a\x7f", b"\x12\xff\xff\xff\xff\x0f"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_bytes_that_are_no_message_end_the_stream(desk: Desk, room: Room, raw: bytes, at_once: bool) -> None:
    metadata = (("x-onecard-subject", WINDOW), ("x-onecard-shift", desk.token))
    application = room.registry.apply()
    call: Any = desk.channel.stream_stream("/onecard.issuance.v1.IssuanceService/Personalise")(metadata=metadata, timeout=30)
    if not at_once:
        await call.write(desk.begin(application).SerializeToString())
        await call.read()
    await call.write(raw)
    assert await refused(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert (await desk.issue(application)).outcome == messages.ISSUE_OUTCOME_ISSUED


async def test_a_stream_begins_with_its_beginning(desk: Desk) -> None:
    call = desk.open()
    await call.write(messages.PersonaliseRequest(at=messages.Position(step=1), begin=desk.begin().begin))
    assert (await refused(call.read()))[1] == "BAD_REQUEST"


async def test_a_terminal_that_names_another_cards_identifier_gets_no_cryptogram(desk: Desk, room: Room) -> None:
    """The chip in its reader is one that it holds no record of."""
    first = room.registry.apply()
    other = bytes.fromhex((await room.journal.find(room.cards[1].chip.identifier.hex().upper())).card_identifier)  # type: ignore[union-attr]

    def lie(answer: messages.PersonaliseRequest, at: int) -> messages.PersonaliseRequest:
        if at == 2:  # the reading again, when the record is held
            raw = [one.replace(room.cards[0].chip.identifier, other) for one in answer.responses.responses]
            return messages.PersonaliseRequest(at=answer.at, responses=messages.ChipResponses(responses=raw))
        return answer

    finished = await desk.issue(first, lie)
    assert (finished.outcome, finished.refusal.reason) == (messages.ISSUE_OUTCOME_TRY_AGAIN, "FOREIGN_CARD")
    assert [vault.asked for _, vault in room.vault.opened] == [[]]


async def test_nobody_makes_cards_without_being_signed_in(desk: Desk) -> None:
    desk.token = "of nobody"
    call = desk.open()
    await call.write(desk.begin(1))
    assert (await refused(call.read()))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_that_is_cut_is_resumed_and_the_ledger_balances(desk: Desk, room: Room, driver: Driver) -> None:
    application = room.registry.apply()
    for step in range(1, 16):
        call, terminal = desk.open(), ChipTerminal(room.cards[0])
        await call.write(desk.begin(application))
        for _ in range(step):
            message = await call.read()
            if message is grpc.aio.EOF or message.WhichOneof("what") == "finished":
                break
            await call.write(answer_to(terminal, message))
        call.cancel()
    finished = await desk.issue(application)
    assert finished.outcome == messages.ISSUE_OUTCOME_ISSUED or finished.refusal.reason == "BLANK_HANDED_OVER"
    await room.settle()
    assert room.cards[0].printed == 1
    await check(driver, room)
    assert [card.state for card in room.registry.cards] == ["ISSUED"]


def new_pin(desk: Desk, pin: str = "135790", request_id: str = "u1", **other: Any) -> messages.UpdateCardRequest:
    identifier = desk.room.cards[0].chip.identifier.hex()
    fields = {"card_identifier": identifier, "atr": ATR["ssc3"], "presented": PRESENTED, "new_pin": pin, **other}
    return messages.UpdateCardRequest(begin=messages.BeginUpdate(request_id=request_id, **fields))


async def test_a_pin_is_reloaded_when_a_second_person_has_signed(desk: Desk, room: Room, driver: Driver) -> None:
    await desk.issue(room.registry.apply())
    first = (await desk.converse("UpdateCard", new_pin(desk))).updated
    assert (first.done, first.refusal.reason) == (False, "SECOND_PERSON_NEEDED")
    assert room.vault.issued == []
    assert (await desk.converse("UpdateCard", new_pin(desk))).updated.refusal.reason == "COUNTERSIGNATURE_AWAITED"
    assert await desk.sign(first.countersignature_id) == ""
    assert await desk.converse("UpdateCard", new_pin(desk), cut_at=1) is None
    done = (await desk.converse("UpdateCard", new_pin(desk))).updated
    assert (done.done, done.refusal.reason) == (True, "")
    assert room.cards[0].chip.pin == "135790"
    assert {approval for _, approval in room.vault.issued} == {first.countersignature_id}
    room.cards[0].chip.pin = ""
    assert (await desk.converse("UpdateCard", new_pin(desk))).updated.done, "a repeat hears the first answer"
    assert not room.cards[0].chip.pin
    again = (await desk.converse("UpdateCard", new_pin(desk, request_id="u2"))).updated
    assert again.refusal.reason == "SECOND_PERSON_NEEDED", "a signature is good once"
    rows = await driver.fetch("select act, detail ->> 'outcome' from issuance.audit where act like 'card.update%'")
    told = Counter(tuple(row) for row in rows)
    told.pop(("card.update", "STREAM_CUT"), None)  # whoever hangs up may end the stream before that is written
    assert told == {("card.update_begun", None): 2, ("card.update", "DONE"): 1}


async def test_an_update_that_fails_stands_in_the_audit_with_its_outcome(desk: Desk, room: Room, driver: Driver) -> None:
    await desk.issue(room.registry.apply())
    asked = (await desk.converse("UpdateCard", new_pin(desk))).updated
    await desk.sign(asked.countersignature_id)
    room.cards[0].chip.cut = Cut(1, executed=True)
    refused_now = (await desk.converse("UpdateCard", new_pin(desk))).updated.refusal.reason
    assert refused_now
    assert (await desk.converse("UpdateCard", new_pin(desk))).updated.done
    rows = await driver.fetch("select act, detail ->> 'outcome' from issuance.audit where act like 'card.update%' order by id")
    begun = ("card.update_begun", None)
    assert [tuple(row) for row in rows] == [begun, ("card.update", refused_now), begun, ("card.update", "DONE")]


async def test_the_days_of_a_card_are_written_as_the_registry_has_them(desk: Desk, room: Room) -> None:
    await desk.issue(room.registry.apply())
    begin = new_pin(desk)
    begin.begin.validity = True
    room.cards[0].chip.records[0xEF05, 6] = room.cards[0].chip.records[0xEF05, 5]
    asked = (await desk.converse("UpdateCard", begin)).updated
    await desk.sign(asked.countersignature_id)
    assert (await desk.converse("UpdateCard", begin)).updated.done
    assert (await desk.converse("CheckCard", check_begin())).checked.agrees


async def test_an_update_that_was_rejected_is_not_carried_out(desk: Desk, room: Room) -> None:
    await desk.issue(room.registry.apply())
    asked = (await desk.converse("UpdateCard", new_pin(desk))).updated
    await desk.sign(asked.countersignature_id, sign=False)
    refused_now = (await desk.converse("UpdateCard", new_pin(desk))).updated
    assert (refused_now.done, refused_now.refusal.reason) == (False, "COUNTERSIGNATURE_REJECTED")
    assert room.vault.issued == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"presented": None}, "IDENTITY_NOT_VERIFIED"),
        ({"card_identifier": "0" * 32}, "CARD_UNKNOWN"),
        ({"atr": b"1234"}, "PRODUCT_UNKNOWN"),
        ({"atr": ATR["ssc2"]}, "PRODUCT_DIFFERS"),
        ({"pin": "12345"}, "PIN_MALFORMED"),
        ({"pin": "１２３４５６"}, "PIN_MALFORMED"),
    ],
)
async def test_nobody_is_asked_to_sign_what_would_be_refused(
    desk: Desk, room: Room, driver: Driver, other: dict[str, Any], reason: str
) -> None:
    await desk.issue(room.registry.apply())
    assert (await desk.converse("UpdateCard", new_pin(desk, **other))).updated.refusal.reason == reason
    assert await driver.fetchval("select count(*) from issuance.countersignature") == 0


def check_begin() -> messages.CheckCardRequest:
    return messages.CheckCardRequest(begin=messages.BeginCheck(atr=ATR["ssc3"]))


async def test_a_chip_is_checked_against_the_registry(desk: Desk, room: Room) -> None:
    blank = (await desk.converse("CheckCard", check_begin())).checked
    assert (blank.refusal.reason, blank.blank_state, blank.agrees) == ("CARD_UNKNOWN", "ASSIGNED", False)
    await desk.issue(room.registry.apply())
    whole = (await desk.converse("CheckCard", check_begin())).checked
    assert (whole.agrees, whole.blank_state, whole.card.card_id) == (True, "HANDED_OVER", 1)
    assert {one.state for one in whole.records} == {messages.RECORD_STATE_AGREES}
    assert whole.proof == messages.PROOF_PROVED
    room.cards[0].chip.records[0xEF05, 7] = b"\x07\x09123456789"
    differing = (await desk.converse("CheckCard", check_begin())).checked
    assert not differing.agrees
    assert [one.place for one in differing.records if one.state != messages.RECORD_STATE_AGREES] == ["EF05/07"]
    assert b"123456789" not in differing.SerializeToString(), "what the chip says is never shown"


async def test_a_card_is_looked_at_so_often_a_day_and_each_look_is_written_down(desk: Desk, room: Room, driver: Driver) -> None:
    await desk.issue(room.registry.apply())
    for _ in range(MOST_CHECKS):
        assert (await desk.converse("CheckCard", check_begin())).checked.agrees
    found = (await desk.converse("CheckCard", check_begin())).checked
    assert (found.agrees, found.refusal.reason, found.proof) == (False, "CHECKED_TOO_OFTEN", messages.PROOF_NOT_ASKED)
    assert len(room.vault.issued) == MOST_CHECKS
    rows = await driver.fetch("select actor, terminal, record from issuance.audit where act = 'card.check'")
    assert {tuple(row) for row in rows} == {("staff:3", WINDOW, 1)}


async def test_a_card_for_which_the_vault_gives_nothing_does_not_agree(
    desk: Desk, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.issue(room.registry.apply())

    async def nothing(*_: Any) -> VaultRefused:
        return VaultRefused()

    monkeypatch.setattr(type(room.vault), "open_issued", nothing)
    found = (await desk.converse("CheckCard", check_begin())).checked
    assert (found.agrees, found.refusal.reason, found.proof) == (False, "KEYS_NOT_GIVEN", messages.PROOF_NOT_ASKED)
    states = {one.state for one in found.records}
    assert states == {messages.RECORD_STATE_AGREES, messages.RECORD_STATE_NOT_COMPARED}


async def test_a_terminal_that_says_nothing_any_more_ends_its_stream(
    desk: Desk, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(issuance._PATIENCE_SECONDS, Run, 0.2)
    application = room.registry.apply()
    call, terminal = desk.open(), ChipTerminal(room.cards[0])
    await call.write(desk.begin(application))
    await call.write(answer_to(terminal, await call.read()))
    await call.read()
    assert await refused(call.read()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "TERMINAL_SILENT")
    monkeypatch.undo()
    assert (await desk.issue(application)).outcome == messages.ISSUE_OUTCOME_ISSUED
