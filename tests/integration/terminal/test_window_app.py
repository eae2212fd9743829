"""A clerk's day in the application, by its keys, against the real card service."""

from pathlib import Path

import pytest

from cli.terminal.dialog import Choice
from cli.terminal.screens.act import DoAct
from cli.terminal.screens.approvals import Approvals
from cli.terminal.screens.find import Find
from cli.terminal.screens.holder import Holder
from cli.terminal.screens.home import Home
from cli.terminal.screens.issue import Issue
from cli.terminal.screens.locked import Locked
from cli.terminal.screens.receipt import Receipt
from cli.terminal.screens.sign_in import SignIn
from cli.terminal.screens.work import Work
from onecard.card.v1 import cards_pb2 as cards
from services.card.domain.actor import Role
from tests.integration.card.test_api_cards import issued
from tests.integration.card.test_consents import CHILD, MINOR, child
from tests.integration.card.test_spending_limits import limits, set_limits
from tests.support.cardholders import citizen_number
from tests.support.hall import OTHER, Hall, Owner, person
from tests.support.photos import FAR_AWAY, good_photo, jpeg, portrait
from tests.support.terminal import Hands, account_of, sign_in, window_app

ABROAD = "onecard://merchant/CITY-HALL/terminal/MACAU-1/abroad"
PIN = "739154"


async def find(hands: Hands, number: int) -> None:
    await hands.press("f2")
    await hands.key_in(number=citizen_number(number))
    await hands.press("f9")
    assert hands.at(Holder), hands.said()


async def do(hands: Hands, verb: str) -> None:
    await hands.choose("actions", verb)
    assert hands.at(DoAct)
    await hands.press("f9")


async def test_a_wrong_code_is_told_and_a_right_one_opens_the_day(hall: Hall) -> None:
    account = await account_of(hall, Role.CLERK)
    async with window_app(hall) as hands:
        hands.picture("sign-in")
        await hands.press("f9")
        assert "请填写工号" in hands.said()
        await hands.key_in(login=account.login, password=account.password, code="000000")
        await hands.press("f9")
        assert hands.at(SignIn)
        assert hands.said().startswith("✗"), hands.said()
        await sign_in(hands, account)
        assert hands.at(Home), hands.said()
        assert account.password not in hands.text()
        hands.picture("home")
        await hands.press("f10")
        assert hands.at(SignIn)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_holder_stands_masked_on_one_screen_with_what_may_be_done_and_why_not(
    hall: Hall, size: tuple[int, int]
) -> None:
    clerk = await hall.window()
    await issued(hall, clerk)
    async with window_app(hall, size=size) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await hands.press("f2")
        assert hands.at(Find)
        await hands.press("f9")
        assert "请先填写号码" in hands.said()
        await hands.key_in(number=citizen_number(99))
        await hands.press("f9")
        assert hands.said().startswith("✗"), hands.said()
        await hands.key_in(number=citizen_number(1))
        await hands.press("f9")
        screen = hands.text()
        assert person(1).name not in screen
        assert citizen_number(1) not in screen
        assert "领取" in screen
        assert "监护人限额" not in screen
        assert "尚未领取" in screen or "未领" in screen, screen
        hands.picture(f"holder-{size[0]}x{size[1]}")
        await hands.press("f3")
        await hands.key_in(purpose="核对姓名")
        await hands.press("enter")
        await hands.settle()
        assert person(1).name in hands.text()
        await hands.press("f2")
        assert person(1).name not in hands.text()


async def test_what_a_guardian_allows_stands_on_the_childs_screen(hall: Hall) -> None:
    clerk = await hall.window()
    holder = (await clerk.ask("Submit", child(consents=[MINOR]))).application.holder_id
    assert await set_limits(clerk, limits(holder)) == ""
    async with window_app(hall, size=(120, 40)) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await hands.press("f2")
        await hands.key_in(number=CHILD)
        await hands.press("f9")
        for said in ("监护人限额", "每日 20.00 元", "每日 5 笔", "每日景区 0.00 元"):
            assert said in hands.text()


async def test_a_service_point_across_the_border_is_shown_nothing_whole(hall: Hall) -> None:
    clerk = await hall.window()
    await issued(hall, clerk)
    async with window_app(hall, subject=ABROAD) as hands:
        await sign_in(hands, await account_of(hall, Role.SUPERVISOR))
        await find(hands, 1)
        seen = hands.text()
        await hands.press("f3")
        await hands.key_in(purpose="核对姓名")
        await hands.press("enter")
        await hands.settle()
        seen += hands.text()
        assert "请转由有权限的同事办理" in hands.said()
        for whole in (person(1).name, citizen_number(1), "13812345678", "1990-01-01"):
            assert whole not in seen


async def test_a_card_is_collected_enabled_lost_found_and_lost_for_good(hall: Hall) -> None:
    clerk = await hall.window()
    _, card = await issued(hall, clerk)
    async with window_app(hall) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await find(hands, 1)
        await hands.choose("actions", "COLLECT")
        await hands.key_in(pin=PIN, pin_again="1")
        await hands.press("f9")
        assert "两次输入的密码不一致" in hands.said()
        await hands.key_in(pin=PIN, pin_again=PIN)
        hands.picture("act")
        await hands.press("f9")
        assert hands.at(Receipt), hands.said()
        assert "领取社会保障卡" in hands.text()
        hands.picture("receipt")
        assert not (await clerk.ask("VerifyPin", cards.VerifyPinRequest(card_id=card, pin=PIN))).HasField("refusal")
        await hands.press("escape")
        assert hands.at(Holder)
        for verb, state in (("ENABLE", "正常"), ("REPORT_TEMPORARY_LOSS", "临时挂失"), ("RELEASE", "正常")):
            await do(hands, verb)
            assert hands.at(Receipt), hands.said()
            await hands.press("escape")
            await hands.settle()
            assert hands.rows("cards")[0][1].startswith(state)
        await do(hands, "REPORT_FORMAL_LOSS")
        assert hands.at(Choice)
        await hands.press("2")
        await hands.settle()
        await hands.press("escape")
        await hands.settle()
        assert hands.rows("cards")[0][1] == "正式挂失"


async def test_two_people_cancel_a_card_each_at_their_window(hall: Hall) -> None:
    clerk = await hall.window()
    await issued(hall, clerk)
    first, second = await account_of(hall, Role.CLERK), await account_of(hall, Role.SUPERVISOR, "chief-71")
    async with window_app(hall) as hands, window_app(hall, subject=OTHER) as other:
        await sign_in(hands, first)
        await find(hands, 1)
        for verb in ("COLLECT", "ENABLE"):
            await do(hands, verb)
            await hands.press("escape")
        await hands.choose("actions", "CANCEL")
        await hands.key_in(reason="MOVED_AWAY")
        await hands.press("f9")
        await hands.press("2")
        await hands.settle()
        assert "请另一位同事" in hands.said()
        hands.picture("cancel")
        await sign_in(other, second)
        await other.press("f6")
        assert other.at(Work)
        assert [row[0] for row in other.rows("work")] == ["待审批"]
        other.picture("work")
        await other.press("enter")
        assert other.at(Approvals)
        await other.settle()
        other.picture("approvals")
        await other.press("f9")
        assert "已同意" in other.said()
        await hands.press("f9")
        assert hands.at(Holder), hands.said()
        await hands.settle()
        assert "注销：已办理" in hands.said()
        assert hands.rows("cards")[0][1] == "已注销"


async def test_faults_of_a_photo_and_of_fields_stand_where_they_are_and_a_reason_lets_pass(
    hall: Hall, tmp_path: Path, owner: Owner
) -> None:
    far, good = tmp_path / "far.jpg", tmp_path / "good.jpg"
    far.write_bytes(jpeg(portrait(FAR_AWAY)))
    good.write_bytes(good_photo())
    async with window_app(hall) as hands:
        await sign_in(hands, await account_of(hall, Role.CLERK))
        await hands.press("f3")
        await hands.press("f9")
        assert hands.app.screen.focused is not None
        assert hands.app.screen.focused.id == "number"
        await hands.key_in(number=citizen_number(1), name="李某某", phone="1", photo="/nowhere.jpg", mode="INSTANT")
        await hands.press("f9")
        assert "打不开该文件" in hands.said()
        await hands.key_in(photo=str(far))
        await hands.press("f9")
        assert hands.app.screen.query_one("#phone").has_class("fault"), hands.said()
        await hands.key_in(phone="13812345678")
        await hands.press("f9")
        assert "照片：" in hands.said()
        assert hands.app.screen.query_one("#photo").has_class("fault")
        hands.picture("apply-photo")
        await hands.key_in(photo=str(good))
        await hands.press("f9")
        assert hands.at(Choice), hands.said()
        hands.picture("apply-accepted")
        await hands.press("1")
        assert hands.at(Issue)
    assert await owner.fetchval("select count(*) from card.application") == 1


async def test_the_screen_is_locked_when_nobody_is_there_and_wants_the_password(hall: Hall) -> None:
    now = 0.0
    account = await account_of(hall, Role.CLERK)
    clerk = await hall.window()
    await issued(hall, clerk)
    async with window_app(hall, lock_seconds=300, clock=lambda: now) as hands:
        await sign_in(hands, account)
        await find(hands, 1)
        now = 299.0
        hands.app.watch_idle()  # type: ignore[attr-defined]
        assert hands.at(Holder)
        await hands.press("tab")
        now = 598.0
        hands.app.watch_idle()  # type: ignore[attr-defined]
        assert hands.at(Holder), "a key says that somebody is there"
        now = 599.0
        hands.app.watch_idle()  # type: ignore[attr-defined]
        await hands.pilot.pause()
        assert hands.at(Locked)
        assert "李" not in hands.text()
        hands.picture("locked")
        await hands.press("escape")
        assert hands.at(Locked)
        await hands.key_in(password="wrong")
        await hands.press("enter")
        assert "还可尝试 2 次" in hands.said()
        await hands.key_in(password=account.password)
        await hands.press("enter")
        assert hands.at(Holder)
        hands.app.lock()  # type: ignore[attr-defined]
        await hands.pilot.pause()
        for _ in range(3):
            await hands.key_in(password="wrong")
            await hands.press("enter")
        assert hands.at(SignIn)
    open_shifts = (
        "select count(*) from card.shift s join card.staff p on p.id = s.staff where s.end_time is null and p.login = $1"
    )
    assert await hall.owner.fetchval(open_shifts, account.login) == 0
