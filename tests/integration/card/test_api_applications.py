"""ApplicationService as a window and an employer meet it: mutual TLS, a shift, forms and answers."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import chain, cycle
from typing import Any

import grpc
import msgspec
import pytest

from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1.staff_pb2 import SignOutRequest
from services.card.adapters.people import read_holders
from services.card.domain import application as rules
from services.card.domain.document import DocumentKind
from services.card.domain.fee import FeeSource
from services.card.domain.life_cycle import Verb
from services.card.domain.person import Field, Sex
from services.common.clock import day_of
from services.common.database import driver_session
from tests.integration.card.test_consents import MINOR, child
from tests.support.cardholders import TODAY, Registry, citizen_number, number_born
from tests.support.hall import KEEPER, OTHER, Hall, Owner, person, request, status_of
from tests.support.photos import FAR_AWAY, good_photo, jpeg, portrait
from tests.support.town import now_ms


async def test_a_clerk_takes_an_application_and_reads_its_timeline(hall: Hall) -> None:
    window = await hall.window()
    answer = await window.ask("Submit", request(1))
    assert not answer.HasField("refusal")
    made = answer.application
    assert (made.state, made.outlet, made.fee_fen) == (messages.APPLICATION_STATE_APPLIED, "440703-01", 0)
    assert made.due_time_ms > made.create_time_ms
    again = await window.ask("Submit", request(1))
    assert again == answer
    other = await window.ask("Submit", request(1, "r2"))
    assert (other.application.application_id, other.refusal.reason) == (made.application_id, "APPLICATION_OPEN")
    assert other.refusal.message.endswith("。")
    shown = await window.ask("GetApplication", messages.GetApplicationRequest(application_id=made.application_id))
    assert [(step.step, step.state) for step in shown.timeline] == [("SUBMIT", messages.APPLICATION_STATE_APPLIED)]
    listed = await window.ask("ListApplications", messages.ListApplicationsRequest())
    assert [one.application_id for one in listed.applications] == [made.application_id]
    assert "李" not in str(answer) + str(shown) + str(listed)


async def test_the_same_request_id_for_another_person_is_told_apart(hall: Hall) -> None:
    window = await hall.window()
    await window.ask("Submit", request(1))
    assert await status_of(window.ask("Submit", request(2))) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"name": "李3"}, "NAME_NOT_ACCEPTED", "person.name"),
        ({"phone": "12345"}, "PHONE_NOT_ACCEPTED", "person.phone"),
        ({"phone": "1381234567٨"}, "PHONE_NOT_ACCEPTED", "person.phone"),  # an Arabic eight, which is a digit, too
        ({"birth_date": "1991-01-01"}, "PERSON_DIFFERS", "person.birth_date"),
        ({"sex": messages.SEX_MALE}, "PERSON_DIFFERS", "person.sex"),
        ({"nationality": "57"}, "PERSON_DIFFERS", "person.nationality"),
        (
            {"document": messages.Document(kind=messages.DOCUMENT_KIND_RESIDENT_ID, number="110105194912310021")},
            "DOCUMENT_NOT_ACCEPTED",
            "person.document.number",
        ),
        (
            {
                "document": messages.Document(
                    kind=messages.DOCUMENT_KIND_PASSPORT,
                    number="E12345678",
                    valid_until="2020-01-01",
                    issuing_country="GBR",
                ),
                "birth_date": "1990-01-01",
            },
            "DOCUMENT_EXPIRED",
            "person.document.valid_until",
        ),
        (
            {
                "document": messages.Document(kind=messages.DOCUMENT_KIND_PASSPORT, number="E12345678"),
                "birth_date": "1990-01-01",
            },
            "DOCUMENT_NOT_ACCEPTED",
            "person.document.issuing_country",
        ),
    ],
)
async def test_a_field_that_is_at_fault_is_named_and_its_value_is_not(
    hall: Hall, owner: Owner, changed: dict[str, Any], reason: str, field: str
) -> None:
    window = await hall.window()
    answer = await window.ask("Submit", request(1, person=person(2, **changed)))
    assert (answer.refusal.reason, answer.refusal.field) == (reason, field)
    assert answer.refusal.message.endswith("。")
    for value in changed.values():
        assert str(value) not in answer.refusal.message
    assert await owner.fetchval("select count(*) from card.request") == 0


async def test_a_photo_is_judged_point_by_point_and_a_clerk_may_let_some_pass(hall: Hall) -> None:
    window = await hall.window()
    small = jpeg(portrait(FAR_AWAY))
    answer = await window.ask("Submit", request(1, photo=small))
    assert answer.refusal.reason == "PHOTO_NOT_ACCEPTED"
    (fault,) = answer.refusal.photo_faults
    assert fault.overridable
    assert fault.measured.endswith("像素")
    override = messages.PhotoOverride(point=fault.point)
    assert (await status_of(window.ask("Submit", request(1, photo=small, photo_overrides=[override]))))[1] == "BAD_REQUEST"
    override.reason = "the holder wears a headscarf"
    answer = await window.ask("Submit", request(1, photo=small, photo_overrides=[override]))
    assert answer.application.state == messages.APPLICATION_STATE_APPLIED


async def test_an_upload_that_is_too_large_is_refused_before_it_is_read(hall: Hall) -> None:
    window = await hall.window()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await window.ask("Submit", request(1, photo=bytes(100_000)))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_possible_doubles_are_shown_masked(hall: Hall) -> None:
    window = await hall.window()
    await window.ask("Submit", request(1))
    passport = messages.Document(kind=messages.DOCUMENT_KIND_PASSPORT, number="E12345678", issuing_country="GBR")
    twin = person(1, document=passport, birth_date="1990-01-01", sex=messages.SEX_MALE)
    answer = await window.ask("Submit", request(1, "r2", person=twin))
    assert answer.refusal.reason == "POSSIBLE_SAME_PERSON"
    (possible,) = answer.refusal.possible_holders
    number = citizen_number(1)
    assert (possible.masked_name, possible.masked_document_number) == ("*丁", f"{number[0]}{'*' * 16}{number[-1]}")
    answer = await window.ask("Submit", request(1, "r3", person=twin, other_people=[possible.holder_id]))
    assert not answer.HasField("refusal")


async def test_nobody_acts_who_is_not_signed_in_there_with_the_right(hall: Hall, owner: Owner) -> None:
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    nobody = await hall.window(token="")
    assert await status_of(nobody.ask("Submit", request(1))) == (unauthenticated, "SIGN_IN_NEEDED")
    guessed = await hall.window(token="guessed")
    assert await status_of(guessed.ask("Submit", request(1))) == (unauthenticated, "SHIFT_ENDED")
    clerk = await hall.window()
    stolen = await hall.window(subject=OTHER, token=clerk.token)
    assert await status_of(stolen.ask("Submit", request(1))) == (unauthenticated, "WRONG_TERMINAL")
    late = await hall.window(token=await hall.sign_in(expires="-1 second"))
    assert await status_of(late.ask("Submit", request(1))) == (unauthenticated, "SHIFT_ENDED")
    keeper = await hall.window(role=KEEPER)
    assert await status_of(keeper.ask("Submit", request(1))) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")
    assert await owner.fetchval("select count(*) from card.application") == 0


async def test_an_application_waits_for_its_photo_is_sent_back_and_withdrawn(hall: Hall) -> None:
    window = await hall.window()
    made = (await window.ask("Submit", request(1, photo=b""))).application
    assert made.state == messages.APPLICATION_STATE_AWAITING_PHOTO
    add = messages.AddPhotoRequest(request_id="p1", application_id=made.application_id, photo=good_photo())
    assert (await window.ask("AddPhoto", add)).application.state == messages.APPLICATION_STATE_APPLIED
    refuse = messages.RefuseRequest(request_id="x1", application_id=made.application_id, remark="户口簿不清晰")
    refused = (await window.ask("Refuse", refuse)).application
    assert (refused.state, refused.cause.message) == (messages.APPLICATION_STATE_REFUSED, "户口簿不清晰")
    withdraw = messages.WithdrawRequest(request_id="w1", application_id=made.application_id)
    assert (await window.ask("Withdraw", withdraw)).application.state == messages.APPLICATION_STATE_WITHDRAWN
    withdraw.request_id = "w2"
    assert (await window.ask("Withdraw", withdraw)).refusal.reason == "APPLICATION_ENDED"


def representative(number: int, relation: "messages.Relation", *papers: str) -> messages.Representative:
    document = messages.Document(kind=messages.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(number))
    return messages.Representative(relation=relation, name="王五", document=document, papers=papers)


async def test_a_proxy_is_identified_with_papers_sealed_and_brings_no_lost_card(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    window = await hall.window()
    agent = representative(2, messages.RELATION_AGENT, "委托书", "代办人身份证")
    by_proxy = {"route": messages.ROUTE_PROXY}
    refused = [
        ({}, "PAPERS_MISSING", ""),
        ({"representative": representative(2, messages.RELATION_AGENT, " ")}, "PAPERS_MISSING", "representative.papers"),
        (
            {"representative": representative(2, messages.RELATION_UNSPECIFIED, "委托书")},
            "PAPERS_MISSING",
            "representative.relation",
        ),
        (
            {"representative": representative(1, messages.RELATION_AGENT, "委托书")},
            "REPRESENTATIVE_IS_APPLICANT",
            "representative.document",
        ),
    ]
    for number, (other, reason, field) in enumerate(refused):
        answer = await window.ask("Submit", request(1, f"r{number}", **by_proxy, **other))
        assert (answer.refusal.reason, answer.refusal.field) == (reason, field)
    made = (await window.ask("Submit", request(1, "r9", **by_proxy, representative=agent))).application
    assert (made.route, made.state) == (messages.ROUTE_PROXY, messages.APPLICATION_STATE_APPLIED)
    sealed = await owner.fetchval("select papers from card.application where id = $1", made.application_id)
    async with driver_session(registry.engine) as driver:
        holder = (await read_holders(driver, registry.sealing, [made.holder_id]))[made.holder_id]
    kept = msgspec.msgpack.decode(holder.cipher.open(Field.PAPERS, sealed), type=tuple[int, rules.Papers])
    assert kept[1] == rules.Papers(rules.Relation.AGENT, "王五", 1, citizen_number(2), ("委托书", "代办人身份证"))
    card = await registry.first_card(5)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    for kind in (messages.APPLICATION_KIND_REISSUE, messages.APPLICATION_KIND_REPLACE):
        again = request(5, f"k{kind}", kind=kind, fee_source=messages.FEE_SOURCE_CASH, **by_proxy, representative=agent)
        assert (await window.ask("Submit", again)).refusal.reason == "PROXY_MAY_NOT"


def of_a_child(**other: Any) -> messages.Representative:
    """A parent who is five years old."""
    kind, number = messages.DOCUMENT_KIND_RESIDENT_ID, number_born(TODAY - timedelta(5 * 366), 7)
    document = messages.Document(kind=kind, number=number)
    fields: dict[str, Any] = {"relation": messages.RELATION_PARENT, "document": document, "papers": ["户口簿"], **other}
    return messages.Representative(name="李小小", **fields)


async def test_whoever_acts_for_somebody_else_is_of_age(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    passport = messages.Document(kind=messages.DOCUMENT_KIND_PASSPORT, number="E12345678", issuing_country="GBR")
    almost = (day_of(now_ms()) - timedelta(17 * 365)).isoformat()
    too_young = "REPRESENTATIVE_NOT_OF_AGE"
    for number, (acting, reason) in enumerate(
        (
            (of_a_child(), too_young),
            (of_a_child(document=passport), "PERSON_DIFFERS"),
            (of_a_child(document=passport, birth_date=almost), too_young),
        )
    ):
        by_guardian = await clerk.ask("Submit", child(f"g{number}", consents=[MINOR], representative=acting))
        by_proxy = await clerk.ask("Submit", request(1, f"p{number}", route=messages.ROUTE_PROXY, representative=acting))
        for refused in (by_guardian, by_proxy):
            assert (refused.refusal.reason, refused.refusal.field) == (reason, "representative.birth_date")
            assert refused.refusal.message.endswith("。")
    assert await owner.fetchval("select count(*) from card.holder") == 0
    grown = of_a_child(document=passport, birth_date="1980-01-01")
    assert not (await clerk.ask("Submit", child("g9", consents=[MINOR], representative=grown))).HasField("refusal")


async def test_a_clerk_brings_no_application_as_a_kiosk_or_an_employer_would(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    for route in (messages.ROUTE_KIOSK, messages.ROUTE_EMPLOYER):
        wrong = clerk.ask("Submit", request(1, route=route))
        assert await status_of(wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
    assert await owner.fetchval("select count(*) from card.application") == 0


async def test_applications_are_listed_by_state_and_outlet_and_page_by_page(hall: Hall) -> None:
    window = await hall.window()
    here = [(await window.ask("Submit", request(n, f"r{n}", photo=b""))).application.application_id for n in range(1, 8)]
    there = (await window.ask("Submit", request(8, "r8", outlet="440703-02"))).application.application_id
    withdraw = messages.WithdrawRequest(request_id="w", application_id=here[3])
    assert not (await window.ask("Withdraw", withdraw)).HasField("refusal")

    async def listed(**by: Any) -> list[int]:
        found: list[int] = []
        page = messages.ListApplicationsRequest(page_size=3, **by)
        while True:
            answer = await window.ask("ListApplications", page)
            assert len(answer.applications) <= 3
            found += [one.application_id for one in answer.applications]
            if not answer.next_page_token:
                return found
            page.page_token = answer.next_page_token

    assert await listed() == [*here[:3], *here[4:]]
    assert await listed(outlet="440703-02") == [there]
    assert await listed(state=messages.APPLICATION_STATE_WITHDRAWN) == [here[3]]
    assert await listed(state=messages.APPLICATION_STATE_AWAITING_PHOTO) == [*here[:3], *here[4:]]
    assert await listed(overdue_only=True) == []
    unknown = messages.GetApplicationRequest(application_id=10**9)
    assert await status_of(window.ask("GetApplication", unknown)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_APPLICATION")


def batch(rows: int, told: int, batch_id: str = "b1") -> Iterator[messages.SubmitBatchRequest]:
    yield messages.SubmitBatchRequest(header=messages.BatchHeader(batch_id=batch_id, rows=told))
    for first in range(1, rows + 1, 100):
        numbers = range(first, min(first + 100, rows + 1))
        yield messages.SubmitBatchRequest(rows=[messages.BatchRow(row=n, person=person(n)) for n in numbers])


async def test_a_batch_whose_shift_ends_while_it_is_sent_is_not_taken(hall: Hall, owner: Owner) -> None:
    window = await hall.window()

    async def sent() -> AsyncIterator[messages.SubmitBatchRequest]:
        header, *parts = batch(100, 100)
        yield header
        await window.ask("SignOut", SignOutRequest())
        for part in parts:
            yield part

    assert await status_of(window.ask("SubmitBatch", sent())) == (grpc.StatusCode.UNAUTHENTICATED, "SHIFT_ENDED")
    assert await owner.fetchval("select count(*) from card.batch") == 0


async def test_an_employers_batch_has_a_verdict_for_each_row_and_a_wrong_header_refuses_it_whole(
    hall: Hall, owner: Owner
) -> None:
    window = await hall.window()
    for told in (249, 251):
        wrong = window.ask("SubmitBatch", batch(250, told))
        assert await status_of(wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_DIFFERS_FROM_HEADER")
    large = messages.SubmitBatchRequest(rows=[messages.BatchRow(row=1, person=person(1, address="路" * 30_000))])
    with pytest.raises(grpc.aio.AioRpcError) as too_large:
        await window.ask("SubmitBatch", iter([*batch(0, 1), large]))
    assert too_large.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    header, *parts = batch(100, 100)
    endless = chain([header], cycle(parts))  # it is left when there are more than were announced
    wrong = window.ask("SubmitBatch", endless)
    assert await status_of(wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_DIFFERS_FROM_HEADER")
    assert await owner.fetchval("select count(*) from card.batch") == 0
    answer = await window.ask("SubmitBatch", batch(250, 250))
    assert (answer.accepted, answer.refused) == (250, 0)
    assert [verdict.row for verdict in answer.verdicts] == list(range(1, 251))
    assert await window.ask("SubmitBatch", batch(250, 250)) == answer
    page = await window.ask("GetBatch", messages.GetBatchRequest(batch_id="b1", after_row=240))
    assert (page.rows, page.decided, page.ended, len(page.verdicts)) == (250, 250, True, 10)
    assert await owner.fetchval("select count(*) from card.application where state = 1") == 250


async def test_a_number_of_a_region_in_doubt_is_accepted_with_a_hint(hall: Hall) -> None:
    clerk = await hall.window()
    assert not (await clerk.ask("Submit", request(1))).hints
    with_doubt = messages.Document(kind=messages.DOCUMENT_KIND_RESIDENT_ID, number="44079919900101001X")
    asked = request(2, "r2", person=person(2, document=with_doubt))
    answer = await clerk.ask("Submit", asked)
    assert not answer.HasField("refusal")
    (hint,) = answer.hints
    assert hint.endswith("。")


async def test_a_row_whose_name_something_cannot_carry_says_so(hall: Hall) -> None:
    window = await hall.window()
    rows = [
        messages.BatchRow(row=1, person=person(1, name="李\N{CJK UNIFIED IDEOGRAPH-4DAE}")),
        messages.BatchRow(row=2, person=person(2)),
    ]
    parts = [messages.SubmitBatchRequest(header=messages.BatchHeader(batch_id="b1", rows=2), rows=rows)]
    answer = await window.ask("SubmitBatch", iter(parts))
    assert [list(verdict.not_carried_by) for verdict in answer.verdicts] == [["BANK_FILE", "CHIP"], []]
    assert await window.ask("SubmitBatch", iter(parts)) == answer
    page = await window.ask("GetBatch", messages.GetBatchRequest(batch_id="b1"))
    assert list(page.verdicts) == list(answer.verdicts)


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (rules.ApplicationKind, messages.ApplicationKind, "APPLICATION_KIND"),
        (rules.ApplicationState, messages.ApplicationState, "APPLICATION_STATE"),
        (rules.Mode, messages.Mode, "MODE"),
        (rules.Route, messages.Route, "ROUTE"),
        (DocumentKind, messages.DocumentKind, "DOCUMENT_KIND"),
        (FeeSource, messages.FeeSource, "FEE_SOURCE"),
    ],
)
def test_numbers_of_rules_and_messages_agree(ours: Any, theirs: Any, prefix: str) -> None:
    assert {f"{prefix}_{one.name}": one.value for one in ours} | {f"{prefix}_UNSPECIFIED": 0} == dict(theirs.items())


def test_sexes_and_relations_agree_where_messages_have_them() -> None:
    assert {one.value for one in Sex} == set(messages.Sex.values())
    for name, number in messages.Relation.items():
        if number:
            assert rules.Relation(number).name == name.removeprefix("RELATION_")
