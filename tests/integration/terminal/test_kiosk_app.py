"""A resident at a kiosk: only what is theirs to do, in three languages, and nothing stays behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from textual.widgets import Button, Input

from cli.terminal.kiosk_app import CLEAR_SCROLLBACK, KioskApp
from cli.terminal.screens.kiosk_mine import Done, KeyIn, Mine, Sure
from cli.terminal.screens.kiosk_welcome import Countdown, ShowCard, Welcome
from onecard.card.v1 import cards_pb2 as cards
from services.card.domain.card import SocialStatus
from tests.integration.card.test_api_cards import IN_PERSON, issued
from tests.integration.card.test_sessions import KIOSK, identifier_of
from tests.support.cardholders import citizen_number
from tests.support.hall import Hall, Owner, person
from tests.support.terminal import Hands, line_to

PIN, OTHER_PIN = "739154", "268405"


@dataclass(slots=True)
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Stand:
    """A kiosk, and a card with a PIN."""

    hands: Hands
    app: KioskApp
    clock: Clock
    chip: str
    card: int
    written: list[str]


@pytest.fixture
async def stand(hall: Hall, owner: Owner) -> AsyncIterator[Stand]:
    clerk, clock = await hall.window(), Clock()
    _, card = await issued(hall, clerk)
    collect = cards.CollectRequest(request_id="c", card_id=card, presented=IN_PERSON, new_pin=PIN)
    assert not (await clerk.ask("Collect", collect)).HasField("refusal")
    enable = cards.EnableRequest(request_id="e", card_id=card, presented=IN_PERSON)
    assert not (await clerk.ask("Enable", enable)).HasField("refusal")
    app = KioskApp(line_to(hall, KIOSK), place="CITY-HALL / KIOSK-1", patience_seconds=5, clock=clock)
    async with app.run_test(size=(100, 30)) as pilot:
        written: list[str] = []
        assert app._driver is not None
        app._driver.write = written.append  # type: ignore[assignment]
        yield Stand(Hands(app, pilot), app, clock, await identifier_of(owner, card), card, written)
    await asyncio.to_thread(app.kiosk.close)


async def show_card(stand: Stand, language: str = "1", pin: str = PIN) -> None:
    await stand.hands.press(language)
    await show_card_here(stand, pin)


async def show_card_here(stand: Stand, pin: str = PIN) -> None:
    hands = stand.hands
    assert hands.at(ShowCard)
    await hands.key_in(card=stand.chip, pin=pin)
    hands.app.screen.query_one("#go", Button).press()
    await hands.pilot.pause()
    await hands.settle()


async def sessions(owner: Owner) -> int:
    return int(await owner.fetchval("select count(*) from card.holder_session where end_time is null"))


@pytest.mark.parametrize(("key", "word"), [("1", "临时挂失"), ("2", "臨時掛失"), ("3", "Report a temporary loss")])
async def test_a_resident_sees_their_card_masked_in_their_language(stand: Stand, key: str, word: str) -> None:
    stand.hands.picture("kiosk-welcome")
    await show_card(stand, key)
    assert stand.hands.at(Mine), stand.hands.said()
    screen = stand.hands.text()
    assert word in screen
    stand.hands.picture(f"kiosk-mine-{key}")
    for whole in (person(1).name, citizen_number(1), "13812345678"):
        assert whole not in screen
    for not_here in ("注销", "註銷", "Cancel", "正式", "Formal"):
        assert not_here not in screen


async def test_a_wrong_pin_is_told_and_does_not_stay_in_the_field(stand: Stand) -> None:
    await show_card(stand, pin="111222")
    assert stand.hands.at(ShowCard)
    assert stand.hands.said().startswith("!"), stand.hands.said()
    assert stand.hands.app.screen.query_one("#pin", Input).value == ""


async def test_a_resident_changes_the_pin_and_reports_a_loss(stand: Stand, hall: Hall) -> None:
    hands = stand.hands
    await show_card(stand)
    hands.app.screen.query_one("#CHANGE_PIN", Button).press()
    await hands.until(lambda: hands.at(KeyIn))
    await hands.key_in(pin=PIN, new=OTHER_PIN, again="1")
    hands.app.screen.query_one("#yes", Button).press()
    await hands.pilot.pause()
    assert "6 位数字" in hands.said()
    await hands.key_in(pin=PIN, new=OTHER_PIN, again=OTHER_PIN)
    hands.app.screen.query_one("#yes", Button).press()
    await hands.pilot.pause()
    await hands.settle()
    assert hands.at(Done), hands.said()
    await hands.press("escape")
    assert hands.at(Welcome)
    await show_card(stand, pin=OTHER_PIN)
    hands.app.screen.query_one("#REPORT_TEMPORARY_LOSS", Button).press()
    await hands.until(lambda: hands.at(Sure))
    hands.picture("kiosk-sure")
    await hands.press("1")
    await hands.until(lambda: hands.at(Done))
    state = await hall.owner.fetchval("select social from card.card where id = $1", stand.card)
    assert state == SocialStatus.TEMPORARILY_LOST


async def test_after_sixty_seconds_without_a_touch_screen_scrollback_and_login_are_cleared(stand: Stand, owner: Owner) -> None:
    hands, clock = stand.hands, stand.clock
    await show_card(stand, "3")
    assert await sessions(owner) == 1
    seen = hands.app.screen
    hands.app.copy_to_clipboard("something of theirs")
    clock.now = 44.0
    stand.app.watch_idle()
    assert not seen.query_one(Countdown).display
    clock.now = 50.0
    stand.app.watch_idle()
    await hands.pilot.pause()
    assert seen.query_one(Countdown).display
    assert "10 s" in hands.text()
    hands.picture("kiosk-countdown")
    await hands.press("tab")
    assert not seen.query_one(Countdown).display, "a touch gives all the time again"
    clock.now = 109.0
    stand.app.watch_idle()
    assert hands.at(Mine)
    stand.written.clear()
    clock.now = 110.0
    stand.app.watch_idle()
    await hands.until(lambda: hands.at(Welcome))
    assert CLEAR_SCROLLBACK in stand.written
    assert stand.app.clipboard == ""
    assert stand.app.texts.language == "zh"
    assert not seen.is_attached
    assert [type(screen) for screen in stand.app.screen_stack[1:]] == [Welcome]
    await hands.until(lambda: not [worker for worker in stand.app.workers if not worker.is_finished])
    assert await sessions(owner) == 0
    assert "x-onecard-holder" not in dict(stand.app.kiosk._asking.metadata)
    for left in ("*", "****", person(1).name, stand.chip):
        assert left not in hands.text()
    assert hands.app.is_headless or hands.app._driver is not None


async def test_what_was_half_keyed_in_is_cleared_too(stand: Stand) -> None:
    hands = stand.hands
    await hands.press("1")
    await hands.key_in(card=stand.chip, pin="12")
    stand.clock.now = 61.0
    stand.app.watch_idle()
    await hands.until(lambda: hands.at(Welcome))
    await hands.press("1")
    assert [field.value for field in hands.app.screen.query(Input)] == ["", ""]


@pytest.mark.parametrize("key", ["1", "2", "3"])
async def test_on_a_high_screen_everything_is_larger_and_still_on_it(stand: Stand, key: str) -> None:
    await stand.hands.press(key)
    small = stand.app.screen.query_one("#go").region
    await stand.hands.pilot.resize_terminal(120, 45)
    await stand.hands.until(lambda: stand.app.screen.query_one("#go").region.height > small.height)
    for one in stand.app.screen.query("Button, Input"):
        assert stand.app.screen.region.contains_region(one.region), one
    await show_card_here(stand)
    assert stand.hands.at(Mine), stand.hands.said()
    assert stand.app.screen.query("#choices Button.big").first().region.height > small.height
    stand.hands.picture(f"kiosk-high-{key}")
