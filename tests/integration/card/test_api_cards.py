"""CardService as windows, the hotline and issuance meet it: from the application to the hand, and what happens after."""

from typing import Any

import grpc

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1.window_pb2 import GetHolderViewRequest
from services.card.domain.card import FinancialStatus, SocialStatus
from services.card.domain.life_cycle import Party
from tests.support.cardholders import citizen_number
from tests.support.hall import HOTLINE, ISSUANCE, Hall, Owner, Window, request, status_of

IN_PERSON = messages.Presented(party=messages.PARTY_HOLDER_IN_PERSON, identity_verified=True)


async def issued(hall: Hall, clerk: Window, number: int = 1, **other: Any) -> tuple[int, int]:
    """An application whose card lies at its outlet; answers both."""
    issuance = await hall.window(subject=ISSUANCE, token="")
    submitted = await clerk.ask("Submit", request(number, f"s{len(hall.windows)}", **other))
    assert not submitted.HasField("refusal"), submitted
    application = submitted.application.application_id
    for method, asked in (
        ("BeginProduction", messages.BeginProductionRequest(request_id=f"b{application}", application_id=application)),
        ("EndProduction", messages.EndProductionRequest(request_id=f"e{application}", application_id=application, made=True)),
    ):
        answer = await issuance.ask(method, asked)
        assert not answer.HasField("refusal"), answer
        assert await issuance.ask(method, asked) == answer
    return application, answer.application.card_id


async def ask(window: Window, verb: str, card: int, presented: messages.Presented = IN_PERSON) -> Any:
    """A verb under a request id of its own."""
    kind = getattr(messages, f"{verb}Request")
    return await window.ask(verb, kind(request_id=f"{verb}-{card}-{presented.party}", card_id=card, presented=presented))


async def test_a_card_is_made_handed_over_enabled_lost_and_found(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    early = await ask(clerk, "Enable", card)
    assert (early.refusal.reason, early.card.social) == ("NOT_COLLECTED", messages.SOCIAL_STATUS_SEALED)
    unseen = await ask(clerk, "Collect", card, messages.Presented(party=messages.PARTY_GUARDIAN))
    assert unseen.refusal.reason in ("IDENTITY_NOT_VERIFIED", "PAPERS_MISSING")
    for verb, social in (
        ("Collect", messages.SOCIAL_STATUS_SEALED),
        ("ReportTemporaryLoss", messages.SOCIAL_STATUS_SEALED),
    ):
        answer = await ask(clerk, verb, card)
        assert answer.card.social == social
        assert answer.HasField("refusal") is (verb != "Collect")
    enable = messages.EnableRequest(request_id="enable", card_id=card, presented=IN_PERSON)
    enabled = await clerk.ask("Enable", enable)
    assert enabled.card.social == messages.SOCIAL_STATUS_NORMAL
    assert await clerk.ask("Enable", enable) == enabled
    lost = await ask(clerk, "ReportTemporaryLoss", card, messages.Presented(party=messages.PARTY_HOLDER_REMOTE))
    assert lost.card.social == messages.SOCIAL_STATUS_TEMPORARILY_LOST
    assert lost.card.loss_until_ms > 0
    assert (await ask(clerk, "Release", card)).card.social == messages.SOCIAL_STATUS_NORMAL


async def test_every_action_says_whether_it_may_be_done_and_otherwise_why_not(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    for verb in ("Collect", "Enable", "ReportFormalLoss"):
        await ask(clerk, verb, card)
    answer = await clerk.ask("ListAllowedActions", messages.ListAllowedActionsRequest(card_id=card))
    actions = {action.verb: action for action in answer.actions}
    assert {verb for verb, action in actions.items() if action.allowed} == {"REISSUE", "REPLACE", "CANCEL"}
    assert actions["RELEASE"].refusal.reason == "FORMAL_LOSS_IS_FINAL"
    assert list(actions["REISSUE"].needs) == ["FEE_SETTLED", "IDENTITY_VERIFIED"]
    for action in answer.actions:
        assert action.allowed is not action.HasField("refusal")


async def listed(window: Window, card: int) -> dict[str, str]:
    """Why each action is not allowed now; the same in the view of the holder."""
    answer = await window.ask("ListAllowedActions", messages.ListAllowedActionsRequest(card_id=card))
    seen = await window.ask("GetHolderView", GetHolderViewRequest(holder_id=answer.card.holder_id))
    (shown,) = (held.actions for held in seen.holder.cards if held.card.card_id == card)
    assert list(shown) == list(answer.actions)
    return {action.verb: action.refusal.reason for action in answer.actions}


async def test_what_is_refused_for_an_open_application_a_term_or_a_right_is_not_called_allowed(
    hall: Hall, owner: Owner
) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    _, card = await issued(hall, clerk)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, card)
    assert {verb for verb, reason in (await listed(hotline, card)).items() if not reason} == {"REPORT_TEMPORARY_LOSS"}
    assert set((await listed(hotline, card)).values()) == {"", "NOT_YOUR_RIGHT"}
    paid = {"fee_source": applications.FEE_SOURCE_CASH, "kind": applications.APPLICATION_KIND_REPLACE}
    application = (await clerk.ask("Submit", request(1, "again", **paid))).application.application_id
    waiting = await listed(clerk, card)
    assert (waiting["REPLACE"], waiting["CANCEL"]) == ("APPLICATION_OPEN", "")
    await owner.execute("update card.application set state = 3 where id = $1", application)
    assert (await listed(clerk, card))["CANCEL"] == "APPLICATION_AT_BANK"
    _, temporary = await issued(hall, clerk, 2, kind=applications.APPLICATION_KIND_TEMPORARY)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, temporary)
    for time, reason in enumerate(("", "", "LONGEST_TERM_REACHED")):
        assert (await listed(clerk, temporary))["EXTEND"] == reason
        extend = messages.ExtendRequest(request_id=f"extend-{time}", card_id=temporary, presented=IN_PERSON)
        assert (await clerk.ask("Extend", extend)).refusal.reason == reason


async def test_a_reissued_card_takes_the_place_of_the_lost_one(hall: Hall) -> None:
    clerk = await hall.window()
    _, old = await issued(hall, clerk)
    for verb in ("Collect", "Enable", "ReportFormalLoss"):
        await ask(clerk, verb, old)
    unpaid = await clerk.ask("Submit", request(1, "unpaid", kind=applications.APPLICATION_KIND_REISSUE))
    assert unpaid.refusal.reason == "FEE_NOT_SETTLED"
    _, new = await issued(hall, clerk, kind=applications.APPLICATION_KIND_REISSUE, fee_source=applications.FEE_SOURCE_CASH)
    for verb in ("Collect", "Enable"):
        assert not (await ask(clerk, verb, new)).HasField("refusal")
    answer = await clerk.ask("ListAllowedActions", messages.ListAllowedActionsRequest(card_id=old))
    assert (answer.card.social, answer.card.successor_card_id) == (messages.SOCIAL_STATUS_CANCELLED, new)


async def test_a_proxy_reports_a_formal_loss_with_papers_which_are_kept_sealed(hall: Hall, owner: Owner) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, card)
    document = applications.Document(kind=applications.DOCUMENT_KIND_RESIDENT_ID, number=citizen_number(9))
    papers = applications.Representative(
        relation=applications.RELATION_AGENT, name="王五", document=document, papers=["委托书"]
    )
    proxy = messages.Presented(party=messages.PARTY_PROXY, identity_verified=True)
    assert (await ask(clerk, "Unlock", card, proxy)).refusal.reason == "NOT_LOCKED"
    lost = messages.ReportFormalLossRequest(request_id="l1", card_id=card, presented=proxy)
    assert (await clerk.ask("ReportFormalLoss", lost)).refusal.reason == "PAPERS_MISSING"
    lost.request_id = "l2"
    lost.presented.representative.CopyFrom(papers)
    assert (await clerk.ask("ReportFormalLoss", lost)).card.social == messages.SOCIAL_STATUS_FORMALLY_LOST
    sealed = await owner.fetchval("select papers from card.transition where card = $1 and verb = 7", card)
    assert sealed
    assert "王五".encode() not in sealed


async def test_the_hotline_reports_temporary_losses_and_nothing_else(hall: Hall) -> None:
    clerk, hotline = await hall.window(), await hall.window(role=HOTLINE)
    _, card = await issued(hall, clerk)
    for verb in ("Collect", "Enable"):
        await ask(clerk, verb, card)
    denied = (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")
    for verb in ("Release", "ReportFormalLoss", "Unlock", "Collect"):
        assert await status_of(ask(hotline, verb, card)) == denied
    remote = messages.Presented(party=messages.PARTY_HOLDER_REMOTE)
    assert (await ask(hotline, "ReportTemporaryLoss", card, remote)).card.social == messages.SOCIAL_STATUS_TEMPORARILY_LOST


async def test_only_issuance_makes_cards_and_nobody_is_taken_for_it(hall: Hall) -> None:
    clerk = await hall.window()
    made = (await clerk.ask("Submit", request(1))).application
    begin = messages.BeginProductionRequest(request_id="b", application_id=made.application_id)
    assert await status_of(clerk.ask("BeginProduction", begin)) == (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_NEEDED")
    unknown = messages.CollectRequest(request_id="c", card_id=99, presented=IN_PERSON)
    assert await status_of(clerk.ask("Collect", unknown)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CARD")
    nobody = messages.CollectRequest(request_id="c", card_id=99)
    assert (await status_of(clerk.ask("Collect", nobody)))[1] == "BAD_REQUEST"


def test_numbers_of_rules_and_messages_agree() -> None:
    assert {f"SOCIAL_STATUS_{one.name}": one + 1 for one in SocialStatus} | {"SOCIAL_STATUS_UNSPECIFIED": 0} == dict(
        messages.SocialStatus.items()
    )
    assert {f"FINANCIAL_STATUS_{one.name}": one.value for one in FinancialStatus} | {"FINANCIAL_STATUS_UNSPECIFIED": 0} == dict(
        messages.FinancialStatus.items()
    )
    for name, number in messages.Party.items():
        if number:
            assert Party(number).name == name.removeprefix("PARTY_")
