"""What people consented to, whom a name leads to, and what never goes across the border."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import privacy_pb2 as messages
from onecard.card.v1 import window_pb2 as window_messages
from services.card.domain.consent import ConsentKind
from services.card.domain.life_cycle import Verb
from services.common.peer import Subject
from tests.integration.card.test_api_cards import IN_PERSON
from tests.support.cardholders import TODAY, Registry, citizen_number, number_born, submission
from tests.support.hall import HOTLINE, SUPERVISOR, Hall, Owner, Window, person, request, status_of

ABROAD = "onecard://merchant/CITY-HALL/terminal/MACAU-1/abroad"
FINANCE, LOCATION, MINOR = (
    applications.CONSENT_KIND_FINANCE,
    applications.CONSENT_KIND_LOCATION,
    applications.CONSENT_KIND_MINOR,
)
GUARDIAN = applications.Representative(
    relation=applications.RELATION_PARENT,
    name="李大人",
    document=applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(70)),
    papers=["户口簿"],
)
CHILD = number_born(TODAY - timedelta(8 * 365))


def test_kinds_travel_by_the_numbers_that_are_stored() -> None:
    sent = {name.removeprefix("CONSENT_KIND_"): number for name, number in applications.ConsentKind.items() if number}
    assert sent == {kind.name: kind.value for kind in ConsentKind}


def child(request_id: str = "r1", **other: Any) -> applications.SubmitRequest:
    document = applications.Document(kind=applications.DOCUMENT_KIND_HOUSEHOLD_REGISTER, number=CHILD)
    fields = {"route": applications.ROUTE_GUARDIAN, "representative": GUARDIAN, "photo": b"", **other}
    return request(1, request_id, person=person(1, document=document), **fields)


async def say(window: Window, method: str, holder: int, kind: Any, request_id: str, **other: Any) -> Any:
    kinds = {"GiveConsent": messages.GiveConsentRequest, "WithdrawConsent": messages.WithdrawConsentRequest}
    asked = kinds[method](request_id=request_id, holder_id=holder, kind=kind, **other)
    return await window.ask(method, asked)


async def view(window: Window, holder: int) -> window_messages.HolderView:
    answer = await window.ask("GetHolderView", window_messages.GetHolderViewRequest(holder_id=holder))
    found: window_messages.HolderView = answer.holder
    return found


async def test_a_consent_is_given_and_withdrawn_and_each_word_stays_written_down(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    holder = (await clerk.ask("Submit", request(1))).application.holder_id
    assert not (await view(clerk, holder)).consents
    given = await say(clerk, "GiveConsent", holder, FINANCE, "k1")
    assert [(c.kind, c.given, c.by_guardian) for c in given.consents] == [(FINANCE, True, False)]
    assert given.consents[0].actor.startswith("staff:")
    assert await say(clerk, "GiveConsent", holder, FINANCE, "k1") == given
    withdrawn = await say(clerk, "WithdrawConsent", holder, FINANCE, "k2")
    assert [c.given for c in withdrawn.consents] == [False]
    assert list((await view(clerk, holder)).consents) == list(withdrawn.consents)
    again = await say(clerk, "WithdrawConsent", holder, FINANCE, "k3")
    assert again.refusal.reason == "NO_CONSENT_TO_WITHDRAW"
    assert [tuple(r) for r in await owner.fetch("select kind, given from card.consent order by id")] == [(1, True), (1, False)]
    acts = await owner.fetch("select act, holder from card.audit where act like 'consent.%' order by id")
    assert [tuple(row) for row in acts] == [("consent.give", holder), ("consent.withdraw", holder)]
    wrong = say(clerk, "GiveConsent", holder, applications.CONSENT_KIND_UNSPECIFIED, "k4")
    assert (await status_of(wrong))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await status_of(say(clerk, "GiveConsent", 7, FINANCE, "k5")))[1] == "UNKNOWN_HOLDER"


async def test_the_service_cannot_change_a_word_that_was_said(hall: Hall, registry: Registry) -> None:
    async with registry.engine.connect() as connection:
        rights = "select has_table_privilege('card.consent', 'update'), has_table_privilege('card.consent', 'delete')"
        assert tuple((await connection.exec_driver_sql(rights)).one()) == (False, False)


async def test_the_banks_side_of_a_card_is_not_activated_without_consent(hall: Hall, registry: Registry, owner: Owner) -> None:
    clerk = await hall.window()
    card = await registry.first_card(1)
    await owner.execute("update card.card set bank_account = '\\x00'")
    asked = cards.ActivateRequest(request_id="a1", card_id=card, presented=IN_PERSON)
    assert (await clerk.ask("Activate", asked)).refusal.reason == "CONSENT_NEEDED"
    holder = await owner.fetchval("select holder from card.card")
    await say(clerk, "GiveConsent", holder, FINANCE, "k1")
    asked.request_id = "a2"
    assert (await clerk.ask("Activate", asked)).card.financial == cards.FINANCIAL_STATUS_ACTIVE
    assert await owner.fetchval("select count(*) from card.transition where verb = $1", Verb.ACTIVATE) == 1


async def test_nobody_applies_for_a_child_without_the_guardians_consent(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    assert (await clerk.ask("Submit", child())).refusal.reason == "CONSENT_NEEDED"
    assert await owner.fetchval("select count(*) from card.holder") == 0
    agent = applications.Representative()
    agent.CopyFrom(GUARDIAN)
    agent.relation = applications.RELATION_AGENT
    by_agent = await clerk.ask("Submit", child("r2", consents=[MINOR], representative=agent))
    assert by_agent.refusal.reason == "GUARDIAN_NEEDED"
    accepted = await clerk.ask("Submit", child("r3", consents=[MINOR]))
    assert not accepted.HasField("refusal")
    holder = accepted.application.holder_id
    assert [(c.kind, c.given, c.by_guardian) for c in (await view(clerk, holder)).consents] == [(MINOR, True, True)]
    assert (await say(clerk, "GiveConsent", holder, FINANCE, "k1")).refusal.reason == "GUARDIANS_CONSENT_NEEDED"
    assert not (await say(clerk, "GiveConsent", holder, FINANCE, "k2", guardian=GUARDIAN)).HasField("refusal")
    grown = (await clerk.ask("Submit", request(2, "r4"))).application.holder_id
    assert (await say(clerk, "GiveConsent", grown, MINOR, "k3", guardian=GUARDIAN)).refusal.reason == "NOT_A_MINOR"


async def test_an_employer_consents_to_nothing_in_somebodys_name(hall: Hall) -> None:
    clerk = await hall.window()
    proxy = request(1, route=applications.ROUTE_PROXY, representative=GUARDIAN, consents=[FINANCE])
    assert (await clerk.ask("Submit", proxy)).refusal.reason == "PROXY_MAY_NOT"
    own = await clerk.ask("Submit", request(1, "r2", consents=[FINANCE, LOCATION]))
    assert [c.kind for c in (await view(clerk, own.application.holder_id)).consents] == [FINANCE, LOCATION]


async def search(window: Window, name: str, birth_date: str, **other: Any) -> messages.SearchHoldersResponse:
    asked = messages.SearchHoldersRequest(name=name, birth_date=birth_date, **other)
    answer: messages.SearchHoldersResponse = await window.ask("SearchHolders", asked)
    return answer


async def test_one_person_under_two_kinds_of_documents_is_found_and_shown_and_never_merged(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    first = (await clerk.ask("Submit", request(1))).application.holder_id
    born = f"{citizen_number(1)[6:10]}-{citizen_number(1)[10:12]}-{citizen_number(1)[12:14]}"
    passport = applications.Document(kind=applications.DOCUMENT_KIND_PASSPORT, number="E12345678", issuing_country="GBR")
    stranger = request(1, "r2", person=person(1, document=passport, birth_date=born))
    warned = (await clerk.ask("Submit", stranger)).refusal
    assert warned.reason == "POSSIBLE_SAME_PERSON"
    (possible,) = warned.possible_holders
    assert (possible.holder_id, possible.masked_document_number) == (
        first,
        citizen_number(1)[0] + "*" * 16 + citizen_number(1)[-1],
    )
    assert await owner.fetchval("select count(*) from card.holder") == 1
    second = (await clerk.ask("Submit", request(1, "r3", person=stranger.person, other_people=[first]))).application.holder_id
    assert second != first
    found = (await search(clerk, person(1).name, born)).holders
    assert [(one.holder_id, [d.masked_number for d in one.documents]) for one in found] == [
        (first, [possible.masked_document_number]),
        (second, ["E*******8"]),
    ]
    assert {one.masked_name for one in found} == {"*" + person(1).name[-1]}


async def test_a_search_needs_name_and_birth_date_goes_by_pages_and_is_written_down(
    hall: Hall, registry: Registry, owner: Owner
) -> None:
    clerk, other = await hall.window(), await hall.window(role=HOTLINE)
    for number in (1, 3, 5):  # three of one name, born on one day
        await registry.submit(submission(number, name="李一"))
    born = "1990-01-01"
    for wrong in (("", born), ("李一", ""), ("李一", "1990")):
        assert (await status_of(search(clerk, *wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    first = await search(clerk, "李一", born, page_size=2)
    rest = await search(clerk, "李一", born, page_size=2, page_token=first.next_page_token)
    ids = [one.holder_id for page in (first, rest) for one in page.holders]
    assert (len(first.holders), ids, rest.next_page_token) == (2, sorted(set(ids)), "")
    assert not (await search(clerk, "李一", "1990-01-02")).holders
    rows = await owner.fetch("select act, holder, detail::text from card.audit where act like 'holder.%' order by id")
    assert [row[0] for row in rows] == [
        "holder.search", "holder.found", "holder.found", "holder.search", "holder.found", "holder.search",
    ]  # fmt: skip
    assert [row[1] for row in rows if row[1]] == ids
    await owner.execute(
        """insert into card.audit (actor, act)
           select actor, act from card.audit, generate_series(1, 17) where act = 'holder.search' and detail ->> 'found' = '0'"""
    )
    assert await status_of(search(clerk, "李一", born)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_SEARCHES")
    assert len((await search(other, "李一", born)).holders) == 3


async def test_nothing_unmasked_goes_across_the_border(hall: Hall, registry: Registry) -> None:
    """Whoever is signed in there, and whatever right they hold elsewhere."""
    await registry.submit(submission(1))
    holder = (await search(await hall.window(), submission(1).person.name, "1990-01-01")).holders[0].holder_id
    for role in (1, SUPERVISOR):
        abroad = await hall.window(subject=ABROAD, token=await hall.sign_in(role, ABROAD))
        seen = await view(abroad, holder)
        assert seen.masked
        assert seen.name.startswith("*")
        whole = window_messages.GetHolderViewRequest(holder_id=holder, unmasked=True, purpose="核对")
        assert await status_of(abroad.ask("GetHolderView", whole)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")


@pytest.mark.parametrize("end", ["/elsewhere", "/abroad/abroad", "/ABROAD"])
def test_no_other_word_behind_a_terminal_is_a_subject(end: str) -> None:
    assert Subject.parse(ABROAD).uri == ABROAD
    with pytest.raises(ValueError, match="no subject"):
        Subject.parse(ABROAD.removesuffix("/abroad") + end)
