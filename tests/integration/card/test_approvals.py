"""Acts of high risk wait for a second person, who looks at one exact request in a session of their own."""

from typing import Any

import grpc
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import approvals_pb2 as messages
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import privacy_pb2 as privacy
from services.card.domain.approval import ApprovalState
from tests.integration.card.test_api_cards import IN_PERSON, ask, issued
from tests.support.hall import CLERK, OTHER, SUPERVISOR, Hall, Owner, Window, person, request, status_of


def cancel(card: int, request_id: str = "c1", **other: Any) -> cards.CancelRequest:
    fields = {"reason": cards.CANCEL_REASON_EMIGRATED, "remainder_to": cards.REMAINDER_TO_CASH, "presented": IN_PERSON, **other}
    return cards.CancelRequest(request_id=request_id, card_id=card, **fields)


async def enabled(hall: Hall, clerk: Window, number: int = 1) -> int:
    _, card = await issued(hall, clerk, number)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, card)
    return card


async def supervisor(hall: Hall, subject: str = OTHER) -> Window:
    return await hall.window(subject=subject, token=await hall.sign_in(SUPERVISOR, subject))


async def decide(window: Window, approval: int, *, approve: bool = True) -> messages.DecideApprovalResponse:
    reason = "" if approve else "材料不全"
    asked = messages.DecideApprovalRequest(approval_id=approval, approve=approve, reason=reason)
    answer: messages.DecideApprovalResponse = await window.ask("DecideApproval", asked)
    return answer


def test_states_travel_by_the_numbers_that_are_stored() -> None:
    sent = {name.removeprefix("APPROVAL_STATE_"): number for name, number in messages.ApprovalState.items() if number}
    assert sent == {state.name: state.value for state in ApprovalState}


async def test_a_card_is_cancelled_once_a_second_person_has_agreed(hall: Hall, owner: Owner) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await enabled(hall, clerk)
    first = await clerk.ask("Cancel", cancel(card))
    assert (first.refusal.reason, first.card.social) == ("SECOND_PERSON_NEEDED", cards.SOCIAL_STATUS_NORMAL)
    number = first.refusal.approval_id
    waiting = await clerk.ask("Cancel", cancel(card))
    assert (waiting.refusal.reason, waiting.refusal.approval_id) == ("APPROVAL_AWAITED", number)
    (listed,) = (await chief.ask("ListApprovals", messages.ListApprovalsRequest())).approvals
    assert (listed.approval_id, listed.act, listed.card_id) == (number, "CANCEL_CARD", card)
    assert dict(listed.detail) == {"party": "HOLDER_IN_PERSON", "reason": "EMIGRATED"}
    decided = await decide(chief, number)
    assert decided.approval.state == messages.APPROVAL_STATE_APPROVED
    done = await clerk.ask("Cancel", cancel(card))
    assert not done.HasField("refusal")
    assert done.card.social == cards.SOCIAL_STATUS_CANCELLED
    assert await clerk.ask("Cancel", cancel(card)) == done
    seen = await clerk.ask("GetApproval", messages.GetApprovalRequest(approval_id=number))
    assert seen.approval.state == messages.APPROVAL_STATE_USED
    acts = await owner.fetch(
        "select act from card.audit where act like 'approval.%' or detail ->> 'verb' = 'CANCEL' order by id"
    )
    assert [row[0] for row in acts] == ["approval.ask", "approval.approved", "card.change"]


async def test_what_would_be_refused_anyway_asks_nobody(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    card = await enabled(hall, clerk)
    unseen = cancel(card, presented=cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON))
    assert (await clerk.ask("Cancel", unseen)).refusal.reason == "IDENTITY_NOT_VERIFIED"
    assert await owner.fetchval("select count(*) from card.approval") == 0
    unnamed = cancel(card, "c2", remainder_to=cards.REMAINDER_TO_UNSPECIFIED)
    assert (await status_of(clerk.ask("Cancel", unnamed)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_approval_is_good_for_that_very_request_alone(hall: Hall) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    one, other = await enabled(hall, clerk), await enabled(hall, clerk, 2)
    number = (await clerk.ask("Cancel", cancel(one))).refusal.approval_id
    await decide(chief, number)
    for asked in (cancel(other, "c2"), cancel(one, "c3"), cancel(one, "c4", reason=cards.CANCEL_REASON_DECEASED)):
        answer = await clerk.ask("Cancel", asked)
        assert answer.refusal.reason == "SECOND_PERSON_NEEDED"
        assert answer.refusal.approval_id > number
    assert not (await clerk.ask("Cancel", cancel(one))).HasField("refusal")


async def test_guards_are_looked_at_again_when_it_is_carried_out(hall: Hall) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await enabled(hall, clerk)
    numbers = [(await clerk.ask("Cancel", cancel(card, f"c{i}"))).refusal.approval_id for i in range(2)]
    for number in numbers:
        await decide(chief, number)
    assert not (await clerk.ask("Cancel", cancel(card, "c0"))).HasField("refusal")
    assert (await clerk.ask("Cancel", cancel(card, "c1"))).refusal.reason == "CANCELLED"


async def test_nobody_approves_their_own_request_or_case_or_without_the_right(hall: Hall) -> None:
    clerk, chief, other = await hall.window(), await supervisor(hall), await supervisor(hall)
    card = await enabled(hall, clerk)
    number = (await clerk.ask("Cancel", cancel(card))).refusal.approval_id
    assert await status_of(decide(clerk, number)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")
    await ask(other, "ReportTemporaryLoss", card)
    await ask(other, "Release", card)
    assert (await decide(other, number)).refusal.reason == "OWN_CASE"  # also when it was asked before that
    second = await enabled(hall, chief, 2)
    own = (await chief.ask("Cancel", cancel(second))).refusal.approval_id
    assert (await decide(chief, own)).refusal.reason == "OWN_REQUEST"
    by_clerk = (await clerk.ask("Cancel", cancel(second, "c2"))).refusal.approval_id
    assert (await decide(chief, by_clerk)).refusal.reason == "OWN_CASE"
    assert (await status_of(decide(chief, 999)))[1] == "UNKNOWN_APPROVAL"


async def test_whoever_took_the_application_has_a_part_in_whatever_follows_from_it(hall: Hall, owner: Owner) -> None:
    clerk, chief, other = await hall.window(), await supervisor(hall), await supervisor(hall)
    _, card = await issued(hall, chief)
    holder = await owner.fetchval("select holder from card.card")
    right = privacy.CorrectIdentityRequest(request_id="i1", holder_id=holder, name="李正")
    asked = (await clerk.ask("CorrectIdentity", right)).refusal.approval_id
    assert (await decide(chief, asked)).refusal.reason == "OWN_CASE"
    assert (await decide(other, asked)).approval.state == messages.APPROVAL_STATE_APPROVED
    assert not (await clerk.ask("CorrectIdentity", right)).HasField("refusal")
    for verb in ("Collect", "Enable", "ReportFormalLoss"):
        await ask(clerk, verb, card)
    free = request(
        1,
        "r2",
        person=person(1, name="李正"),
        kind=applications.APPLICATION_KIND_REISSUE,
        fee_source=applications.FEE_SOURCE_WAIVED,
    )
    for act, wanted in (("Cancel", cancel(card)), ("Submit", free)):
        asked = (await clerk.ask(act, wanted)).refusal.approval_id
        assert (await decide(chief, asked)).refusal.reason == "OWN_CASE"
    await owner.execute("update card.step set at = at - interval '31 days'")
    asked = (await clerk.ask("Cancel", cancel(card, "c2"))).refusal.approval_id
    assert (await decide(chief, asked)).approval.state == messages.APPROVAL_STATE_APPROVED  # that is long ago


async def test_a_rejection_stays_one_and_says_why(hall: Hall) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await enabled(hall, clerk)
    number = (await clerk.ask("Cancel", cancel(card))).refusal.approval_id
    assert (await decide(chief, number, approve=False)).approval.reason == "材料不全"
    assert (await decide(chief, number)).refusal.reason == "APPROVAL_DECIDED"
    assert (await clerk.ask("Cancel", cancel(card))).refusal.reason == "APPROVAL_REJECTED"
    assert (await clerk.ask("Cancel", cancel(card, "again"))).refusal.reason == "SECOND_PERSON_NEEDED"


@pytest.mark.parametrize("role", [CLERK, SUPERVISOR])
async def test_it_is_over_with_the_shift_of_either(hall: Hall, owner: Owner, role: int) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await enabled(hall, clerk)
    number = (await clerk.ask("Cancel", cancel(card))).refusal.approval_id
    await decide(chief, number)
    await owner.execute(
        """update card.shift set end_time = now(), ended_by = 1
           where staff in (select id from card.staff where $1 = any (roles)) and end_time is null""",
        role,
    )
    if role == CLERK:
        same = await owner.fetchval("select requested_by from card.approval")
        clerk.token = await hall.sign_in(staff=same)
    answer = await clerk.ask("Cancel", cancel(card))
    assert answer.refusal.reason == "SECOND_PERSON_NEEDED"
    assert answer.refusal.approval_id > number
    assert answer.card.social == cards.SOCIAL_STATUS_NORMAL


async def test_a_fee_is_waived_by_two(hall: Hall) -> None:
    clerk, chief = await hall.window(), await supervisor(hall)
    card = await enabled(hall, clerk)
    await ask(clerk, "ReportFormalLoss", card)
    wanted = request(1, "again", kind=applications.APPLICATION_KIND_REISSUE, fee_source=applications.FEE_SOURCE_WAIVED)
    first = await clerk.ask("Submit", wanted)
    assert first.refusal.reason == "SECOND_PERSON_NEEDED"
    (listed,) = (await chief.ask("ListApprovals", messages.ListApprovalsRequest())).approvals
    assert (listed.act, dict(listed.detail)) == ("WAIVE_FEE", {"fee_fen": "2000", "kind": "REISSUE"})
    await decide(chief, first.refusal.approval_id)
    accepted = await clerk.ask("Submit", wanted)
    assert accepted.application.state == applications.APPLICATION_STATE_APPLIED
    assert await clerk.ask("Submit", wanted) == accepted
