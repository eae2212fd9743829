"""ApplicationService as a window and an employer meet it: mutual TLS, a shift, forms and answers."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as messages
from services.card.domain import application as rules
from services.card.domain.document import DocumentKind
from services.card.domain.fee import FeeSource
from services.card.domain.person import Sex
from tests.support.cardholders import citizen_number
from tests.support.hall import KEEPER, OTHER, Hall, Owner, person, request, status_of
from tests.support.photos import FAR_AWAY, good_photo, jpeg, portrait


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
                    kind=messages.DOCUMENT_KIND_PASSPORT, number="E12345678", valid_until="2020-01-01"
                ),
                "birth_date": "1990-01-01",
            },
            "DOCUMENT_EXPIRED",
            "person.document.valid_until",
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
    passport = messages.Document(kind=messages.DOCUMENT_KIND_PASSPORT, number="E12345678")
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


def batch(rows: int, told: int, batch_id: str = "b1") -> Iterator[messages.SubmitBatchRequest]:
    yield messages.SubmitBatchRequest(header=messages.BatchHeader(batch_id=batch_id, rows=told))
    for first in range(1, rows + 1, 100):
        numbers = range(first, min(first + 100, rows + 1))
        yield messages.SubmitBatchRequest(rows=[messages.BatchRow(row=n, person=person(n)) for n in numbers])


async def test_an_employers_batch_has_a_verdict_for_each_row_and_a_wrong_header_refuses_it_whole(
    hall: Hall, owner: Owner
) -> None:
    window = await hall.window()
    for told in (249, 251):
        wrong = window.ask("SubmitBatch", batch(250, told))
        assert await status_of(wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_DIFFERS_FROM_HEADER")
    assert await owner.fetchval("select count(*) from card.batch") == 0
    answer = await window.ask("SubmitBatch", batch(250, 250))
    assert (answer.accepted, answer.refused) == (250, 0)
    assert [verdict.row for verdict in answer.verdicts] == list(range(1, 251))
    assert await window.ask("SubmitBatch", batch(250, 250)) == answer
    page = await window.ask("GetBatch", messages.GetBatchRequest(batch_id="b1", after_row=240))
    assert (page.rows, page.decided, page.ended, len(page.verdicts)) == (250, 250, True, 10)
    assert await owner.fetchval("select count(*) from card.application where state = 1") == 250


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
