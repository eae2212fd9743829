"""ProductionService as issuance meets it: who acts, what goes onto a card, and the card in its holder's hand."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import grpc

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import production_pb2 as messages
from onecard.card.v1 import window_pb2 as window
from sdk.enrolment import make_request
from services.card.adapters.shifts import token_digest
from services.card.domain.card_data import birthplace_on_chip, nationality_on_chip
from services.card.domain.person import Person, Sex
from tests.integration.card.test_api_cards import IN_PERSON, ask
from tests.integration.card.test_terminals import KIT, SECURITY, decide, enrolled, revoke
from tests.integration.card.test_terminals import ask as ask_for_terminal
from tests.support.cardholders import citizen_number
from tests.support.hall import ISSUANCE, KEEPER, OTHER, WINDOW, Hall, Window, request, status_of
from tests.support.photos import good_photo

DENIED = (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_NEEDED")
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def blank(number: int, city: str = "440700") -> str:
    return f"{city}D156000005{number:08X}{number:08X}"


class Desk:
    """A window and issuance, which acts for whoever is signed in there."""

    def __init__(self, hall: Hall, clerk: Window, issuance: Window, acting: cards.Acting) -> None:
        self.hall = hall
        self.clerk = clerk
        self.issuance = issuance
        self.acting = acting

    async def apply(self, number: int = 1, **other: Any) -> int:
        answer = await self.clerk.ask("Submit", request(number, f"s{number}-{len(other)}", **other))
        assert not answer.HasField("refusal"), answer
        found: int = answer.application.application_id
        return found

    async def begin(self, application: int, card_identifier: str = "", request_id: str = "", **other: Any) -> Any:
        request_id = request_id or f"b{application}-{card_identifier}"
        asked = cards.BeginProductionRequest(
            request_id=request_id, application_id=application, card_identifier=card_identifier, **other
        )
        return await self.issuance.ask("BeginProduction", asked)

    async def end(self, application: int, request_id: str = "", *, made: bool = True, card_identifier: str = "") -> Any:
        asked = cards.EndProductionRequest(
            request_id=request_id or f"e{application}-{made}-{card_identifier}",
            application_id=application,
            made=made,
            card_identifier=card_identifier,
        )
        return await self.issuance.ask("EndProduction", asked)

    async def printed(self, number: int = 1, **other: Any) -> int:
        """An application whose card was just printed."""
        application = await self.apply(number, **other)
        assert not (await self.begin(application, blank(application))).HasField("refusal")
        assert not (await self.end(application)).HasField("refusal")
        return application

    async def read(self, **by: Any) -> cards.CardData:
        answer = await self.issuance.ask("ReadCardData", messages.ReadCardDataRequest(acting=self.acting, **by))
        found: cards.CardData = answer.data
        return found

    def completion(self, application: int, request_id: str = "", **other: Any) -> messages.CompleteIssueRequest:
        fields = {"presented": IN_PERSON, "acting": self.acting, **other}
        return messages.CompleteIssueRequest(
            request_id=request_id or f"c{application}", application_id=application, **fields
        )  # fmt: skip

    async def complete(self, application: int, request_id: str = "", **other: Any) -> Any:
        return await self.issuance.ask("CompleteIssue", self.completion(application, request_id, **other))

    async def waiting(self) -> list[tuple[int, int]]:
        """What is on the outlet's work list, of which application."""
        answer = await self.clerk.ask("ListWork", window.ListWorkRequest())
        return [(one.kind, one.application_id) for one in answer.items]

    async def acts_of(self, act: str) -> list[tuple[Any, ...]]:
        """Who, at which terminal, to which card, for which application."""
        rows = await self.hall.owner.fetch(
            "select actor, terminal, card, application from card.audit where act = $1 order by id", act
        )
        return [tuple(row) for row in rows]


async def desk_of(hall: Hall, role: int = 1) -> Desk:
    clerk = await hall.window(role)
    staff, shift = await hall.owner.fetchrow("select staff, id from card.shift where token = $1", token_digest(clerk.token))  # type: ignore[misc]
    acting = cards.Acting(staff_id=staff, shift_id=shift, terminal=WINDOW, outlet="440703-01")
    return Desk(hall, clerk, await hall.window(subject=ISSUANCE, token=""), acting)


async def test_issuance_is_told_who_acts_with_the_reasons_that_the_terminal_itself_would_hear(hall: Hall) -> None:
    desk = await desk_of(hall)
    (serial,) = await hall.owner.fetchrow("select serial from card.shift where id = $1", desk.acting.shift_id)  # type: ignore[misc]
    asked = messages.WhoActsRequest(token=desk.clerk.token, terminal=WINDOW, serial=serial)
    told = await desk.issuance.ask("WhoActs", asked)
    assert (told.staff_id, told.shift_id, list(told.roles), told.outlet, told.abroad) == (
        desk.acting.staff_id,
        desk.acting.shift_id,
        [1],
        "440703-01",
        False,
    )
    assert told.expire_time_ms > 0
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    for changed, reason in (
        ({"token": ""}, "SIGN_IN_NEEDED"),
        ({"token": "another"}, "SHIFT_ENDED"),
        ({"serial": "abc"}, "WRONG_TERMINAL"),
        ({"terminal": OTHER}, "WRONG_TERMINAL"),
    ):
        other = messages.WhoActsRequest(token=desk.clerk.token, terminal=WINDOW, serial=serial)
        for field, value in changed.items():
            setattr(other, field, value)
        assert await status_of(desk.issuance.ask("WhoActs", other)) == (unauthenticated, reason)
    nobody = messages.WhoActsRequest(token=desk.clerk.token, terminal="somewhere", serial=serial)
    assert (await status_of(desk.issuance.ask("WhoActs", nobody)))[1] == "BAD_REQUEST"


async def test_nobody_but_issuance_is_answered(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.apply()
    for method, asked in (
        ("WhoActs", messages.WhoActsRequest(token=desk.clerk.token, terminal=WINDOW)),
        ("ListRevoked", messages.ListRevokedRequest()),
        ("ReadCardData", messages.ReadCardDataRequest(application_id=application, acting=desk.acting)),
        ("CompleteIssue", desk.completion(application)),
    ):
        assert await status_of(desk.clerk.ask(method, asked)) == DENIED, method
    for subject in ("onecard://service/payments", "onecard://merchant/CITY-HALL"):
        other = await hall.window(subject=subject, token="")
        assert await status_of(other.ask("ListRevoked", messages.ListRevokedRequest())) == DENIED


async def test_a_lost_kit_is_listed_at_once_until_it_is_enrolled_anew(hall: Hall, tmp_path: Path) -> None:
    _, terminal, security = await enrolled(hall, tmp_path)
    issuance = await hall.window(subject=ISSUANCE, token="")
    listed = messages.ListRevokedRequest()
    assert not (await issuance.ask("ListRevoked", listed)).terminals
    await revoke(security, subject=KIT)
    found = await issuance.ask("ListRevoked", listed)
    assert list(found.serials) == [terminal.serial]
    assert [one.terminal for one in found.terminals] == [KIT]
    assert found.terminals[0].revoke_time_ms > 0
    again = await ask_for_terminal(security, make_request(KIT)[1], "again")
    other = await hall.window(SECURITY)
    assert (await decide(other, again.terminal.terminal_id, "d-again")).terminal.certificate
    found = await issuance.ask("ListRevoked", listed)
    assert (list(found.serials), list(found.terminals)) == ([terminal.serial], [])


async def test_one_certificate_that_is_revoked_by_itself_loses_no_terminal(hall: Hall, tmp_path: Path) -> None:
    _, terminal, security = await enrolled(hall, tmp_path)
    await revoke(security, serial=terminal.serial)
    found = await (await hall.window(subject=ISSUANCE, token="")).ask("ListRevoked", messages.ListRevokedRequest())
    assert (list(found.serials), list(found.terminals)) == ([terminal.serial], [])


async def test_everything_that_goes_onto_a_card_is_read_while_it_is_made_and_each_reading_is_written_down(
    hall: Hall,
) -> None:
    desk = await desk_of(hall)
    application = await desk.apply()
    unknown = messages.ReadCardDataRequest(application_id=application, acting=desk.acting)
    assert await status_of(desk.issuance.ask("ReadCardData", unknown)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CARD")
    assert await desk.acts_of("card.read_data") == []
    await desk.begin(application, blank(1).lower())
    data = await desk.read(application_id=application)
    assert (data.name, data.social_security_number, data.sex) == ("李" + chr(0x4E01), citizen_number(1), 1)
    assert (data.nationality, data.birthplace, data.birth_date) == ("01", "440703", "1990-01-01")
    assert (data.card_identifier, len(data.card_number), data.photo) == (blank(1), 9, good_photo())
    assert date.fromisoformat(data.issue_date) < date.fromisoformat(data.expiry_date)
    assert (data.application_id, data.temporary_card, data.old_card_wanted) == (application, False, False)
    assert data.card.social == cards.SOCIAL_STATUS_SEALED
    assert await desk.acts_of("card.read_data") == [
        (f"staff:{desk.acting.staff_id}", WINDOW, data.card_id, application)
    ]  # fmt: skip
    await desk.end(application)
    lying = await desk.read(application_id=application)
    assert (lying.name, lying.photo) == (data.name, b"")
    await desk.complete(application)
    assert await status_of(desk.issuance.ask("ReadCardData", unknown)) == (FAILED, "NOT_IN_PRODUCTION")
    by_chip = await desk.read(card_identifier=blank(1))
    assert (by_chip.name, by_chip.card_number, by_chip.photo, by_chip.application_id) == (
        data.name,
        data.card_number,
        b"",
        0,
    )
    assert by_chip.card.social == cards.SOCIAL_STATUS_NORMAL
    assert len(await desk.acts_of("card.read_data")) == 3


async def test_a_summary_has_nothing_personal(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    data = await desk.read(card_identifier=blank(application), summary_only=True)
    assert data == cards.CardData(
        application_id=application,
        card_id=data.card.card_id,
        holder_id=data.card.holder_id,
        card_identifier=blank(application),
        card=data.card,
    )
    assert len(await desk.acts_of("card.read_summary")) == 1


async def test_what_issuance_looks_up_by_itself_stands_under_its_own_name(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    by_itself = messages.ReadCardDataRequest(card_identifier=blank(application), summary_only=True)
    found = (await desk.issuance.ask("ReadCardData", by_itself)).data
    assert [row[:1] for row in await desk.acts_of("card.read_summary")] == [("service:issuance",)]
    assert found.card.production == 60
    personal = messages.ReadCardDataRequest(card_identifier=blank(application))
    assert (await status_of(desk.issuance.ask("ReadCardData", personal)))[1] == "BAD_REQUEST"


async def test_who_names_nobody_or_nothing_reads_nothing(hall: Hall) -> None:
    desk = await desk_of(hall)
    for asked in (
        messages.ReadCardDataRequest(application_id=1),
        messages.ReadCardDataRequest(acting=desk.acting),
        messages.ReadCardDataRequest(acting=desk.acting, card_identifier="440700"),
    ):
        assert (await status_of(desk.issuance.ask("ReadCardData", asked)))[1] == "BAD_REQUEST"
    strange = messages.ReadCardDataRequest(acting=desk.acting, card_identifier=blank(9))
    assert (await status_of(desk.issuance.ask("ReadCardData", strange)))[1] == "UNKNOWN_CARD"


def test_what_a_chip_says_of_foreigners_and_of_those_who_said_nothing() -> None:
    def somebody(number: str, nationality: str) -> Person:
        return Person("A", date(1990, 1, 1), Sex.MALE, nationality, social_security_number=number)

    citizen, foreigner = somebody(citizen_number(1), "56"), somebody("911124198108030024", "GBR")
    assert [nationality_on_chip(one) for one in (citizen, foreigner, somebody("", ""))] == ["56", "97", "97"]
    assert [birthplace_on_chip(one) for one in (citizen, foreigner, somebody("E1", ""))] == ["440703", "", ""]


async def test_begin_answers_the_card_data_as_well_and_a_repeat_by_another_clerk_hears_it_again(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.apply()
    begun = await desk.begin(application, blank(1), "b", with_card_data=True, acting=desk.acting)
    assert (begun.card_data.card_identifier, begun.card_data.photo) == (blank(1), good_photo())
    other = await desk_of(hall)
    again = await other.begin(application, blank(1), "b", with_card_data=True, acting=other.acting)
    assert again.card_data == begun.card_data
    plain = await desk.begin(application, blank(1), "b")
    assert (plain.application, plain.HasField("card_data")) == (begun.application, False)
    assert [row[0] for row in await desk.acts_of("card.read_data")] == [
        f"staff:{desk.acting.staff_id}",
        f"staff:{other.acting.staff_id}",
    ]


async def test_the_identifier_of_a_blank_is_used_once_whatever_became_of_it(hall: Hall) -> None:
    desk = await desk_of(hall)
    first, second = await desk.apply(1), await desk.apply(2)
    assert not (await desk.begin(first, blank(1))).HasField("refusal")
    assert (await desk.begin(second, blank(1))).refusal.reason == "CARD_IDENTIFIER_USED"
    number = (await desk.read(application_id=first)).card_number
    await desk.end(first, made=False)
    for application in (first, second):  # the blank is spoiled
        asked = await desk.begin(application, blank(1), f"again{application}")
        assert asked.refusal.reason == "CARD_IDENTIFIER_USED"
    assert not (await desk.begin(first, blank(2))).HasField("refusal")
    assert (await desk.read(application_id=first)).card_number != number
    assert (await desk.read(card_identifier=blank(1), summary_only=True)).card.social == cards.SOCIAL_STATUS_CANCELLED
    assert (await desk.begin(second, blank(3, city="440600"))).refusal.reason == "CARD_IDENTIFIER_OF_ANOTHER_CITY"
    for wrong in ("4407", "440700D256000005" + 16 * "0", "x" * 32):
        assert (await status_of(desk.begin(second, wrong)))[1] == "BAD_REQUEST"
    drawn = await desk.begin(second, request_id="drawn")
    assert drawn.application.state == applications.APPLICATION_STATE_IN_PRODUCTION


async def test_who_speaks_of_another_blank_ends_no_card(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.apply()
    await desk.begin(application, blank(1))
    await desk.end(application, made=False, card_identifier=blank(1).lower())
    await desk.begin(application, blank(2))
    for made in (False, True):
        late = await desk.end(application, "late" + str(made), made=made, card_identifier=blank(1))
        assert late.refusal.reason == "ANOTHER_CARD_BEGUN"
    data = await desk.read(application_id=application)
    assert (data.card_identifier, data.card.social) == (blank(2), cards.SOCIAL_STATUS_SEALED)
    assert not (await desk.end(application, card_identifier=blank(2))).HasField("refusal")
    assert (await status_of(desk.end(application, "wrong", made=False, card_identifier="4407")))[1] == "BAD_REQUEST"


async def test_a_card_that_is_spoiled_at_its_outlet_is_named_and_another_one_is_made_in_its_place(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    assert (await desk.end(application, made=False)).refusal.reason == "ALREADY_MADE"
    for _ in range(2):  # and a repeat hears it again
        ended = await desk.end(application, made=False, card_identifier=blank(application))
        assert ended.application.state == applications.APPLICATION_STATE_APPLIED
    spoiled = (await desk.read(card_identifier=blank(application), summary_only=True)).card
    assert spoiled.social == cards.SOCIAL_STATUS_CANCELLED
    assert (await desk.complete(application)).refusal.reason != ""
    assert not (await desk.begin(application, blank(7))).HasField("refusal")
    assert not (await desk.end(application, card_identifier=blank(7))).HasField("refusal")
    done = await desk.complete(application, "taken")
    assert done.card.social == cards.SOCIAL_STATUS_NORMAL
    assert len(await desk.acts_of("card.abandon")) == 1


async def test_what_was_spoiled_at_its_outlet_lies_there_no_more_and_is_owed_by_its_application(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    long_ago = "update card.application set update_time = now() - interval '31 days', due_time = now() - interval '1 hour'"
    await hall.owner.execute(long_ago)
    assert await desk.waiting() == [(window.WORK_KIND_LYING, application)]
    await desk.end(application, made=False, card_identifier=blank(application))
    await hall.owner.execute(long_ago)
    assert await desk.waiting() == [(window.WORK_KIND_OVERDUE, application)]
    asked = window.GetHolderViewRequest(card_identifier=blank(application))
    view = (await desk.clerk.ask("GetHolderView", asked)).holder
    assert [(one.card.social, one.card.production) for one in view.cards] == [(cards.SOCIAL_STATUS_CANCELLED, 60)]
    assert [one.timeline[-1].step for one in view.applications] == ["FAIL"]


async def test_a_card_in_its_holders_hand_is_not_spoiled(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    await desk.complete(application)
    late = await desk.end(application, made=False, card_identifier=blank(application))
    assert late.refusal.reason == "APPLICATION_ENDED"
    kept = (await desk.read(card_identifier=blank(application), summary_only=True)).card
    assert kept.social == cards.SOCIAL_STATUS_NORMAL


async def test_of_two_who_use_one_blank_at_once_one_has_it(hall: Hall) -> None:
    desk = await desk_of(hall)
    waiting = [await desk.apply(number) for number in range(1, 5)]
    begun = await asyncio.gather(*(desk.begin(application, blank(1)) for application in waiting))
    assert sorted(answer.refusal.reason for answer in begun) == ["", *["CARD_IDENTIFIER_USED"] * 3]
    assert await hall.owner.fetchval("select count(*) from card.card") == 1


async def test_a_card_that_is_handed_over_is_collected_and_enabled_once(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    done = await desk.complete(application)
    assert not done.HasField("refusal")
    assert (done.card.social, done.card.production) == (cards.SOCIAL_STATUS_NORMAL, 70)
    other = await desk_of(hall)
    assert await other.complete(application) == done  # whoever carries it
    late = await desk.complete(application, "another")
    assert (late.refusal.reason, late.card) == ("ALREADY_ENABLED", done.card)
    steps = await hall.owner.fetch("select step, actor, outlet from card.step where step in (9, 10) order by number")
    assert [tuple(row) for row in steps] == [(step, f"staff:{desk.acting.staff_id}", "440703-01") for step in (9, 10)]
    assert len(await desk.acts_of("card.complete_issue")) == 1
    used = desk.completion(application)
    used.application_id += 1
    assert (await status_of(desk.issuance.ask("CompleteIssue", used)))[1] == "REQUEST_ID_USED"


async def test_what_is_missing_is_said_and_the_same_request_goes_through_afterwards(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.apply()
    await desk.begin(application, blank(1))
    assert (await desk.complete(application)).refusal.reason == "NOT_AT_OUTLET"
    await desk.end(application)
    unseen = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON)
    guardian = cards.Presented(party=cards.PARTY_GUARDIAN, identity_verified=True)
    proxy = cards.Presented(party=cards.PARTY_PROXY, identity_verified=True)
    for presented, reason in (
        (unseen, "IDENTITY_NOT_VERIFIED"),
        (guardian, "PAPERS_MISSING"),
        (proxy, "PROXY_MAY_NOT"),
    ):
        refused = await desk.complete(application, f"c-{reason}", presented=presented)
        assert (refused.refusal.reason, refused.card.production) == (reason, 60)
    weak = await desk.complete(application, "weak", new_pin="123456")
    assert (weak.refusal.reason, weak.refusal.field) == ("PIN_TOO_WEAK", "new_pin")
    remote = cards.Presented(party=cards.PARTY_HOLDER_REMOTE, identity_verified=True)
    assert (await desk.complete(application, "pin", presented=remote, new_pin="739164")).refusal.reason == "PIN_IN_PERSON"
    assert not (await desk.complete(application)).HasField("refusal")


async def test_a_pin_that_is_keyed_in_is_the_cards(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    done = await desk.complete(application, new_pin="739164")
    assert await desk.complete(application, new_pin="739164") == done
    tried = cards.VerifyPinRequest(card_id=done.card.card_id, pin="739164")
    assert not (await desk.clerk.ask("VerifyPin", tried)).HasField("refusal")


async def test_the_completion_is_the_switch_and_wants_the_old_card_back(hall: Hall) -> None:
    desk = await desk_of(hall)
    first = await desk.printed()
    old = (await desk.complete(first)).card
    paid = {"kind": applications.APPLICATION_KIND_REPLACE, "fee_source": applications.FEE_SOURCE_CASH}
    application = await desk.apply(1, **paid)
    await hall.owner.execute("update card.fee set state = 2")
    await desk.begin(application, blank(7))
    await desk.end(application)
    assert (await desk.read(application_id=application)).old_card_wanted
    kept = await desk.complete(application)
    assert (kept.refusal.reason, kept.card.production) == ("OLD_CARD_NOT_RETURNED", 60)
    returned = cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON, identity_verified=True, old_card_returned=True)
    new = await desk.complete(application, "returned", presented=returned)
    assert new.card.social == cards.SOCIAL_STATUS_NORMAL
    before = (await desk.read(card_identifier=old.card_identifier, summary_only=True)).card
    assert (before.social, before.successor_card_id) == (cards.SOCIAL_STATUS_CANCELLED, new.card.card_id)


async def test_a_card_that_was_printed_and_not_taken_lies_there_to_be_collected(hall: Hall) -> None:
    desk = await desk_of(hall)
    application = await desk.printed()
    card = (await desk.read(application_id=application)).card_id
    assert not (await ask(desk.clerk, "Collect", card)).HasField("refusal")
    # It is put into the reader once more: what is left is done.
    assert (await desk.complete(application)).card.social == cards.SOCIAL_STATUS_NORMAL


async def test_who_was_never_signed_in_there_hands_nothing_over_and_whose_shift_has_ended_has(hall: Hall) -> None:
    desk, keeper = await desk_of(hall), await desk_of(hall, KEEPER)
    application = await desk.printed()
    acting = desk.acting
    for changed in ({"staff_id": acting.staff_id + 50}, {"shift_id": 999}, {"terminal": OTHER}, {"outlet": "elsewhere"}):
        other = cards.Acting()
        other.CopyFrom(acting)
        for field, value in changed.items():
            setattr(other, field, value)
        assert await status_of(desk.complete(application, acting=other)) == (FAILED, "UNKNOWN_SHIFT"), changed
    assert await status_of(desk.complete(application, acting=keeper.acting)) == (FAILED, "UNKNOWN_SHIFT")
    await hall.owner.execute("update card.shift set end_time = now(), ended_by = 1")
    assert not (await desk.complete(application)).HasField("refusal")


async def test_a_shift_that_had_ended_before_the_card_was_begun_has_not_handed_it_over(hall: Hall) -> None:
    desk, other = await desk_of(hall), await desk_of(hall)
    out = "update card.shift set end_time = now(), ended_by = 1 where id = $1"
    await hall.owner.execute(out, desk.acting.shift_id)
    application = await other.printed()
    assert await status_of(other.complete(application, acting=desk.acting)) == (FAILED, "UNKNOWN_SHIFT")
    later = await desk_of(hall)  # it lay at the outlet until the next day
    await hall.owner.execute(out, other.acting.shift_id)
    assert not (await other.complete(application, acting=later.acting)).HasField("refusal")


async def test_shifts_that_ended_before_their_time_are_listed_until_it_comes(hall: Hall) -> None:
    out, late, still = await desk_of(hall), await desk_of(hall), await desk_of(hall)
    await hall.owner.execute("update card.shift set end_time = now(), ended_by = 1 where id <> $1", still.acting.shift_id)
    await hall.owner.execute("update card.shift set expire_time = now() where id = $1", late.acting.shift_id)
    found = await still.issuance.ask("ListRevoked", messages.ListRevokedRequest())
    assert list(found.ended_shifts) == [out.acting.shift_id]
