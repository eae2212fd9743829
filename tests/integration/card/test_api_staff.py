"""StaffService: from the first administrator to a clerk who takes an application."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pyotp

from onecard.card.v1 import staff_pb2 as messages
from services.card.domain.actor import Role
from tests.support.hall import OTHER, Hall, Window, request, status_of

NEW = "a longer password"


async def sign_in(window: Window, login: str, told: Any) -> messages.SignInResponse:
    secret = parse_qs(urlsplit(told.totp_uri).query)["secret"][0]
    asked = messages.SignInRequest(
        login=login, password=told.password, code=pyotp.TOTP(secret).at(time.time()), new_password=NEW
    )
    answer: messages.SignInResponse = await window.ask("SignIn", asked)
    return answer


async def test_the_first_administrator_makes_a_clerk_who_takes_an_application(hall: Hall) -> None:
    office, window = await hall.window(subject=OTHER, token=""), await hall.window(token="")
    administrator = await sign_in(office, "admin-1", await hall.accounts.create_first("admin-1"))
    assert list(administrator.roles) == [messages.ROLE_SECURITY_ADMINISTRATOR]
    office.token = administrator.token
    created = await office.ask(
        "CreateStaff", messages.CreateStaffRequest(login="k001", outlet="440703-01", roles=[messages.ROLE_CLERK])
    )
    clerk = await sign_in(window, "k001", created)
    assert (clerk.outlet, clerk.staff_id) == ("440703-01", created.staff_id)
    window.token = clerk.token
    answer = await window.ask("Submit", request(1))
    assert answer.application.outlet == "440703-01"
    denied = (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_RIGHT")
    assert await status_of(office.ask("Submit", request(2))) == denied
    another = messages.CreateStaffRequest(login="k002", roles=[messages.ROLE_CLERK])
    assert await status_of(window.ask("CreateStaff", another)) == denied
    await window.ask("SignOut", messages.SignOutRequest())
    assert (await status_of(window.ask("SignOut", messages.SignOutRequest())))[1] == "SHIFT_ENDED"


async def test_a_wrong_password_says_nothing_about_the_account(hall: Hall) -> None:
    window = await hall.window(token="")
    refused = (grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_REFUSED")
    assert await status_of(window.ask("SignIn", messages.SignInRequest(login="k001", password="guessed", code="1"))) == refused


def test_numbers_of_roles_agree() -> None:
    assert {f"ROLE_{role.name}": role.value for role in Role} | {"ROLE_UNSPECIFIED": 0} == dict(messages.Role.items())
