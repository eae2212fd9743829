"""What changes of a holder who stays the same person: by the forms that they bring, and by their word at a window."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import privacy_pb2 as messages
from onecard.card.v1 import window_pb2 as window_messages
from services.card.adapters.events import read_states
from services.card.adapters.people import read_holders
from services.card.domain.application import Route, Step
from services.card.domain.life_cycle import Verb
from services.card.domain.person import Person
from services.common.database import driver_session
from tests.integration.card.test_consents import GUARDIAN, MINOR, child
from tests.integration.card.test_sessions import by_kiosk, enrolled, show_document
from tests.support.cardholders import TODAY, WANTED, Registry, submission
from tests.support.hall import Hall, Owner, Window, person, request, status_of

OLD_PHONE, PHONE = "13812345678", "13900001111"
UNTIL = (TODAY + timedelta(3650)).isoformat()


async def person_of(registry: Registry, holder: int) -> Person:
    async with driver_session(registry.engine) as driver:
        return (await read_holders(driver, registry.sealing, [holder]))[holder].person()


async def seen_of(window: Window, holder: int) -> window_messages.HolderView:
    asked = window_messages.GetHolderViewRequest(holder_id=holder, unmasked=True, purpose="核对")
    found: window_messages.HolderView = (await window.ask("GetHolderView", asked)).holder
    return found


async def updates(owner: Owner) -> list[Any]:
    return [json.loads(row[0]) for row in await owner.fetch("select detail from card.audit where act = 'holder.update'")]


async def lost(registry: Registry, owner: Owner, number: int = 1) -> tuple[int, int]:
    """A card that is lost for good, and its holder."""
    card = await registry.first_card(number)
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    return card, await owner.fetchval("select holder from card.card where id = $1", card)


def reissue(request_id: str = "r1", **other: Any) -> applications.SubmitRequest:
    fields: dict[str, Any] = {
        "kind": applications.APPLICATION_KIND_REISSUE,
        "fee_source": applications.FEE_SOURCE_CASH,
        **other,
    }
    return request(1, request_id, **fields)


def moved(number: int = 1, **other: Any) -> applications.Person:
    """The n-th person with another telephone, another address, and a document that was renewed."""
    told = person(number, **{"phone": PHONE, "address": "江海区某路 1 号", "nationality": "55", **other})
    told.document.valid_until = UNTIL
    return told


async def test_what_the_form_of_a_known_holder_says_takes_the_place_of_what_was_stored(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    card, holder = await lost(registry, owner)
    version = await owner.fetchval("select version from card.card where id = $1", card)
    asked = reissue(person=moved(), category="elder", resident=True)
    assert not (await clerk.ask("Submit", asked)).HasField("refusal")
    seen = await seen_of(clerk, holder)
    assert (seen.phone, seen.category, seen.resident) == (PHONE, "elder", True)
    assert [(document.number, document.valid_until) for document in seen.documents] == [(seen.social_security_number, UNTIL)]
    before, after = submission(1).person, await person_of(registry, holder)
    assert after == replace(before, phone=PHONE, address="江海区某路 1 号", nationality="55")
    assert await updates(owner) == [{"parts": "phone address nationality category document", "by_guardian": 0}]
    async with driver_session(registry.engine) as driver:
        state = (await read_states(driver, registry.sealing, [card]))[card]
    assert [(period.category, period.resident) for period in state.category_periods] == [("ordinary", False), ("elder", True)]
    assert state.version == version + 1
    assert await owner.fetchval("select max(version) from card.event_outbox where card = $1", card) == version + 1
    told = messages.ChangeContactRequest(request_id="c1", holder_id=holder, identity_verified=True, phone=OLD_PHONE)
    assert not (await clerk.ask("ChangeContact", told)).HasField("refusal")
    await clerk.ask("Submit", asked)  # a repeat of the form is no other form
    assert (await seen_of(clerk, holder)).phone == OLD_PHONE


async def test_what_a_form_leaves_out_stays_and_what_is_refused_changes_nothing(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    card = await registry.first_card(1)
    holder = await owner.fetchval("select holder from card.card where id = $1", card)
    assert (await clerk.ask("Submit", request(1, "r1", person=moved()))).refusal.reason == "LIVE_CARD_EXISTS"
    assert await updates(owner) == []
    await registry.change(card, Verb.REPORT_FORMAL_LOSS)
    made = await clerk.ask("Submit", reissue("r2", person=moved(), category="elder", resident=True))
    withdraw = applications.WithdrawRequest(request_id="w1", application_id=made.application.application_id)
    assert not (await clerk.ask("Withdraw", withdraw)).HasField("refusal")
    before, known = await person_of(registry, holder), await seen_of(clerk, holder)
    assert not (await clerk.ask("Submit", reissue("r3", person=person(1, phone=PHONE, nationality="")))).HasField("refusal")
    after, seen = await person_of(registry, holder), await seen_of(clerk, holder)
    assert after == before
    assert (seen.category, seen.resident, seen.documents) == (known.category, known.resident, known.documents)
    assert len(await updates(owner)) == 1


async def test_a_document_that_is_over_is_not_the_one_that_was_shown_now(hall: Hall, registry: Registry, owner: Owner) -> None:
    _, holder = await lost(registry, owner)
    await owner.execute("update card.document set valid_until = '2020-01-01'")
    clerk = await hall.window()
    assert not (await clerk.ask("Submit", reissue())).HasField("refusal")
    assert [document.valid_until for document in (await seen_of(clerk, holder)).documents] == [""]
    assert await owner.fetchval("select count(*) from card.document where replaced_time is not null") == 1


async def test_an_employer_fills_in_what_is_missing_and_overwrites_nothing(registry: Registry, owner: Owner) -> None:
    (first,) = await registry.submit(submission(1))
    assert first.application
    assert first.holder
    await registry.step(first.application, Step.WITHDRAW)
    known = submission(1)
    told = replace(known.person, phone=PHONE, address="某工业园", nationality="55")
    by_employer = replace(WANTED, route=Route.EMPLOYER)
    row = replace(known, wanted=by_employer, person=told, category="elder", resident=True, valid_until=TODAY + timedelta(900))
    (made,) = await registry.submit(row)
    assert made.refusal is None
    assert await person_of(registry, first.holder) == replace(known.person, address="某工业园")
    assert tuple(await owner.fetchrow("select category, resident from card.holder")) == ("ordinary", False)  # type: ignore[arg-type]
    assert await updates(owner) == [{"parts": "address document", "by_guardian": 0}]
    assert made.application
    await registry.step(made.application, Step.WITHDRAW)
    (again,) = await registry.submit(replace(row, valid_until=TODAY + timedelta(9000)))
    assert again.refusal is None
    assert len(await updates(owner)) == 1


async def test_a_form_that_is_handed_in_again_brings_a_holder_up_to_date_also_one_who_has_a_card(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    _, holder = await lost(registry, owner)
    made = (await clerk.ask("Submit", reissue())).application.application_id
    await clerk.ask("Refuse", applications.RefuseRequest(request_id="x1", application_id=made, remark="电话有误"))
    again = applications.ResubmitRequest(request_id="a1", application_id=made, person=moved())
    assert not (await clerk.ask("Resubmit", again)).HasField("refusal")
    assert await person_of(registry, holder) == replace(
        submission(1).person, phone=PHONE, address="江海区某路 1 号", nationality="55"
    )
    assert [document.valid_until for document in (await seen_of(clerk, holder)).documents] == [UNTIL]
    assert await updates(owner) == [{"parts": "phone address nationality document", "by_guardian": 0}]


async def test_a_holder_at_a_kiosk_changes_the_phone_and_not_the_concession(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    stand = await enrolled(hall)
    await registry.first_card(1)
    await show_document(stand, 1)
    temporary = applications.APPLICATION_KIND_TEMPORARY
    asked = by_kiosk(1, kind=temporary, person=moved(), category="elder", resident=True)
    assert not (await stand.ask("Submit", asked)).HasField("refusal")
    assert await updates(owner) == [{"parts": "phone address nationality document", "by_guardian": 0}]
    assert tuple(await owner.fetchrow("select category, resident from card.holder")) == ("ordinary", False)  # type: ignore[arg-type]


def contact(holder: int, request_id: str = "c1", **other: Any) -> messages.ChangeContactRequest:
    fields: dict[str, Any] = {"identity_verified": True, "phone": PHONE, **other}
    return messages.ChangeContactRequest(request_id=request_id, holder_id=holder, **fields)


async def test_nobody_applies_for_a_card_to_change_a_phone(hall: Hall, registry: Registry, owner: Owner) -> None:
    clerk = await hall.window()
    holder = (await registry.submit(submission(1)))[0].holder or 0
    unseen = await clerk.ask("ChangeContact", contact(holder, "c0", identity_verified=False))
    assert unseen.refusal.reason == "IDENTITY_NOT_VERIFIED"
    assert await updates(owner) == []
    done = await clerk.ask("ChangeContact", contact(holder))
    assert not done.HasField("refusal")
    assert await clerk.ask("ChangeContact", contact(holder)) == done
    assert await updates(owner) == [{"parts": "phone", "by_guardian": 0}]
    assert await status_of(clerk.ask("ChangeContact", contact(holder, phone=OLD_PHONE))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_USED",
    )
    assert (await clerk.ask("ChangeContact", contact(holder, "c2"))).refusal.reason == "NOTHING_TO_CORRECT"
    assert not (await clerk.ask("ChangeContact", contact(holder, "c3", phone="", address="新会区"))).HasField("refusal")
    assert await person_of(registry, holder) == replace(submission(1).person, phone=PHONE, address="新会区")


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        ({"phone": "12345"}, "PHONE_NOT_ACCEPTED", "phone"),
        ({"address": "路" * 201}, "PERSON_DIFFERS", "address"),
    ],
)
async def test_a_contact_that_is_at_fault_is_named(hall: Hall, wrong: dict[str, str], reason: str, field: str) -> None:
    answer = await (await hall.window()).ask("ChangeContact", contact(7, **wrong))
    assert (answer.refusal.reason, answer.refusal.field) == (reason, field)


async def test_a_contact_that_says_nothing_or_is_nobodys_is_no_request(hall: Hall) -> None:
    clerk = await hall.window()
    for nothing in ({"phone": ""}, {"phone": "", "address": " "}):
        assert (await status_of(clerk.ask("ChangeContact", contact(7, **nothing))))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await status_of(clerk.ask("ChangeContact", contact(7))))[1] == "UNKNOWN_HOLDER"


async def test_the_phone_of_a_minor_is_changed_by_a_guardian_and_of_nobody_else(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk = await hall.window()
    minor = (await clerk.ask("Submit", child(consents=[MINOR]))).application.holder_id
    grown = (await registry.submit(submission(2)))[0].holder or 0
    agent = applications.Representative()
    agent.CopyFrom(GUARDIAN)
    agent.relation = applications.RELATION_AGENT
    for number, (wrong, reason) in enumerate(
        (
            (contact(minor), "GUARDIAN_NEEDED"),
            (contact(minor, guardian=agent), "GUARDIAN_NEEDED"),
            (contact(grown, guardian=GUARDIAN), "NOT_A_MINOR"),
            (contact(grown, guardian=agent), "PROXY_MAY_NOT"),
        )
    ):
        wrong.request_id = f"w{number}"
        assert (await clerk.ask("ChangeContact", wrong)).refusal.reason == reason
    assert not (await clerk.ask("ChangeContact", contact(minor, guardian=GUARDIAN))).HasField("refusal")
    assert await updates(owner) == [{"parts": "phone", "by_guardian": 1}]
