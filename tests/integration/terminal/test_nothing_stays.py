"""What somebody was called, their numbers and PINs stay in no file, no log and no fault of the application."""

import logging
from pathlib import Path

import pytest

from cli.terminal.dialog import Choice
from cli.terminal.screens.find import Find
from cli.terminal.session import Desk
from services.card.domain.actor import Role
from tests.support.cardholders import citizen_number
from tests.support.hall import Hall
from tests.support.photos import good_photo
from tests.support.terminal import account_of, sign_in, window_app

NAME, PHONE = "欧阳标记", "13800007777"


async def test_nothing_personal_is_in_files_or_logs_behind_an_application(
    hall: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, photo = tmp_path / "here", tmp_path / "photo.jpg"
    here.mkdir()
    photo.write_bytes(good_photo())
    monkeypatch.chdir(here)
    account = await account_of(hall, Role.CLERK)
    with caplog.at_level(logging.DEBUG):
        async with window_app(hall) as hands:
            await sign_in(hands, account)
            await hands.press("f3")
            await hands.key_in(number=citizen_number(7), name=NAME, phone=PHONE, photo=str(photo))
            await hands.press("f9")
            assert hands.at(Choice), hands.said()
    assert list(here.rglob("*")) == []
    for marked in (NAME, PHONE, citizen_number(7), account.password, account.totp_secret):
        assert marked not in caplog.text


async def test_a_fault_of_the_program_shows_no_values_of_anybody(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(desk: Desk, by: object, purpose: str = "") -> None:
        raise ZeroDivisionError(NAME)

    monkeypatch.setattr(Desk, "holder", broken)
    shown: list[object] = []
    account = await account_of(hall, Role.CLERK)

    async def day() -> None:
        async with window_app(hall) as hands:
            monkeypatch.setattr(hands.app, "_print_error_renderables", lambda: shown.extend(hands.app._exit_renderables))
            await sign_in(hands, account)
            await hands.press("f2")
            assert hands.at(Find)
            await hands.key_in(number=citizen_number(7))
            await hands.pilot.press("f9")
            await hands.until(lambda: bool(hands.app._exit_renderables))

    with pytest.raises(Exception, match=NAME):  # as the pilot hears of it
        await day()
    told = "".join(map(str, shown))
    assert "ZeroDivisionError" in told
    assert NAME not in told
    assert citizen_number(7) not in told
