"""A number that stands for nothing, wherever a message has one of a list: it is named, and never ends as a fault of ours."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import privacy_pb2 as privacy
from onecard.card.v1 import window_pb2 as window_messages
from tests.integration.card.test_api_cards import IN_PERSON
from tests.integration.card.test_marked_values import all_calls, marked
from tests.support.hall import SUPERVISOR, Hall, person, request
from tests.support.photos import good_photo

UNKNOWN: Any = 99
SECURITY = 7


def with_unknown(message: Any, path: str = "") -> Iterator[str]:
    """Where a number stands for something: each is, for as long as the caller looks at it, one that stands for nothing."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.type == FieldDescriptor.TYPE_ENUM:
            was = list(value) if field.is_repeated else value
            put(message, field, [UNKNOWN] if field.is_repeated else UNKNOWN)
            yield f"{path}{field.name}"
            put(message, field, was)
        elif field.message_type:
            for part in list(value) if field.is_repeated else [value] if message.HasField(field.name) else []:
                yield from with_unknown(part, f"{path}{field.name}.")


def put(message: Any, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        message.ClearField(field.name)
        getattr(message, field.name).extend(value)
    else:
        setattr(message, field.name, value)


def requests_of(kind: type[Any]) -> Iterator[Any]:
    """A whole request; of a visit one for each thing that can be settled in it."""
    yield marked(kind())
    if kind is window_messages.CompleteVisitRequest:
        for item in window_messages.VisitItem.DESCRIPTOR.fields:
            visit = window_messages.CompleteVisitRequest(visit_id="v")
            marked(getattr(visit.items.add(), item.name)).ClearField("request_id")
            yield visit


async def test_no_number_that_stands_for_nothing_is_a_fault_of_ours(hall: Hall) -> None:
    asked, faults = set[str](), []
    for window in (await hall.window(SUPERVISOR), await hall.window(SECURITY)):
        for name, call, kind, streams in all_calls(window):
            if name in ("SignOut", "EndSession"):
                continue
            for message in requests_of(kind):
                for where in with_unknown(message):
                    asked.add(f"{name} {where}")
                    try:
                        await call(iter([message]) if streams else message, metadata=window.metadata, timeout=20)
                    except grpc.aio.AioRpcError as error:
                        if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                            faults.append(f"{name} {where}")
    assert faults == []
    assert {"Submit route", "Cancel reason", "GetHolderView document.kind", "SubmitBatch header.mode"} <= asked
    assert {"CompleteVisit items.submit.kind", "CompleteVisit items.unlock.presented.party"} <= asked


def cancel(**other: Any) -> cards.CancelRequest:
    fields = {
        "reason": cards.CANCEL_REASON_MOVED_AWAY,
        "remainder_to": cards.REMAINDER_TO_CASH,
        "presented": IN_PERSON,
        **other,
    }
    return cards.CancelRequest(request_id="c", card_id=1, **fields)


@pytest.mark.parametrize(
    ("method", "message", "field"),
    [
        ("Submit", request(1, kind=UNKNOWN), "kind"),
        ("Submit", request(1, mode=UNKNOWN), "mode"),
        ("Submit", request(1, route=UNKNOWN), "route"),
        ("Submit", request(1, fee_source=UNKNOWN), "fee_source"),
        ("Submit", request(1, consents=[UNKNOWN]), "consents"),
        (
            "Submit",
            request(1, photo=good_photo(), photo_overrides=[applications.PhotoOverride(point=UNKNOWN, reason="x")]),
            "photo_overrides.point",
        ),
        ("ListApplications", applications.ListApplicationsRequest(state=UNKNOWN), "state"),
        ("Cancel", cancel(reason=UNKNOWN), "reason"),
        ("Cancel", cancel(remainder_to=UNKNOWN), "remainder_to"),
        ("Cancel", cancel(presented=cards.Presented(party=UNKNOWN)), "presented.party"),
        ("GiveConsent", privacy.GiveConsentRequest(request_id="g", holder_id=1, kind=UNKNOWN), "kind"),
        ("ListWork", window_messages.ListWorkRequest(kind=UNKNOWN), "kind"),
        (
            "GetHolderView",
            window_messages.GetHolderViewRequest(document=applications.Document(kind=UNKNOWN, number="1")),
            "document.kind",
        ),
    ],
)
async def test_the_field_of_a_number_that_stands_for_nothing_is_named(
    hall: Hall, method: str, message: Any, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await (await hall.window()).ask(method, message)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (person(1, sex=UNKNOWN), "person.sex"),
        (person(1, document=applications.Document(kind=UNKNOWN, number="1")), "person.document.kind"),
    ],
)
async def test_on_a_form_it_is_refused_like_any_other_field_so_that_each_row_of_a_batch_has_its_own_verdict(
    hall: Hall, told: applications.Person, field: str
) -> None:
    clerk = await hall.window()
    header = applications.BatchHeader(batch_id="b", rows=2)
    rows = [applications.BatchRow(row=1, person=told), applications.BatchRow(row=2, person=person(2))]
    parts = [applications.SubmitBatchRequest(header=header), applications.SubmitBatchRequest(rows=rows)]
    answer = await clerk.ask("SubmitBatch", iter(parts))
    assert [verdict.refusal.field for verdict in answer.verdicts] == [field, ""]
    assert (await clerk.ask("Submit", request(1, person=told))).refusal.field == field
