"""Somebody at the keyboard of a window's application: keys are pressed, and what stands on the screen is read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyotp
from rich.segment import Segment
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Checkbox, DataTable, Input, OptionList, Select, Static

from cli.terminal.app import WindowApp
from cli.terminal.session import Desk, Devices, Lines
from sdk.merchant.access import Credentials, Line, open_line
from services.card.domain.actor import Role
from services.card.handlers.sign_in import ShownAccount
from tests.support.hall import WINDOW, Hall

PICTURES = Path(__file__).parents[2] / "build" / "pictures"
"""What the screens looked like."""
SECONDS = 60.0


def line_to(hall: Hall, subject: str = WINDOW) -> Line:
    issued_to = hall.authority.issue(subject)
    credentials = Credentials(issued_to.certificate, issued_to.key, hall.authority.certificate)
    return open_line(f"localhost:{hall.port}", subject, credentials)


class Hands:
    """One person before one screen."""

    def __init__(self, app: App[Any], pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing is asked any more."""
        await self.until(lambda: not getattr(self.app.screen, "busy", False))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                await self.pilot.pause()
                if true():
                    break
                await asyncio.sleep(0.02)

    async def key_in(self, **values: str | bool) -> None:
        """Fields by their names."""
        for name, value in values.items():
            widget = self.app.screen.query_one(f"#{name}")
            if isinstance(widget, Input):
                assert isinstance(value, str)
                widget.value = value
            elif isinstance(widget, Checkbox):
                widget.value = bool(value)
            else:
                assert isinstance(widget, Select)
                widget.value = value
            await self.pilot.pause()

    async def choose(self, list_id: str, option: str) -> None:
        """One line of a list, by Enter."""
        options = self.app.screen.query_one(f"#{list_id}", OptionList)
        options.focus()
        options.highlighted = options.get_option_index(option)
        await self.press("enter")

    def said(self) -> str:
        return str(self.app.screen.query_one("#said", Static).visual)

    def rows(self, table_id: str) -> list[list[str]]:
        table = self.app.screen.query_one(f"#{table_id}", DataTable)
        return [[str(cell) for cell in table.get_row_at(number)] for number in range(table.row_count)]

    def text(self) -> str:
        """All that stands on the screen, as somebody reads it."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        assert len(lines) <= height + 1, width
        return "\n".join("".join(_plain(segment) for segment in strip).rstrip() for strip in lines)

    def at(self, kind: type[Any]) -> bool:
        return isinstance(self.app.screen, kind)

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / f"{name}.svg").write_text(self.app.export_screenshot(title=self.app.title), encoding="utf-8")


def _plain(segment: Segment) -> str:
    return "" if segment.control else segment.text


async def account_of(hall: Hall, role: Role, login: str = "clerk-71") -> ShownAccount:
    (account,) = await hall.accounts.create_for_show({login: role}, "440703-01")
    return account


@asynccontextmanager
async def window_app(
    hall: Hall,
    *,
    subject: str = WINDOW,
    language: str = "zh",
    size: tuple[int, int] = (120, 40),
    devices: Devices | None = None,
    payments: Callable[[], Line | None] = lambda: None,
    issuance: Callable[[], Line | None] = lambda: None,
    **more: Any,
) -> AsyncIterator[Hands]:
    """The application, with nobody signed in."""
    name = subject.removeprefix("onecard://merchant/").replace("/terminal/", " / ")
    desk = Desk(name, Lines(lambda: line_to(hall, subject), payments, issuance), devices, patience_seconds=5)
    app = WindowApp(desk, language, authority="江门市人力资源和社会保障局", **more)
    async with app.run_test(size=size) as pilot:
        yield Hands(app, pilot)
    await asyncio.to_thread(desk.close)


async def sign_in(hands: Hands, account: ShownAccount) -> None:
    code = pyotp.TOTP(account.totp_secret).now()
    await hands.key_in(login=account.login, password=account.password, code=code)
    await hands.press("f9")
