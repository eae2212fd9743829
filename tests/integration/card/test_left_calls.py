"""Whoever knows the password and does not wait for the answer is not locked out, however often; nothing is left unwritten."""

import asyncio
from collections.abc import Awaitable, Callable

import pyotp
import pytest

from onecard.card.v1 import cards_pb2 as messages
from onecard.card.v1 import electronic_pb2 as electronic
from onecard.card.v1 import sessions_pb2 as sessions
from onecard.card.v1 import staff_pb2 as staff
from onecard.card.v1.electronic_tokens_pb2 import TOKEN_PURPOSE_IDENTIFY
from services.card.domain.actor import Role
from tests.integration.card.test_electronic import PASSWORD, sign_up
from tests.integration.card.test_pins import OTHER_PIN, PIN, with_pin
from tests.integration.card.test_sessions import identifier_of
from tests.support.cardholders import CLERK
from tests.support.hall import Hall, Owner, Window

LEAVES_SECONDS = 0.3
TRIES_AT_CARDS = "select (select max(wrong_pins) from card.card) + (select max(failures) from card.electronic_password)"
TRIES_OF_STAFF = "select failures from card.staff where login = 'k001'"


async def verify(hall: Hall, clerk: Window, card: int) -> object:
    return await clerk.ask("VerifyPin", messages.VerifyPinRequest(card_id=card, pin=PIN), LEAVES_SECONDS)


async def change(hall: Hall, clerk: Window, card: int) -> object:
    request = messages.ChangePinRequest(request_id="p", card_id=card, pin=PIN, new_pin=OTHER_PIN)
    return await clerk.ask("ChangePin", request, LEAVES_SECONDS)


async def open_by_pin(hall: Hall, clerk: Window, card: int) -> object:
    shown = sessions.CardAndPin(card_identifier=await identifier_of(hall.owner, card), pin=PIN)
    return await clerk.ask("OpenSession", sessions.OpenSessionRequest(card_and_pin=shown), LEAVES_SECONDS)


async def open_by_electronic_card(hall: Hall, clerk: Window, card: int) -> object:
    shown = sessions.CardAndPin(card_identifier=await identifier_of(hall.owner, card), pin=PASSWORD)
    return await clerk.ask("OpenSession", sessions.OpenSessionRequest(electronic_card=shown), LEAVES_SECONDS)


async def issue_token(hall: Hall, clerk: Window, card: int) -> object:
    identifier = await identifier_of(hall.owner, card)
    request = electronic.IssueTokenRequest(card_identifier=identifier, password=PASSWORD, purpose=TOKEN_PURPOSE_IDENTIFY)
    return await clerk.ask("IssueToken", request, LEAVES_SECONDS)


async def left_and_done(owner: Owner, ask: Callable[[], Awaitable[object]], tries: str) -> None:
    """The answer waits for the audit trail; whoever asked does not. The try counts as a failure until it is known better."""
    async with owner.transaction():
        await owner.execute("lock table card.audit in exclusive mode")
        with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
            await ask()
        assert await owner.fetchval(tries) == 1
    async with asyncio.timeout(10):
        while await owner.fetchval(tries):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("ask", "act"),
    [
        (verify, "card.verify_pin"),
        (change, "card.change_pin"),
        (open_by_pin, "session.begin"),
        (open_by_electronic_card, "session.begin"),
        (issue_token, "electronic.token"),
    ],
)
async def test_a_right_pin_whose_answer_nobody_waited_for_gives_its_try_back(
    hall: Hall, owner: Owner, ask: Callable[[Hall, Window, int], Awaitable[object]], act: str
) -> None:
    clerk = await hall.window()
    card = await with_pin(hall, clerk)
    await clerk.ask("SignUp", sign_up(card))
    await left_and_done(owner, lambda: ask(hall, clerk, card), TRIES_AT_CARDS)
    assert await owner.fetchval("select count(*) from card.audit where act = $1", act) == 1


async def test_a_clerk_who_did_not_wait_for_the_answer_is_not_locked_out(hall: Hall, owner: Owner) -> None:
    told = await hall.accounts.create("k001", "440703-01", frozenset({Role.CLERK}), CLERK)
    code = pyotp.parse_uri(told.totp_uri)
    assert isinstance(code, pyotp.TOTP)
    window = await hall.window(token="")

    async def sign_in() -> object:
        request = staff.SignInRequest(login="k001", password=told.password, code=code.now(), new_password="a longer password")
        return await window.ask("SignIn", request, LEAVES_SECONDS)

    await left_and_done(owner, sign_in, TRIES_OF_STAFF)
    assert await owner.fetchval("select count(*) from card.audit where act = 'staff.sign_in'") == 1
