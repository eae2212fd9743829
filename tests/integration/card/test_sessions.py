"""A holder at a kiosk or online acts for minutes, for themselves alone, and at that one terminal."""

from typing import Any

import grpc

from cli.authority import read
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1 import sessions_pb2 as sessions
from onecard.card.v1 import window_pb2 as visits
from services.card.domain.life_cycle import TABLE, Party
from services.card.domain.terminal import TerminalKind, TerminalState
from tests.integration.card.test_api_cards import IN_PERSON, ask, issued
from tests.integration.card.test_pins import OTHER_PIN, PIN, reset, with_pin
from tests.support.cardholders import citizen_number
from tests.support.hall import Hall, Owner, Window, person, request, status_of

KIOSK = "onecard://merchant/CITY-HALL/terminal/KIOSK-1"
PORTAL = "onecard://service/portal"
ENDED = (grpc.StatusCode.UNAUTHENTICATED, "SESSION_ENDED")
UNKNOWN = (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CARD")
NEEDED = (grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_NEEDED")


async def identifier_of(owner: Owner, card: int) -> str:
    return str(await owner.fetchval("select card_identifier from card.card where id = $1", card))


async def show_card(window: Window, owner: Owner, card: int, pin: str = PIN) -> sessions.OpenSessionResponse:
    """Put a card in and key a PIN in; whoever is let in stands there from then on."""
    shown = sessions.CardAndPin(card_identifier=await identifier_of(owner, card), pin=pin)
    opened: sessions.OpenSessionResponse = await window.ask("OpenSession", sessions.OpenSessionRequest(card_and_pin=shown))
    window.holder = opened.token
    return opened


async def kiosk(hall: Hall, subject: str = KIOSK) -> Window:
    return await hall.window(subject=subject, token="")


async def enrolled(hall: Hall, kind: TerminalKind = TerminalKind.KIOSK) -> Window:
    """A terminal whose certificate was enrolled; a kiosk is one whose reader is believed."""
    await hall.owner.execute(
        """insert into card.terminal (subject, kind, outlet, state, request, key_digest, certificate, serial, not_after)
           values ($1, $2, '440703-01', $3, '', '', 'a certificate', $4, now() + interval '1 day')""",
        KIOSK,
        kind,
        TerminalState.ENROLLED,
        read(hall.authority.issue(KIOSK).certificate).serial,
    )
    return await kiosk(hall)


async def show_document(window: Window, number: int, name: str = "") -> sessions.OpenSessionResponse:
    """Put an identity card on the reader."""
    shown = person(number)
    reading = sessions.IdentityReading(document=shown.document, name=name or shown.name)
    opened: sessions.OpenSessionResponse = await window.ask(
        "OpenSession", sessions.OpenSessionRequest(identity_reading=reading)
    )
    window.holder = opened.token
    return opened


def by_kiosk(number: int, request_id: str = "k", **other: Any) -> applications.SubmitRequest:
    return request(number, request_id, route=applications.ROUTE_KIOSK, **other)


async def verb(window: Window, name: str, card: int, request_id: str = "") -> Any:
    kind = getattr(messages, f"{name}Request")
    return await window.ask(name, kind(request_id=request_id or f"{name}-{card}", card_id=card))


def actions(card: int) -> messages.ListAllowedActionsRequest:
    return messages.ListAllowedActionsRequest(card_id=card)


async def test_a_holder_reports_a_loss_of_their_own_card_which_ends_the_session(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    card = await with_pin(hall, clerk)
    opened = await show_card(stand, owner, card)
    assert opened.holder_id
    lost = await verb(stand, "ReportTemporaryLoss", card)
    assert lost.card.social == messages.SOCIAL_STATUS_TEMPORARILY_LOST
    assert await status_of(verb(stand, "Release", card)) == ENDED
    assert (await show_card(stand, owner, card)).refusal.reason == "CARD_IS_LOST"
    party, actor = await owner.fetchrow("select party, actor from card.transition where card = $1 and verb = 4", card)  # type: ignore[misc]
    assert (party, actor) == (Party.HOLDER_REMOTE, f"holder:{opened.holder_id}")
    acts = await owner.fetch("select act from card.audit where actor = $1 order by id", actor)
    assert [row[0] for row in acts] == ["session.begin", "card.change"]


async def test_a_card_that_was_collected_is_enabled_by_its_holder_from_afar(hall: Hall, owner: Owner) -> None:
    clerk, portal = await hall.window(), await kiosk(hall, PORTAL)
    _, card = await issued(hall, clerk)
    assert (await show_card(portal, owner, card)).refusal.reason == "NOT_COLLECTED"
    collect = messages.CollectRequest(request_id="c", card_id=card, presented=IN_PERSON, new_pin=PIN)
    await clerk.ask("Collect", collect)
    await show_card(portal, owner, card)
    assert (await verb(portal, "Enable", card)).card.social == messages.SOCIAL_STATUS_NORMAL


async def test_a_holder_may_do_what_the_table_says_of_holders_from_afar_and_nothing_else(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    card = await with_pin(hall, clerk)
    await show_card(stand, owner, card)
    listed = (await stand.ask("ListAllowedActions", actions(card))).actions
    assert {action.verb for action in listed if action.allowed} == {"REPORT_TEMPORARY_LOSS", "SIGN_UP"}
    assert not [action for action in listed if "IDENTITY_VERIFIED" in action.needs]
    remote = {verb.name for verb, rule in TABLE.items() if Party.HOLDER_REMOTE in rule.parties}
    assert remote == {"ENABLE", "REPORT_TEMPORARY_LOSS", "RELEASE", "SIGN_UP", "CANCEL_ELECTRONIC"}
    others = {action.verb: action.refusal.reason for action in listed if action.verb not in remote}
    assert {others[name] for name in ("CANCEL", "REPORT_FORMAL_LOSS", "REPLACE", "RESET_PIN")} == {"NOT_BY_THIS_PARTY"}
    claims: dict[str, Any] = {"card_id": card, "presented": IN_PERSON}  # whatever a terminal says that was shown
    for asked in (
        messages.ReportFormalLossRequest(**claims),
        messages.ResetPinRequest(**claims, new_pin=OTHER_PIN),
        messages.CancelRequest(**claims, reason="CANCEL_REASON_EMIGRATED", remainder_to="REMAINDER_TO_CASH"),
    ):
        name = asked.request_id = type(asked).__name__.removesuffix("Request")
        assert (await stand.ask(name, asked)).refusal.reason == "NOT_BY_THIS_PARTY", name
    assert await owner.fetchval("select count(*) from card.approval") == 0


async def test_nothing_about_anybody_else(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    own, other = await with_pin(hall, clerk), await with_pin(hall, clerk, 2)
    opened = await show_card(stand, owner, own)
    for asked in (
        verb(stand, "ReportTemporaryLoss", other),
        verb(stand, "Enable", other),
        stand.ask("ListAllowedActions", actions(other)),
        stand.ask("ChangePin", messages.ChangePinRequest(request_id="p", card_id=other, pin=PIN, new_pin=OTHER_PIN)),
    ):
        assert await status_of(asked) == UNKNOWN
    assert await owner.fetchval("select social, wrong_pins from card.card where id = $1", other) == 1
    theirs = visits.GetHolderViewRequest(holder_id=opened.holder_id + 1)
    assert (await status_of(stand.ask("GetHolderView", theirs)))[1] == "BAD_REQUEST"
    whole = visits.GetHolderViewRequest(unmasked=True, purpose="好奇")
    assert (await status_of(stand.ask("GetHolderView", whole)))[1] == "NOT_YOUR_RIGHT"
    seen = (await stand.ask("GetHolderView", visits.GetHolderViewRequest())).holder
    assert (seen.holder_id, seen.masked, seen.name) == (opened.holder_id, True, "*" + person(1).name[1:])
    assert [held.card.card_id for held in seen.cards] == [own]
    assert {a.verb for a in seen.cards[0].actions if a.allowed} == {"REPORT_TEMPORARY_LOSS", "SIGN_UP"}


async def test_what_a_session_does_not_open_stays_closed(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    card = await with_pin(hall, clerk)
    await show_card(stand, owner, card)
    for asked in (
        stand.ask("VerifyPin", messages.VerifyPinRequest(card_id=card, pin=PIN)),
        stand.ask("CompleteVisit", visits.CompleteVisitRequest(visit_id="v")),
        stand.ask("GetVisit", visits.GetVisitRequest(visit_number=1)),
    ):
        assert await status_of(asked) == NEEDED


async def test_a_session_is_worth_nothing_at_another_terminal_nor_with_another_certificate(hall: Hall, owner: Owner) -> None:
    clerk, stand, other = await hall.window(), await kiosk(hall), await kiosk(hall, PORTAL)
    card = await with_pin(hall, clerk)
    token = (await show_card(stand, owner, card)).token
    other.holder = token
    wrong = (grpc.StatusCode.UNAUTHENTICATED, "WRONG_TERMINAL")
    assert await status_of(other.ask("ListAllowedActions", actions(card))) == wrong
    mine = (await show_card(other, owner, card)).token
    assert mine != token
    for window in (stand, other):
        assert (await window.ask("ListAllowedActions", actions(card))).card.card_id == card
    await other.ask("EndSession", sessions.EndSessionRequest())
    assert await status_of(other.ask("ListAllowedActions", actions(card))) == ENDED
    await stand.ask("ListAllowedActions", actions(card))
    renewed = await owner.fetchval("update card.holder_session set serial = 'another' where end_time is null returning id")
    assert renewed
    assert await status_of(stand.ask("ListAllowedActions", actions(card))) == wrong


async def test_a_session_lasts_the_citys_minutes(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    card = await with_pin(hall, clerk)
    await show_card(stand, owner, card)
    lasts = await owner.fetchval("select extract(epoch from expire_time - begin_time) from card.holder_session")
    assert lasts == 300
    await owner.execute("update card.holder_session set expire_time = now()")
    for asked in (stand.ask("ListAllowedActions", actions(card)), stand.ask("EndSession", sessions.EndSessionRequest())):
        assert await status_of(asked) == ENDED
    await show_card(stand, owner, card)
    assert await owner.fetchval("select count(*) from card.holder_session") == 1  # what is over is not kept


async def test_what_bars_the_card_or_changes_its_pin_ends_the_session_that_it_opened(hall: Hall, owner: Owner) -> None:
    clerk, stand, portal = await hall.window(), await kiosk(hall), await kiosk(hall, PORTAL)
    card = await with_pin(hall, clerk)

    async def lose_and_find() -> None:
        await ask(clerk, "ReportTemporaryLoss", card)
        await ask(clerk, "Release", card)

    async def guess_and_unlock() -> None:
        for _ in range(6):
            await show_card(portal, owner, card, "000000")
        await ask(clerk, "Unlock", card)

    async def succeed() -> None:
        """Another card takes its place."""
        kind = applications.APPLICATION_KIND_REPLACE
        _, successor = await issued(hall, clerk, kind=kind, fee_source=applications.FEE_SOURCE_CASH)
        with_old = messages.Presented(party=messages.PARTY_HOLDER_IN_PERSON, identity_verified=True, old_card_returned=True)
        for verb in ("Collect", "Enable"):
            assert not (await ask(clerk, verb, successor, with_old)).HasField("refusal")

    async def forget_the_pin() -> None:
        assert not (await clerk.ask("ResetPin", reset(card, new_pin=PIN))).HasField("refusal")

    for happens in (lose_and_find, guess_and_unlock, forget_the_pin, succeed):
        assert (await show_card(stand, owner, card)).token, happens
        await happens()
        assert await status_of(stand.ask("GetHolderView", visits.GetHolderViewRequest())) == ENDED, happens


async def test_a_card_is_shown_by_its_printed_number_too_and_nobody_learns_which_exist(hall: Hall, owner: Owner) -> None:
    clerk, portal = await hall.window(), await kiosk(hall, PORTAL)
    card = await with_pin(hall, clerk)
    document = person(1).document
    asked = visits.GetHolderViewRequest(document=document, unmasked=True, purpose="核对")
    number = (await clerk.ask("GetHolderView", asked)).holder.cards[0].card_number
    heard = []
    for shown in (
        sessions.CardAndPin(card_number=number, pin=PIN),
        sessions.CardAndPin(card_number=number, pin=OTHER_PIN),
        sessions.CardAndPin(card_number="999999999", pin=PIN),
        sessions.CardAndPin(card_identifier="440700D15600000500000001", pin=PIN),
    ):
        opened = await portal.ask("OpenSession", sessions.OpenSessionRequest(card_and_pin=shown))
        heard.append(opened.refusal.reason)
    assert heard == ["", "PIN_WRONG", "PIN_WRONG", "PIN_WRONG"]
    assert citizen_number(1) not in str(opened)
    assert await owner.fetchval("select wrong_pins from card.card where id = $1", card) == 1


async def test_a_holder_changes_their_pin_and_shows_it_anew(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await kiosk(hall)
    card = await with_pin(hall, clerk)
    await show_card(stand, owner, card)
    change = messages.ChangePinRequest(request_id="p", card_id=card, pin=PIN, new_pin=OTHER_PIN)
    assert not (await stand.ask("ChangePin", change)).HasField("refusal")
    assert await status_of(stand.ask("ListAllowedActions", actions(card))) == ENDED
    assert (await show_card(stand, owner, card)).refusal.reason == "PIN_WRONG"
    assert (await show_card(stand, owner, card, OTHER_PIN)).holder_id


async def test_a_token_of_nobody_is_none(hall: Hall) -> None:
    stand = await kiosk(hall)
    assert await status_of(stand.ask("EndSession", sessions.EndSessionRequest())) == ENDED
    stand.holder = "guessed"
    assert await status_of(stand.ask("GetHolderView", visits.GetHolderViewRequest())) == ENDED
    assert (await status_of(stand.ask("OpenSession", sessions.OpenSessionRequest())))[1] == "BAD_REQUEST"


async def test_a_holder_whose_document_a_kiosk_read_releases_the_card_that_was_found(hall: Hall) -> None:
    clerk, stand = await hall.window(), await enrolled(hall)
    card = await with_pin(hall, clerk)
    assert (await show_document(stand, 1)).holder_id
    assert (await verb(stand, "ReportTemporaryLoss", card)).card.social == messages.SOCIAL_STATUS_TEMPORARILY_LOST
    released = await verb(stand, "Release", card)  # the session was not opened by the card, and goes on
    assert released.card.social == messages.SOCIAL_STATUS_NORMAL
    assert (await show_document(stand, 1, "李四")).refusal.reason == "PERSON_DIFFERS"


async def test_a_reading_is_believed_of_enrolled_kiosks_alone(hall: Hall, owner: Owner) -> None:
    stand, stranger = await enrolled(hall, TerminalKind.WINDOW), await kiosk(hall, PORTAL)
    for window in (stand, stranger):
        assert await status_of(show_document(window, 1)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_A_KIOSK")
    await owner.execute("update card.terminal set kind = $1, state = $2", TerminalKind.KIOSK, TerminalState.REVOKED)
    assert (await status_of(show_document(stand, 1)))[1] == "NOT_A_KIOSK"
    await owner.execute("update card.terminal set state = $1", TerminalState.ENROLLED)
    assert not (await show_document(stand, 1)).HasField("refusal")


async def test_a_newcomer_applies_for_themselves_at_a_kiosk_and_for_nobody_else(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await enrolled(hall)
    assert (await show_document(stand, 1)).holder_id == 0
    assert (await status_of(stand.ask("GetHolderView", visits.GetHolderViewRequest())))[1] == "UNKNOWN_HOLDER"
    assert (await stand.ask("Submit", by_kiosk(2))).refusal.reason == "KIOSK_FOR_ONESELF"
    assert (await status_of(stand.ask("Submit", request(1))))[1] == "BAD_REQUEST"
    assert await owner.fetchval("select count(*) from card.holder") == 0
    made = await stand.ask("Submit", by_kiosk(1, "k2", category="elder", resident=True, other_people=[7]))
    assert made.application.route == applications.ROUTE_KIOSK
    assert made.application.outlet == "440703-01"
    assert tuple(await owner.fetchrow("select category, resident from card.holder")) == ("ordinary", False)  # type: ignore[arg-type]
    again = await stand.ask("Submit", by_kiosk(1, "k3"))
    assert (again.refusal.reason, again.application) == ("APPLICATION_OPEN", made.application)
    assert (await show_document(stand, 1)).holder_id == made.application.holder_id
    seen = (await stand.ask("GetHolderView", visits.GetHolderViewRequest())).holder
    assert [one.application.application_id for one in seen.applications] == [made.application.application_id]
    assert await status_of(stand.ask("Withdraw", applications.WithdrawRequest(request_id="w", application_id=1))) == NEEDED
    assert (await clerk.ask("GetApplication", applications.GetApplicationRequest(application_id=1))).timeline


async def test_a_holder_with_a_card_applies_for_nothing_that_takes_a_window(hall: Hall, owner: Owner) -> None:
    clerk, stand = await hall.window(), await enrolled(hall)
    card = await with_pin(hall, clerk)
    await show_card(stand, owner, card)
    replace = by_kiosk(1, kind=applications.APPLICATION_KIND_REPLACE, fee_source=applications.FEE_SOURCE_CASH)
    assert (await stand.ask("Submit", replace)).refusal.reason == "NOT_BY_THIS_PARTY"
    assert (await stand.ask("Submit", by_kiosk(1, "k2"))).refusal.reason == "LIVE_CARD_EXISTS"
    assert (await stand.ask("Submit", by_kiosk(2, "k3"))).refusal.reason == "KIOSK_FOR_ONESELF"
    temporary = by_kiosk(1, "k4", kind=applications.APPLICATION_KIND_TEMPORARY)
    assert not (await stand.ask("Submit", temporary)).HasField("refusal")


async def test_a_newcomer_learns_nothing_of_people_of_the_same_name(hall: Hall) -> None:
    clerk, stand = await hall.window(), await enrolled(hall)
    await clerk.ask("Submit", request(1))
    shown = person(1)
    passport = applications.Document(kind=applications.DOCUMENT_KIND_PASSPORT, number="E12345678", issuing_country="GBR")
    reading = sessions.IdentityReading(document=passport, name=shown.name)
    stand.holder = (await stand.ask("OpenSession", sessions.OpenSessionRequest(identity_reading=reading))).token
    born = f"{citizen_number(1)[6:10]}-{citizen_number(1)[10:12]}-{citizen_number(1)[12:14]}"
    twin = applications.Person(
        document=passport, name=shown.name, birth_date=born, sex=applications.SEX_MALE, phone="13812345678"
    )
    refused = await stand.ask("Submit", by_kiosk(1, person=twin))
    assert refused.refusal.reason == "POSSIBLE_SAME_PERSON"
    assert not refused.refusal.possible_holders
