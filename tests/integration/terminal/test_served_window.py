"""The application in a browser, as a process: what the page does by its websocket, and what stays when the browser is gone."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pyotp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType, WSServerHandshakeError

from services.card.domain.actor import Role
from services.card.handlers.sign_in import ShownAccount
from tests.support.hall import WINDOW, Hall
from tests.support.terminal import account_of

ENTER = "\r"
SECONDS = 25.0
GONE_SECONDS = 15.0
A_MOMENT_SECONDS = 0.5
LOCK_SECONDS = 4


class Page:
    """What the browser's page does; what it was sent is one long text without its colours."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self.shown = ""

    async def focus(self) -> None:
        """The person clicks into it, once there is something to see: before it is there it would forget it again."""
        await asyncio.sleep(A_MOMENT_SECONDS)
        await self._socket.send_str(json.dumps(["focus"]))

    async def press(self, keys: str) -> None:
        await self._socket.send_str(json.dumps(["stdin", keys]))

    async def see(self, words: str) -> str:
        """In what was sent since the last time; answers all of that."""
        try:
            async with asyncio.timeout(SECONDS):
                while words not in self.shown:
                    message = await self._socket.receive()
                    assert message.type is WSMsgType.BINARY, (message, self.shown[-2000:])
                    self.shown += re.sub(r"\x1b\[[0-9;?<>]*[A-Za-z]", "", message.data.decode())
        except TimeoutError:
            pytest.fail(f"{words!r} was not seen: {self.shown[-3000:]}")
        seen, self.shown = self.shown, ""
        return seen

    async def sign_in(self, account: ShownAccount) -> None:
        await self.see("One-time code")
        await self.focus()
        for told in (account.login, account.password, pyotp.TOTP(account.totp_secret).now()):
            await asyncio.sleep(A_MOMENT_SECONDS)
            await self.press(told + ENTER)


class Served:
    """The process, and the one browser that has its address."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, browser: ClientSession) -> None:
        self.process = process
        self.address = address
        self.url = address.partition("/?")[0]
        self.browser = browser

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """The websocket that the page names, opened from there."""
        async with self.browser.get(self.url + "/") as answer:
            assert answer.status == 200
            found = re.search(r'data-session-websocket-url="([^"]+)"', await answer.text())
        assert found
        async with self.browser.ws_connect(f"{found[1]}?width=120&height=40", origin=self.url) as socket:
            await socket.send_str(json.dumps(["resize", {"width": 120, "height": 40}]))
            yield Page(socket)

    def applications(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@asynccontextmanager
async def serving(hall: Hall, folder: Path) -> AsyncIterator[Served]:
    issued, certificates = hall.authority.issue(WINDOW), folder / "window"
    certificates.mkdir()
    for name, file in (("WINDOW-1@CITY-HALL.crt", issued.certificate), ("WINDOW-1@CITY-HALL.key", issued.key)):
        (certificates / name).write_bytes(file.read_bytes())
    (certificates / "authority.crt").write_bytes(hall.authority.certificate.read_bytes())
    options = ("--card-api", f"localhost:{hall.port}", "--certificates", str(certificates), "--lang", "en")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.terminal", "--serve", "--lock-after", str(LOCK_SECONDS), *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        address = (await asyncio.wait_for(process.stdout.readline(), SECONDS)).decode().strip()
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
            async with browser.get(address) as answer:
                assert answer.status == 200
            yield Served(process, address, browser)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def gone(processes: list[psutil.Process]) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, GONE_SECONDS)
    assert not alive, [process.cmdline() for process in alive]


async def open_shifts(hall: Hall) -> int:
    count: int = await hall.owner.fetchval("select count(*) from card.shift where end_time is null")
    return count


async def test_a_clerk_signs_in_works_is_locked_out_and_leaves_nothing_behind(hall: Hall, tmp_path: Path) -> None:
    account = await account_of(hall, Role.CLERK)
    async with serving(hall, tmp_path) as served:
        async with served.page() as page:
            await page.sign_in(account)
            await page.see("Find a holder")
            assert await open_shifts(hall) == 1
            await page.see("The screen is locked")
            await page.press("wrong" + ENTER)
            await page.see("Wrong password")
            await page.press(account.password + ENTER)
            await page.see("Find a holder")
            applications = served.applications()
            assert applications
        await gone(applications)
        assert served.applications() == []
        assert await open_shifts(hall) == 0, "who was signed in is signed out"
        async with served.page() as page:
            assert account.login not in await page.see("One-time code")


async def test_nobody_else_and_no_page_of_others_opens_the_websocket(hall: Hall, tmp_path: Path) -> None:
    async with serving(hall, tmp_path) as served, ClientSession(cookie_jar=CookieJar(unsafe=True)) as stranger:
        socket = served.url.replace("http", "ws") + "/ws"
        for browser, origin in (
            (stranger, served.url),
            (stranger, None),
            (served.browser, "http://evil.example"),
            (served.browser, served.url.replace("127.0.0.1", "localhost")),
            (served.browser, "null"),
            (served.browser, None),
        ):
            with pytest.raises(WSServerHandshakeError) as refused:
                await browser.ws_connect(socket, origin=origin)
            assert refused.value.status == 403
        assert served.applications() == [], "nothing was started for them"
        async with stranger.get(served.address) as answer:
            assert answer.status == 403


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_where_the_server_ends_the_application_ends_too(hall: Hall, tmp_path: Path, how: signal.Signals) -> None:
    account = await account_of(hall, Role.CLERK)
    async with serving(hall, tmp_path) as served, served.page() as page:
        await page.sign_in(account)
        await page.see("Find a holder")
        applications = served.applications()
        served.process.send_signal(how)
        await gone([psutil.Process(served.process.pid), *applications])
        assert await open_shifts(hall) == 0
