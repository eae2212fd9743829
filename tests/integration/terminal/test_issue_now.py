"""Issue now in the application, against the real stream of issuance: steps tick by, people are asked, a cut is resumed."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from textual.widgets import Static

from cli.terminal.dialog import Choice
from cli.terminal.screens.check import Check
from cli.terminal.screens.handing import HandOver
from cli.terminal.screens.issue import Issue
from cli.terminal.screens.update import Update
from cli.terminal.session import Devices
from onecard.issuance.v1.issuance_pb2_grpc import add_IssuanceServiceServicer_to_server
from sdk.merchant.access import Line, open_line
from sdk.window.devices.printer import READY, CardFace, Printed, PrinterState
from sdk.window.devices.reader import CardGoneError
from services.card.domain.actor import Role
from services.common.clock import now_ms
from services.common.database import driver_session, make_engine
from services.common.grpc.listen import Listen
from services.common.grpc.revocation import RevocationList
from services.common.grpc.server import make_server
from services.issuance.api.actors import Actors
from services.issuance.api.issuance import IssuanceService
from services.issuance.domain.actor import Actor
from services.issuance.domain.actor import Role as IssuanceRole
from services.issuance.handlers.check_card import CheckCard
from services.issuance.handlers.countersign import decide_countersignature
from services.issuance.handlers.once import digests
from services.issuance.handlers.personalise import Personalise
from services.issuance.handlers.update_card import UpdateCard
from tests.support.blanks import WINDOW as BLANKS_WINDOW
from tests.support.chip import PowerCut
from tests.support.chip_driver import PRODUCTS
from tests.support.hall import Hall
from tests.support.hostile_terminal import forms
from tests.support.issuance import ATR, Room
from tests.support.issuance_postgres import open_journal, open_room
from tests.support.issuance_room import Card, data_of
from tests.support.link import Link
from tests.support.terminal import Hands, account_of, sign_in, window_app
from tests.support.town import Database


class Everybody:
    """Whoever is signed in at the card service may make cards."""

    async def who_acts(self, token: str, terminal: str, serial: str) -> Actor:
        return Actor(3, frozenset({IssuanceRole.CLERK}), 30, terminal, "HALL", 2**42)


class Bench:
    """Cards of a room, a reader and a printer. A Tray."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = {card.serial: card for card in cards}
        self.inside: Card | None = None
        self.given: list[str] = []
        self.spoiled: list[str] = []
        self.faces = 0
        self.power_fails_at = -1
        """The nth command from now."""
        self.link: Link | None = None
        """Cut instead of the power."""
        self.printer_says = Printed.DONE

    def blanks(self) -> Sequence[str]:
        return [serial for serial in self.cards if serial not in self.given]

    def insert(self, serial: str) -> None:
        self.inside = self.cards[serial]

    def pull(self) -> None:
        self.inside = None

    def looks_printed(self, serial: str) -> bool:
        return self.cards[serial].printed > 0

    def lay_down(self) -> None:
        pass

    def spoil(self, serial: str) -> None:
        self.spoiled.append(serial)
        self.pull()

    def hand_over(self, serial: str) -> None:
        self.given.append(serial)
        self.pull()

    # The reader

    def connect(self, patience_seconds: float) -> bytes:
        if self.inside is None:
            raise CardGoneError
        self.inside.chip.power_up()
        return ATR[self.inside.chip.product.code]

    def transmit(self, apdu: bytes) -> bytes:
        self.power_fails_at -= 1
        if self.inside is None or (self.power_fails_at == 0 and self.link is None):
            raise CardGoneError
        if self.power_fails_at == 0 and self.link:
            self.link.cut()
        try:
            return self.inside.chip.transmit(apdu)
        except PowerCut:
            raise CardGoneError from None

    def disconnect(self) -> None:
        pass

    # The printer

    def ready(self) -> PrinterState:
        return READY

    def refuses(self, face: CardFace) -> str:
        return ""

    def print(self, face: CardFace) -> Printed:
        assert self.inside is not None
        self.faces += 1
        self.inside.printed += 1
        return self.printer_says


@pytest.fixture
async def issuance_engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database.issuance_url, "tests", sessions=8)
    yield engine
    await engine.dispose()


@pytest.fixture
async def room(issuance_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Room]:
    async with driver_session(issuance_engine) as driver:
        yield await open_room(open_journal(issuance_engine, tmp_path), driver, 3)


@pytest.fixture
async def link(issuance_engine: AsyncEngine, room: Room) -> AsyncIterator[Link]:
    async def revoked() -> frozenset[str]:
        return frozenset()

    server: Any = make_server(Listen("127.0.0.1:0", None), RevocationList(revoked))
    parts = (room.journal, room.registry, room.vault, tuple(PRODUCTS.values()))
    personalise = Personalise(*parts)
    actors: Any = Actors(Everybody())  # type: ignore[arg-type]  # all that it asks of the card service
    service = IssuanceService(actors, personalise, UpdateCard(issuance_engine, digests, *parts), CheckCard(*parts), "江门市")
    add_IssuanceServiceServicer_to_server(service, server)
    await server.start()
    async with Link(server.port) as link:
        yield link
    await server.stop()


@pytest.fixture
async def hands(hall: Hall, room: Room, link: Link, bench: Bench) -> AsyncIterator[Hands]:
    def dial() -> Line:
        return open_line(f"127.0.0.1:{link.port}", BLANKS_WINDOW, None)

    devices = Devices(bench, bench, tray=bench)
    async with window_app(hall, devices=devices, issuance=dial, size=(100, 28)) as opened:
        await sign_in(opened, await account_of(hall, Role.CLERK))
        yield opened


@pytest.fixture
def bench(room: Room) -> Bench:
    return Bench(room.cards)


async def begin(hands: Hands, room: Room) -> int:
    application = room.registry.apply()
    await hands.press("f4")
    await hands.key_in(application=str(application))
    await hands.press("f2")
    await hands.press("1")
    await hands.pilot.press("f9")
    return application


async def asked(hands: Hands, kind: type[Any]) -> None:
    await hands.until(lambda: hands.at(kind) or (hands.at(Issue) and not getattr(hands.app.screen, "busy", False)))
    assert hands.at(kind), hands.said()


def prompt(hands: Hands) -> str:
    return str(hands.app.screen.query_one("#prompt", Static).visual)


async def test_a_card_is_issued_while_its_steps_tick_by(hands: Hands, room: Room, bench: Bench) -> None:
    await begin(hands, room)
    await asked(hands, HandOver)
    hands.picture("hand-over")
    await hands.key_in(pin="739154", pin_again="739154")
    screens = [hands.text()]
    await hands.pilot.press("f9")
    await asked(hands, Issue)
    await hands.settle()
    assert "已发卡并启用" in prompt(hands), hands.said()
    screens.append(hands.text())
    chip = room.cards[0].chip
    keys = [form for key in chip.keys.values() for form in forms(key)]
    for screen in map(str.encode, screens):
        assert not [secret for secret in (b"739154", data_of(room.registry.cards[0]).name.encode(), *keys) if secret in screen]
    assert hands.text().count("✓") >= 10
    hands.picture("issue-done")
    assert [card.state for card in room.registry.cards] == ["ISSUED"]
    assert bench.given == [room.cards[0].serial]
    assert bench.faces == 1


async def test_a_card_that_is_pulled_out_tells_to_insert_the_same_card_and_goes_on_from_there(
    hands: Hands, room: Room, bench: Bench
) -> None:
    bench.power_fails_at = 9
    await begin(hands, room)
    await asked(hands, Issue)
    await hands.settle()
    assert "F9" in hands.said()
    await hands.pilot.press("f9")
    await asked(hands, HandOver)
    await hands.pilot.press("f9")
    await asked(hands, Issue)
    await hands.settle()
    assert "已发卡并启用" in prompt(hands), hands.said()
    assert bench.faces == 1


async def test_a_network_that_is_cut_is_told_plainly_and_the_same_key_goes_on(
    hands: Hands, room: Room, bench: Bench, link: Link
) -> None:
    bench.link, bench.power_fails_at = link, 9
    await begin(hands, room)
    await asked(hands, Issue)
    await hands.settle()
    assert "连接中断" in prompt(hands)
    assert "同一张卡" in hands.said()
    hands.picture("issue-cut")
    await hands.pilot.press("f9")
    await asked(hands, HandOver)
    await hands.pilot.press("f9")
    await asked(hands, Issue)
    await hands.settle()
    assert "已发卡并启用" in prompt(hands), hands.said()
    assert [card.state for card in room.registry.cards] == ["ISSUED"]


async def test_a_printer_that_does_not_know_has_the_clerk_look_and_prints_nothing_twice(
    hands: Hands, room: Room, bench: Bench
) -> None:
    bench.printer_says = Printed.UNKNOWN
    await begin(hands, room)
    await asked(hands, Choice)
    assert "系统不会自动重印" in hands.text()
    hands.picture("look")
    await hands.pilot.press("3")
    await asked(hands, Issue)
    await hands.settle()
    assert "此卡作废" in prompt(hands)
    assert "换一张空白卡" in hands.said()
    assert bench.spoiled == [room.cards[0].serial]
    assert bench.faces == 1


async def test_an_applicant_who_walks_away_leaves_the_card_at_the_outlet(hands: Hands, room: Room) -> None:
    await begin(hands, room)
    await asked(hands, HandOver)
    await hands.pilot.press("escape")
    await hands.until(lambda: hands.at(Choice))
    await hands.pilot.press("2")
    await hands.until(lambda: hands.at(Issue))
    await hands.settle()
    assert "留存本网点" in prompt(hands), hands.said()


async def test_nothing_begins_without_a_card_and_nobody_leaves_in_the_middle(hands: Hands, room: Room) -> None:
    application = room.registry.apply()
    await hands.press("f4")
    await hands.key_in(application=str(application))
    await hands.press("f9")  # of virtual cards one is chosen first
    await hands.press("1")
    screen = hands.pilot.app.screen
    assert isinstance(screen, Issue)
    assert screen.desk.devices.tray
    screen.desk.devices.tray.pull()
    await hands.press("f9")
    assert hands.said().startswith("✗ ")
    assert "读卡器中没有卡片" in prompt(hands)
    await hands.press("f2")
    await hands.press("1")
    await hands.pilot.press("f9")
    await asked(hands, HandOver)
    await hands.pilot.press("f9")
    await hands.until(lambda: hands.at(Issue))
    await hands.settle()


async def test_a_card_is_checked_against_the_registry(hands: Hands, room: Room) -> None:
    await hands.press("f8")
    assert hands.at(Check)
    await hands.press("f2")
    await hands.press("1")
    await hands.settle()
    assert room.cards[0].serial in hands.text(), hands.said()
    hands.picture("check")


async def test_the_pin_on_a_chip_is_set_anew_with_a_second_person(
    hands: Hands, room: Room, bench: Bench, issuance_engine: AsyncEngine
) -> None:
    await begin(hands, room)
    await asked(hands, HandOver)
    await hands.pilot.press("f9")
    await asked(hands, Issue)
    await hands.settle()
    await hands.press("escape", "f8", "f6")
    assert "请先按 F9 验卡" in hands.said()
    bench.insert(room.cards[0].serial)
    await hands.press("f9", "f6")
    assert hands.at(Update)
    await hands.key_in(pin="135790", pin_again="135791")
    await hands.press("f9")
    assert "两次" in hands.said()
    await hands.key_in(pin="135790", pin_again="135790")
    await hands.press("f9")
    assert "请另一位同事" in hands.said()
    assert "135790" not in hands.text()
    await hands.key_in(pin="246802", pin_again="246802")  # thought better of it meanwhile
    await hands.press("f9")
    assert "请另一位同事" in hands.said()
    async with driver_session(issuance_engine) as driver:
        number = await driver.fetchval("select max(id) from issuance.countersignature")
        second = Actor(4, frozenset({IssuanceRole.SUPERVISOR}), 40, BLANKS_WINDOW, "HALL", 2**42)
        assert await decide_countersignature(driver, number, second, now_ms(), sign=True, reason="") is None
    await hands.press("f9")
    assert "卡片已更新" in hands.said()
    assert room.cards[0].chip.pin == "246802"
    await hands.press("f9")
    assert "密码" in hands.said()  # it does not stay
