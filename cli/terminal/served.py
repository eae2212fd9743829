"""The same application in a browser of this machine: on loopback alone, behind an address that is good once."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from textual_serve.server import Server

HOST: Final = "127.0.0.1"
DOTS: Final = 16
LARGE_DOTS: Final = 26
"""The size of type: a kiosk's is large."""
_LEAVING_SECONDS: Final = 5.0
"""For an application to sign out and end."""
_COOKIE: Final = "onecard-window"
_ASKED: Final = "key"
_WEBSOCKET: Final = "/ws"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Who comes with the address first gets a cookie; nobody else gets in, and the address is used up."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self.key = secrets.token_urlsafe(24)
        self._hosts = hosts
        self._session = ""

    def lets_in(self, request: web.Request) -> bool:
        """By the cookie; from pages of our own alone. Every browser says of a websocket which page opens it."""
        origin = request.headers.get("Origin", "")
        if request.path == _WEBSOCKET and not origin:
            return False
        if request.headers.get("Host", "") not in self._hosts or (origin and origin.removeprefix("http://") not in self._hosts):
            return False
        return bool(self._session) and hmac.compare_digest(request.cookies.get(_COOKIE, ""), self._session)

    def opens_for(self, request: web.Request) -> bool:
        """By the key in the address, which is used up."""
        if request.headers.get("Host", "") not in self._hosts:
            return False
        given = request.query.get(_ASKED, "")
        if not self.key or not hmac.compare_digest(given, self.key):
            return False
        self.key, self._session = "", secrets.token_urlsafe(24)
        return True

    def cookie(self, answer: web.StreamResponse) -> None:
        """For the one browser."""
        answer.set_cookie(_COOKIE, self._session, httponly=True, samesite="Strict", path="/")


class Served(Server):
    """Behind a door."""

    def __init__(self, command: str, port: int, title: str, dots: int = DOTS) -> None:
        super().__init__(command, host=HOST, port=port, title=title)
        address = f"{HOST}:{port}"
        self._dots = dots
        self._pages: set[asyncio.Task[object]] = set()
        self.door = Door(frozenset({address}))
        self.public_url = f"http://{address}"

    @property
    def address(self) -> str:
        """To be opened once."""
        return f"{self.public_url}/?{_ASKED}={self.door.key}"

    def initialize_logging(self) -> None:
        """Nothing of what goes to and fro is written down."""
        logging.disable(logging.INFO)

    async def on_startup(self, app: web.Application) -> None:
        """Where it is is said when it listens."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Whoever is still there is signed out, and nobody waits for their browser."""
        for page in self._pages:
            page.cancel()
        if self._pages:
            await asyncio.wait(self._pages, timeout=_LEAVING_SECONDS)

    def serve(self, debug: bool = False) -> None:
        """Until it is interrupted."""
        self.initialize_logging()
        web.run_app(
            self._make_app(),
            host=HOST,
            port=self.port,
            shutdown_timeout=_LEAVING_SECONDS,
            access_log=None,
            print=lambda *_: print(self.address, flush=True),
        )

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One page, one application."""
        page = asyncio.current_task()
        assert page is not None
        self._pages.add(page)
        try:
            return await super().handle_websocket(request)
        finally:
            self._pages.discard(page)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()

        @web.middleware
        async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/" and self.door.opens_for(request):
                answer: web.StreamResponse = web.Response(status=303, headers={"Location": f"/?fontsize={self._dots}"})
                self.door.cookie(answer)
                return answer
            if not self.door.lets_in(request):
                raise web.HTTPForbidden
            answer = await handler(request)
            if not answer.prepared:
                answer.headers["Cache-Control"] = "no-store"
                answer.headers["Referrer-Policy"] = "no-referrer"
            return answer

        app.middlewares.append(door)
        return app


def serve(arguments: list[str], port: int, *, large: bool = False) -> None:
    """Until it is interrupted; each visit of the page is an application of its own, which begins with signing in."""
    command = "exec " + shlex.join([sys.executable, "-m", "cli.terminal", *arguments])
    Served(command, port or free_port(), "onecard window", LARGE_DOTS if large else DOTS).serve()


def free_port() -> int:
    """Any."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def arguments_of(**options: Any) -> list[str]:
    """As on a command line."""
    told: list[str] = []
    for name, value in options.items():
        if value is True:
            told.append(f"--{name.replace('_', '-')}")
        elif value:
            told += [f"--{name.replace('_', '-')}", str(value)]
    return told
