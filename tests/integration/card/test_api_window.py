"""One window: everything of a holder in one call, and several things settled in one visit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as messages
from onecard.card.v1.privacy_pb2 import GiveConsentRequest
from onecard.money.v1.money_pb2 import Money
from onecard.payments.v1 import payments_pb2 as payments
from onecard.payments.v1.payments_pb2_grpc import PaymentsServiceServicer, add_PaymentsServiceServicer_to_server
from services.card.adapters import payments_desk, views
from services.card.adapters.payments_desk import PaymentsDesk
from services.card.domain.work import WorkKind
from tests.integration.card.test_api_cards import IN_PERSON, ask, issued
from tests.integration.card.test_bank import NAME_BEYOND_GBK
from tests.support.cardholders import Registry, citizen_number
from tests.support.edge import reason_of
from tests.support.hall import HOTLINE, OTHER, Hall, Owner, Window, open_hall, person, request, status_of
from tests.support.photos import good_photo


def document(number: int) -> applications.Document:
    return applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(number))


async def view(window: Window, **by: Any) -> messages.HolderView:
    answer = await window.ask("GetHolderView", messages.GetHolderViewRequest(**by))
    found: messages.HolderView = answer.holder
    return found


async def enabled(hall: Hall, clerk: Window, number: int = 1) -> int:
    _, card = await issued(hall, clerk, number)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, card)
    return card


def visit(visit_id: str, *items: messages.VisitItem, holder: int = 0) -> messages.CompleteVisitRequest:
    return messages.CompleteVisitRequest(visit_id=visit_id, holder_id=holder, items=items)


def lost(card: int) -> messages.VisitItem:
    return messages.VisitItem(report_formal_loss=cards.ReportFormalLossRequest(card_id=card, presented=IN_PERSON))


def applied(number: int, **other: Any) -> messages.VisitItem:
    return messages.VisitItem(submit=request(number, "", **other))


async def test_a_holder_is_found_by_document_and_by_either_name_of_the_card(hall: Hall) -> None:
    clerk = await hall.window()
    card = await enabled(hall, clerk)
    seen = await view(clerk, document=document(1))
    (held,), (application,) = seen.cards, seen.applications
    assert held.card.card_id == card
    assert held.card.social == cards.SOCIAL_STATUS_NORMAL
    assert {a.verb for a in held.actions if a.allowed} >= {"REPORT_TEMPORARY_LOSS", "REPLACE"}
    steps = [step.step for step in application.timeline]
    assert steps == ["SUBMIT", "START_INSTANT", "PRODUCE", "COLLECT", "ENABLE"]
    whole = await view(clerk, document=document(1), unmasked=True, purpose="核对")
    number = whole.cards[0].card_number
    for by in ({"card_identifier": held.card.card_identifier}, {"card_number": number}, {"holder_id": seen.holder_id}):
        assert (await view(clerk, **by)) == seen


async def test_names_and_numbers_are_masked_unless_asked_for_with_a_purpose(hall: Hall) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    await enabled(hall, clerk)
    for window in (clerk, hotline):
        seen = await view(window, document=document(1))
        assert seen.masked
        assert seen.name.startswith("*")
        assert (seen.phone, seen.birth_date) == ("*******5678", citizen_number(1)[6:10])
        assert seen.social_security_number == citizen_number(1)[0] + "*" * 16 + citizen_number(1)[-1]
        assert seen.documents[0].number == seen.social_security_number
        assert set(seen.cards[0].card_number[:-4]) == {"*"}
    unnamed = messages.GetHolderViewRequest(document=document(1), unmasked=True)
    assert (await status_of(clerk.ask("GetHolderView", unnamed)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    unnamed.purpose = "核对"
    assert (await status_of(hotline.ask("GetHolderView", unnamed)))[1] == "NOT_YOUR_RIGHT"
    whole = (await clerk.ask("GetHolderView", unnamed)).holder
    assert (whole.name, whole.phone) == (person(1).name, "13812345678")
    assert whole.documents[0].number == citizen_number(1)


async def test_every_view_is_written_down_also_one_that_finds_nobody(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    await enabled(hall, clerk)
    seen = await view(clerk, document=document(1), unmasked=True, purpose="领卡核对")
    nobody = messages.GetHolderViewRequest(document=document(2))
    assert await status_of(clerk.ask("GetHolderView", nobody)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_HOLDER")
    rows = await owner.fetch("select holder, purpose, detail from card.audit where act = 'holder.view' order by id")
    assert [tuple(row) for row in rows] == [(seen.holder_id, "领卡核对", '{"masked": 0}'), (None, "", '{"masked": 1}')]


async def test_the_hotline_looks_at_so_many_holders_an_hour(hall: Hall, owner: Owner) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    await enabled(hall, clerk)
    for _ in range(3):
        await view(hotline, document=document(1))
    await owner.execute(
        """insert into card.audit (actor, act) select actor, act from card.audit, generate_series(1, 19)
           where act = 'holder.view'"""
    )
    asked = messages.GetHolderViewRequest(document=document(1))
    assert (await status_of(hotline.ask("GetHolderView", asked)))[1] == "TOO_MANY_VIEWS"
    await view(clerk, document=document(1))


async def test_views_at_once_get_the_hotline_no_further(hall: Hall, owner: Owner) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    await enabled(hall, clerk)
    await view(hotline, document=document(1))
    await owner.execute(
        """insert into card.audit (actor, act) select actor, act from card.audit, generate_series(1, 56)
           where act = 'holder.view'"""
    )
    asked = [messages.GetHolderViewRequest(document=document(number)) for number in (1, 2) * 8]  # the second is nobody's
    heard = await asyncio.gather(*(hotline.ask("GetHolderView", one) for one in asked), return_exceptions=True)
    assert sum(isinstance(one, grpc.aio.AioRpcError) and reason_of(one) == "TOO_MANY_VIEWS" for one in heard) == 13
    assert await owner.fetchval("select count(*) from card.audit where act = 'holder.view'") == 60


async def test_what_is_counted_of_the_last_hour_is_found_by_its_time(owner: Owner) -> None:
    await owner.execute("set enable_seqscan = off; set enable_bitmapscan = off")
    plan = await owner.fetch("explain " + views._COUNT, "staff:1", "holder.view", 60)
    assert any("Index Cond" in row[0] and "at >" in row[0] for row in plan), plan


@pytest.mark.parametrize(
    "wrong",
    [
        messages.GetHolderViewRequest(),
        messages.GetHolderViewRequest(document=applications.Document(number="1")),
        messages.GetHolderViewRequest(
            document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number="440102198001021231")
        ),
        messages.GetHolderViewRequest(card_number="1234567890"),
        messages.GetHolderViewRequest(holder_id=1, purpose="长" * 65),
    ],
)
async def test_what_leads_to_nobody_is_named(hall: Hall, wrong: messages.GetHolderViewRequest) -> None:
    clerk = await hall.window()
    assert (await status_of(clerk.ask("GetHolderView", wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_loss_and_the_next_card_are_settled_in_one_visit(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await enabled(hall, clerk)
    asked = visit(
        "v1", lost(card), applied(1, kind=applications.APPLICATION_KIND_REISSUE, fee_source=applications.FEE_SOURCE_CASH)
    )
    receipt = (await clerk.ask("CompleteVisit", asked)).receipt
    assert [(line.what, line.fee_fen, line.refusal.reason) for line in receipt.lines] == [
        ("REPORT_FORMAL_LOSS", 0, ""),
        ("SUBMIT", 2000, ""),
    ]
    assert (await clerk.ask("CompleteVisit", asked)).receipt == receipt
    again = (await clerk.ask("GetVisit", messages.GetVisitRequest(visit_number=receipt.visit_number))).receipt
    by_id = (await clerk.ask("GetVisit", messages.GetVisitRequest(visit_id="v1"))).receipt
    assert again == by_id
    assert again.reprint
    again.reprint = False
    assert again == receipt
    assert await owner.fetchval("select count(*) from card.application") == 2
    assert await owner.fetchval("select count(*) from card.visit") == 1


async def test_a_refused_line_does_not_keep_the_others_back(hall: Hall) -> None:
    clerk = await hall.window()
    card = await enabled(hall, clerk)
    release = messages.VisitItem(release=cards.ReleaseRequest(card_id=card, presented=IN_PERSON))
    receipt = (await clerk.ask("CompleteVisit", visit("v1", release, lost(card)))).receipt
    assert [line.refusal.reason for line in receipt.lines] == ["NOT_LOST", ""]


async def test_what_concerns_somebody_else_undoes_the_whole_visit(hall: Hall) -> None:
    clerk = await hall.window()
    one, other = await enabled(hall, clerk), await enabled(hall, clerk, 2)
    mixed = clerk.ask("CompleteVisit", visit("v1", lost(one), lost(other)))
    assert await status_of(mixed) == (grpc.StatusCode.FAILED_PRECONDITION, "OTHER_HOLDER")
    seen = await view(clerk, document=document(1))
    assert seen.cards[0].card.social == cards.SOCIAL_STATUS_NORMAL
    assert (await status_of(clerk.ask("CompleteVisit", visit("v2", lost(other), holder=seen.holder_id))))[1] == "OTHER_HOLDER"


async def test_a_form_that_is_wrong_is_put_right_first_under_the_same_id(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    wrong = visit("v1", applied(1, photo=b"no photo"), applied(1, person=person(1, name="?")))
    receipt = (await clerk.ask("CompleteVisit", wrong)).receipt
    assert receipt.visit_number == 0
    assert [line.refusal.reason for line in receipt.lines] == ["PHOTO_NOT_ACCEPTED", "NAME_NOT_ACCEPTED"]
    assert await owner.fetchval("select count(*) from card.visit") == 0
    right = (await clerk.ask("CompleteVisit", visit("v1", applied(1, photo=good_photo())))).receipt
    assert right.visit_number > 0
    application = right.lines[0].application_id
    withdraw = messages.VisitItem(withdraw=applications.WithdrawRequest(application_id=application))
    taken = (await clerk.ask("CompleteVisit", visit("v2", withdraw))).receipt
    assert [(line.what, line.application_id, line.refusal.reason) for line in taken.lines] == [("WITHDRAW", application, "")]


async def test_a_visit_has_one_to_ten_things_without_request_ids(hall: Hall) -> None:
    clerk = await hall.window()
    inner = messages.VisitItem(submit=request(1, "r1"))
    for wrong in (
        visit("v1"),
        visit("", lost(1)),
        visit("v1", inner),
        visit("v1", messages.VisitItem()),
        visit("v1", *[lost(1)] * 11),
    ):
        assert (await status_of(clerk.ask("CompleteVisit", wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT


class Payments(PaymentsServiceServicer):
    """Answers as payments would; its own tests hold what the figures mean."""

    def __init__(self) -> None:
        self.error: grpc.StatusCode | None = None
        self.asked = 0

    async def GetBalance(self, request: payments.GetBalanceRequest, context: Any) -> payments.GetBalanceResponse:  # noqa: N802
        self.asked += 1
        if self.error:
            await context.abort(self.error, "")
        return payments.GetBalanceResponse(
            balance=Money(amount_fen=1200),
            available=Money(amount_fen=1000),
            purses=[payments.Purse(purpose="meals", balance=Money(amount_fen=50), void_after_ms=7)],
        )

    async def ListEntries(self, request: payments.ListEntriesRequest, context: Any) -> payments.ListEntriesResponse:  # noqa: N802
        entry = payments.Entry(post_time_ms=5, code=payments.TRANSFER_CODE_TOP_UP, change=Money(amount_fen=1200))
        entry.identity.merchant_id = "CITY-HALL"
        return payments.ListEntriesResponse(entries=[entry])


@pytest.fixture
async def beside_payments(registry: Registry, owner: Owner, tmp_path: Path) -> AsyncIterator[tuple[Hall, Payments]]:
    server, servicer = grpc.aio.server(), Payments()
    add_PaymentsServiceServicer_to_server(servicer, server)
    desk = PaymentsDesk(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", None, patience_seconds=20)
    await server.start()
    async with open_hall(registry, owner, tmp_path, desk) as hall:
        yield hall, servicer
    await desk.close()
    await server.stop(None)


async def test_purses_and_last_payments_come_from_payments_or_are_said_to_be_missing(
    beside_payments: tuple[Hall, Payments],
) -> None:
    hall, servicer = beside_payments
    clerk = await hall.window()
    await enabled(hall, clerk)
    seen = await view(clerk, document=document(1))
    assert (seen.money.balance_fen, seen.money.available_fen) == (1200, 1000)
    assert [(p.purpose, p.balance_fen) for p in seen.money.purses] == [("meals", 50)]
    assert [(p.what, p.change_fen) for p in seen.money.last_payments] == [("TOP_UP", 1200)]
    assert [p.merchant_id for p in seen.money.last_payments] == [""]  # where it was is shown with consent alone
    consent = GiveConsentRequest(request_id="k1", holder_id=seen.holder_id, kind=applications.CONSENT_KIND_LOCATION)
    await clerk.ask("GiveConsent", consent)
    assert [p.merchant_id for p in (await view(clerk, document=document(1))).money.last_payments] == ["CITY-HALL"]
    assert not (await view(clerk, document=document(1), without_payments=True)).HasField("money")
    servicer.error = grpc.StatusCode.NOT_FOUND
    unknown = await view(clerk, document=document(1))
    assert (unknown.HasField("money"), unknown.payments_away) == (False, False)
    servicer.error = grpc.StatusCode.UNAVAILABLE
    away = await view(clerk, document=document(1))
    assert away.payments_away
    assert len(away.cards) == 1


async def test_while_payments_is_away_no_window_waits_for_it_again_and_soon_it_is_asked_anew(
    beside_payments: tuple[Hall, Payments], monkeypatch: pytest.MonkeyPatch
) -> None:
    hall, servicer = beside_payments
    clerk = await hall.window()
    await enabled(hall, clerk)
    servicer.error = grpc.StatusCode.UNAVAILABLE
    monkeypatch.setattr(payments_desk, "_NOT_ASKED_SECONDS", 0.0)
    assert (await view(clerk, document=document(1))).payments_away
    monkeypatch.setattr(payments_desk, "_NOT_ASKED_SECONDS", 60.0)
    assert (await view(clerk, document=document(1))).payments_away
    servicer.error = None
    assert (await view(clerk, document=document(1))).payments_away
    assert servicer.asked == 2


async def test_a_visit_belongs_to_its_outlet_and_terminal(hall: Hall) -> None:
    clerk, other = await hall.window(), await hall.window(subject=OTHER, token=await hall.sign_in(subject=OTHER))
    receipt = (await clerk.ask("CompleteVisit", visit("v1", applied(1)))).receipt
    assert (await status_of(other.ask("GetVisit", messages.GetVisitRequest(visit_id="v1"))))[1] == "UNKNOWN_VISIT"
    by_number = messages.GetVisitRequest(visit_number=receipt.visit_number)
    assert (await other.ask("GetVisit", by_number)).receipt.visit_id == "v1"


async def test_the_work_list_of_an_outlet_has_what_waits_there_kind_by_kind_and_page_by_page(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    late, waiting = [(await clerk.ask("Submit", request(number, f"r{number}"))).application.application_id for number in (1, 2)]
    lying, at_outlet = await issued(hall, clerk, 3)
    ending = await enabled(hall, clerk, 4)
    cancel = cards.CancelRequest(
        request_id="c1",
        card_id=ending,
        presented=IN_PERSON,
        reason=cards.CANCEL_REASON_MOVED_AWAY,
        remainder_to=cards.REMAINDER_TO_CASH,
    )
    asked = (await clerk.ask("Cancel", cancel)).refusal.approval_id
    assert (await clerk.ask("ListWork", messages.ListWorkRequest(kind=messages.WORK_KIND_OVERDUE))).items == []
    await owner.execute("update card.application set due_time = now() - interval '1 hour' where id = $1", late)
    await owner.execute("update card.application set update_time = now() - interval '31 days' where id = $1", lying)
    await owner.execute("update card.card set renewal_time = now(), valid_until = current_date + 30 where id = $1", ending)
    found: list[messages.WorkItem] = []
    page = messages.ListWorkRequest(page_size=1)
    while True:
        answer = await clerk.ask("ListWork", page)
        found += answer.items
        if not answer.next_page_token:
            break
        page.page_token = answer.next_page_token
    assert [(one.kind, one.application_id, one.card_id, one.approval_id) for one in found] == [
        (messages.WORK_KIND_OVERDUE, late, 0, 0),
        (messages.WORK_KIND_LYING, lying, at_outlet, 0),
        (messages.WORK_KIND_APPROVAL, 0, ending, asked),
        (messages.WORK_KIND_RENEWAL, 0, ending, 0),
    ]
    assert all(one.holder_id and one.since_time_ms for one in found)
    assert waiting not in {one.application_id for one in found}
    assert (await clerk.ask("ListWork", messages.ListWorkRequest(outlet="440703-99"))).items == []
    hotline = await hall.window(role=HOTLINE)
    assert (await status_of(hotline.ask("ListWork", messages.ListWorkRequest())))[1] == "NOT_YOUR_RIGHT"
    for wrong in (messages.ListWorkRequest(page_token="none"), messages.ListWorkRequest(page_size=201)):
        assert (await status_of(clerk.ask("ListWork", wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert {one.name: one.value for one in WorkKind} == {
        name.removeprefix("WORK_KIND_"): number for name, number in messages.WorkKind.items() if number
    }


async def test_a_visit_tells_of_an_application_what_submit_tells(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    await clerk.ask("Submit", request(1))
    passport = applications.Document(kind=applications.DOCUMENT_KIND_PASSPORT, number="E12345678", issuing_country="GBR")
    twin = person(1, document=passport, birth_date="1990-01-01", sex=applications.SEX_MALE)
    asked = visit("v1", applied(1, person=twin))
    (line,) = (await clerk.ask("CompleteVisit", asked)).receipt.lines
    assert line.refusal == (await clerk.ask("Submit", request(1, "r2", person=twin))).refusal
    (possible,) = line.refusal.possible_holders
    assert possible.masked_document_number == citizen_number(1)[0] + "*" * 16 + citizen_number(1)[-1]
    assert (await clerk.ask("CompleteVisit", asked)).receipt.lines == [line]
    (small,) = (await clerk.ask("CompleteVisit", visit("v2", applied(2, photo=b"no picture")))).receipt.lines
    assert small.refusal.reason == "PHOTO_NOT_ACCEPTED"
    assert small.refusal.photo_faults
    rare = visit("v3", applied(3, person=person(3, name=NAME_BEYOND_GBK)))
    told = (await clerk.ask("CompleteVisit", rare)).receipt
    assert "U+4DAE" in told.lines[0].not_carried[0]
    assert (await clerk.ask("CompleteVisit", rare)).receipt == told
    reprint = (await clerk.ask("GetVisit", messages.GetVisitRequest(visit_id="v3"))).receipt
    assert list(reprint.lines[0].not_carried) == []
    for table in ("visit", "request"):  # what is kept of it names nobody
        stored = "".join(row[0] for row in await owner.fetch(f"select t::text from card.{table} t"))
        assert b"4DAE".hex() not in stored
        assert NAME_BEYOND_GBK.encode().hex() not in stored
