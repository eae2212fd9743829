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
from sdk.till.errors import NotAcceptedError
from sdk.window.window import BY_TELEPHONE, IN_PERSON, Window
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


def line(hall: Hall, subject: str = WINDOW) -> Window:
    issued_to = hall.authority.issue(subject)
    credentials = Credentials(issued_to.certificate, issued_to.key, hall.authority.certificate)
    return Window(open_line(f"localhost:{hall.port}", subject, credentials))


async def at(hall: Hall, subject: str, role: Role, work: Callable[[Window], R]) -> R:
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
        for act in (window.unlock, window.extend, window.activate):
            assert not act(card, IN_PERSON).done
        assert {a.verb for a in window.allowed_actions(card).actions if a.allowed} >= {"REPLACE", "CANCEL"}
        assert window.view(holder_id=lost.card.holder_id).cards[0].card.card_id == card
        item = messages.VisitItem(report_formal_loss=cards.ReportFormalLossRequest(card_id=card, presented=IN_PERSON))
        receipt = window.visit([item])
        assert receipt.lines[0].what == "REPORT_FORMAL_LOSS"
        assert window.receipt(receipt.visit_number).reprint
        assert window.receipt(receipt.visit_id).reprint
        window.sign_out()
        with pytest.raises(NotAcceptedError) as refused:
            window.view(holder_id=1)
        assert refused.value.reason == "SIGN_IN_NEEDED"

    await at(hall, WINDOW, Role.CLERK, work)


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
    rows = [applications.BatchRow(row=i, person=person(i)) for i in range(1, 251)]
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
    def work(window: Window) -> None:
        made = window.create_staff("clerk-77", "440703-01", ["clerk"])
        assert made.password
        with pytest.raises(NotAcceptedError) as refused:
            window.create_staff("clerk-77", "440703-01", ["clerk"])
        assert refused.value.reason == "LOGIN_TAKEN"

    await at(hall, WINDOW, Role.SECURITY_ADMINISTRATOR, work)
