"""The door of the application in a browser: one browser, with the address that is good once, from this machine's own page."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import ClientSession, CookieJar, web

from cli.terminal.served import HOST, Served, arguments_of, free_port


class House(NamedTuple):
    served: Served
    url: str


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    port = free_port()
    served = Served("true", port, "onecard window")
    runner = web.AppRunner(await served._make_app())
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    yield House(served, f"http://{HOST}:{port}")
    await runner.cleanup()


def browser() -> ClientSession:
    return ClientSession(cookie_jar=CookieJar(unsafe=True))


async def status(session: ClientSession, url: str, **headers: str) -> int:
    async with session.get(url, headers={key.replace("_", "-"): value for key, value in headers.items()}) as answer:
        return answer.status


async def test_nobody_comes_in_without_the_address_and_the_address_is_good_once(house: House) -> None:
    address = house.served.address
    async with browser() as stranger, browser() as clerk:
        for path in ("/", "/ws", "/static/js/textual.js", "/?key=", "/?key=guessed"):
            assert await status(stranger, house.url + path) == 403, path
        assert await status(clerk, address) == 200
        assert await status(clerk, house.url + "/") == 200
        assert await status(stranger, address) == 403
        assert await status(stranger, house.url + "/") == 403


async def test_pages_of_others_and_other_names_of_this_machine_stay_outside(house: House) -> None:
    address = house.served.address
    async with browser() as clerk:
        assert await status(clerk, address, Host="evil.example") == 403
        assert await status(clerk, address) == 200, "the key was not used up by somebody who was not let in"
        assert await status(clerk, house.url + "/", Origin="http://evil.example") == 403
        assert await status(clerk, house.url + "/ws", Origin="http://evil.example") == 403
        assert await status(clerk, house.url + "/", Host="evil.example") == 403


async def test_it_listens_on_loopback_and_the_page_is_kept_nowhere(house: House) -> None:
    assert house.served.host == "127.0.0.1"
    async with browser() as clerk, clerk.get(house.served.address) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert "key=" not in str(answer.url)
        cookie = answer.history[0].headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


def test_options_are_passed_on_as_they_were_given() -> None:
    assert arguments_of(office="HALL", demo=True, kiosk="", card_api=None, issuance_api="h:1") == [
        "--office", "HALL", "--demo", "--issuance-api", "h:1",
    ]  # fmt: skip
