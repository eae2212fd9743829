"""The window SDK against a card service behind mutual TLS: signing in, every verb, asking again, an employer's batch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import pyotp
import pytest

from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as messages
from sdk.asking import new_request_id
from sdk.merchant.access import Credentials, open_line
from sdk.till.errors import NotAcceptedError, OutcomeUnknownError
from sdk.window.administration import Administration
from sdk.window.cards import BY_TELEPHONE, IN_PERSON
from sdk.window.kiosk import Kiosk
from sdk.window.window import Window
from services.card.domain.actor import Role
from services.common.database import make_engine
from tests.integration.card.test_api_cards import issued
from tests.support.cardholders import Registry, make_vault
from tests.support.hall import OTHER, WINDOW, Hall, open_hall, person, request
from tests.support.town import Database

R = TypeVar("R")


@pytest.fixture
async def hall(database: Database, tmp_path: Path) -> AsyncIterator[Hall]:
    engine = make_engine(database.card_url, "tests", sessions=8)
    owner = await asyncpg.connect(database.owner_url.replace("+asyncpg", ""))
    async with open_hall(Registry(engine, make_vault(tmp_path)), owner, tmp_path) as opened:
        yield opened
    await owner.close()
    await engine.dispose()


def line(hall: Hall, subject: str = WINDOW) -> Administration:
    issued_to = hall.authority.issue(subject)
    credentials = Credentials(issued_to.certificate, issued_to.key, hall.authority.certificate)
    return Administration(open_line(f"localhost:{hall.port}", subject, credentials))


async def at(hall: Hall, subject: str, role: Role, work: Callable[[Administration], R]) -> R:
    """Somebody signs in at a window and does something; the SDK blocks, so in a thread of its own."""
    login = f"{role.name.lower()}-{len(hall.windows)}-{subject[-1]}".replace("_", "-")
    (account,) = await hall.accounts.create_for_show({login: role}, "440703-01")

    def do() -> R:
        with line(hall, subject) as window:
            code = pyotp.TOTP(account.totp_secret).now()
            session = window.sign_in(login, account.password, code)
            assert session.roles == (role.name,)
            assert account.password not in repr(account)
            assert session.token not in repr(session)
            return work(window)

    return await asyncio.to_thread(do)


async def test_a_window_does_everything_with_a_card(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)

    def work(window: Window) -> None:
        assert window.enable(card).refusal is not None
        for act in (window.collect, window.enable):
            assert act(card, IN_PERSON).done
        lost = window.report_temporary_loss(card, BY_TELEPHONE)
        assert lost.card.social == cards.SOCIAL_STATUS_TEMPORARILY_LOST
        assert window.report_temporary_loss(card, BY_TELEPHONE, request_id=lost.request_id) == lost
        assert window.release(card).done
        for refused in (window.unlock, window.extend, window.activate):
            assert not refused(card, IN_PERSON).done
        assert {a.verb for a in window.allowed_actions(card).actions if a.allowed} >= {"REPLACE", "CANCEL"}
        assert window.view(holder_id=lost.card.holder_id).cards[0].card.card_id == card
        assert window.give_consent(lost.card.holder_id, "finance").done
        assert not window.withdraw_consent(lost.card.holder_id, "location").done
        born = window.view(holder_id=lost.card.holder_id, unmasked=True, purpose="核对")
        assert [one.holder_id for one in window.search(born.name, born.birth_date)] == [lost.card.holder_id]
        told = window.change_contact(lost.card.holder_id, phone="13900001111", address="新会区")
        assert told.done
        assert (
            window.change_contact(lost.card.holder_id, phone="13900001111", address="新会区", request_id=told.request_id)
            == told
        )
        assert window.view(holder_id=lost.card.holder_id, unmasked=True, purpose="核对").phone == "13900001111"
        corrected = window.correct_identity(lost.card.holder_id, name="李正")
        assert corrected.refusal
        assert corrected.refusal.reason == "SECOND_PERSON_NEEDED"
        for only_supervisors in (window.delete_holder, lambda holder: window.export_holder(holder, "本人")):
            with pytest.raises(NotAcceptedError) as not_allowed:
                only_supervisors(lost.card.holder_id)
            assert not_allowed.value.reason == "NOT_YOUR_RIGHT"
        assert window.sign_up(card, "739154").done
        assert not window.raise_level(card).done
        assert window.reset_password(card, "268405").done
        wrong = window.issue_token(lost.card.card_identifier, "739154")
        assert wrong.refusal.reason == "PASSWORD_WRONG"
        with pytest.raises(OutcomeUnknownError):  # this hall has no Redis
            window.issue_token(lost.card.card_identifier, "268405")
        assert window.cancel_electronic(card).done
        item = messages.VisitItem(report_formal_loss=cards.ReportFormalLossRequest(card_id=card, presented=IN_PERSON))
        receipt = window.visit([item])
        assert receipt.lines[0].what == "REPORT_FORMAL_LOSS"
        assert window.receipt(receipt.visit_number).reprint
        assert window.receipt(receipt.visit_id).reprint
        window.sign_out()
        with pytest.raises(NotAcceptedError) as unknown:
            window.view(holder_id=1)
        assert unknown.value.reason == "SIGN_IN_NEEDED"

    await at(hall, WINDOW, Role.CLERK, work)


async def test_a_holder_chooses_a_pin_at_a_window_and_acts_alone_at_a_kiosk(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)

    def choose(window: Window) -> str:
        assert window.collect(card, new_pin="739154").done
        assert window.enable(card).done
        assert window.verify_pin(card, "739154") is None
        assert window.change_pin(card, "739154", "268405").done
        wrong = window.verify_pin(card, "739154")
        assert wrong is not None
        assert wrong.reason == "PIN_WRONG"
        asked = window.reset_pin(card, "951827", cards.Presented(party=cards.PARTY_HOLDER_IN_PERSON), without_document=True)
        assert asked.refusal is not None
        assert asked.refusal.reason == "SECOND_PERSON_NEEDED"
        done = window.reset_pin(card, "951827")
        assert done.done
        return done.card.card_identifier

    chip = await at(hall, WINDOW, Role.CLERK, choose)

    def act() -> None:
        subject = "onecard://merchant/CITY-HALL/terminal/KIOSK-1"
        issued_to = hall.authority.issue(subject)
        credentials = Credentials(issued_to.certificate, issued_to.key, hall.authority.certificate)
        with Kiosk(open_line(f"localhost:{hall.port}", subject, credentials)) as kiosk:
            assert not kiosk.show_card("268405", card_identifier=chip).done
            let_in = kiosk.show_card("951827", card_identifier=chip)
            assert let_in.token not in repr(let_in)
            assert kiosk.view().holder_id == let_in.holder_id
            assert {a.verb for a in kiosk.allowed_actions(card).actions if a.allowed} == {"REPORT_TEMPORARY_LOSS", "SIGN_UP"}
            assert not kiosk.submit(request(1, "", outlet="440703-01")).done
            for refused in (kiosk.enable, kiosk.release):
                assert not refused(card).done
            assert kiosk.change_pin(card, "951827", "739154").done
            assert kiosk.show_card("739154", card_identifier=chip).done
            kiosk.leave()
            assert kiosk.show_card("739154", card_identifier=chip).done
            assert kiosk.report_temporary_loss(card).done
            with pytest.raises(NotAcceptedError) as unread:
                kiosk.show_document(person(1).document, person(1).name)
            assert unread.value.reason == "NOT_A_KIOSK"

    await asyncio.to_thread(act)


async def test_two_people_cancel_a_card(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    both = new_request_id()

    def begin(window: Window) -> tuple[str, int]:
        for act in (window.collect, window.enable):
            assert act(card, IN_PERSON).done
        asked = window.cancel(card, "moved_away", request_id=both)
        assert asked.refusal is not None
        return window._asking.metadata[-1][1], asked.refusal.approval_id

    token, number = await at(hall, WINDOW, Role.CLERK, begin)

    def agree(window: Window) -> None:
        assert [one.approval_id for one in window.list_approvals()] == [number]
        assert not window.decide_approval(number, approve=True).HasField("refusal")

    await at(hall, OTHER, Role.SUPERVISOR, agree)

    def carry_out() -> None:
        window = line(hall)
        window._take(token)
        with window:
            assert window.cancel(card, "moved_away", request_id=both).card.social == cards.SOCIAL_STATUS_CANCELLED

    await asyncio.to_thread(carry_out)


async def test_applications_are_handed_in_brought_forward_and_taken_back(hall: Hall) -> None:
    def work(window: Window) -> None:
        made = window.submit(request(1, "", photo=b""))
        assert made.application is not None
        number = made.application.application_id
        assert window.submit(request(1, made.request_id, photo=b"")) == made
        assert not window.add_photo(number, b"no photo").done
        assert window.add_photo(number, request(1).photo).done
        assert [one.application_id for one in window.list_applications()] == [number]
        assert window.refuse(number, "照片模糊").done
        assert [one.application_id for one in window.list_applications(state="refused")] == [number]
        assert window.withdraw(number).done
        steps = [step.step for step in window.application(number).timeline]
        assert steps == ["SUBMIT", "ADD_PHOTO", "REFUSE", "WITHDRAW"]

    await at(hall, WINDOW, Role.CLERK, work)


async def test_an_employer_hands_in_a_batch_of_several_parts(hall: Hall) -> None:
    address = "路" * 200  # a hundred of these do not fit into one message
    rows = [applications.BatchRow(row=i, person=person(i, address=address)) for i in range(1, 251)]
    rows[6] = applications.BatchRow(row=7, person=person(7, phone="1"))

    def work(window: Window) -> None:
        header = applications.BatchHeader(batch_id="WORKS-1", rows=250)
        answer = window.submit_batch(header, rows)
        assert (answer.accepted, answer.refused) == (249, 1)
        assert answer.verdicts[6].refusal.reason == "PHONE_NOT_ACCEPTED"
        assert window.submit_batch(header, rows) == answer
        assert window.batch("WORKS-1").ended
        with pytest.raises(NotAcceptedError) as refused:
            window.submit_batch(applications.BatchHeader(batch_id="WORKS-2", rows=3), rows[:2])
        assert refused.value.reason == "BATCH_DIFFERS_FROM_HEADER"

    await at(hall, WINDOW, Role.CLERK, work)


async def test_an_administrator_makes_accounts_whose_password_is_told_once(hall: Hall) -> None:
    def work(window: Administration) -> None:
        made = window.create_staff("clerk-77", "440703-01", ["clerk"])
        assert made.password
        with pytest.raises(NotAcceptedError) as refused:
            window.create_staff("clerk-77", "440703-01", ["clerk"])
        assert refused.value.reason == "LOGIN_TAKEN"
        changed = window.change_staff(made.staff_id, "440703-02", ["clerk", "supervisor"])
        assert list(changed.member.roles) == [1, 2]
        suspended = window.suspend_staff(made.staff_id)
        assert window.suspend_staff(made.staff_id, request_id=suspended.request_id) == suspended
        assert window.resume_staff(made.staff_id).done
        assert window.unlock_staff(made.staff_id).done
        assert window.reset_staff(made.staff_id).password != made.password
        assert window.record_leaving(made.staff_id).done
        assert not window.resume_staff(made.staff_id).done
        assert [member.state for member in window.list_staff() if member.staff_id == made.staff_id] == [3]

    await at(hall, WINDOW, Role.SECURITY_ADMINISTRATOR, work)
