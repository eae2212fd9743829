"""Who works here: staff number, password, second factor."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Button, Input, Static

from cli.terminal.page import Page, field, job
from cli.terminal.screens.home import Home
from sdk.till.errors import NotAcceptedError


class SignIn(Page):
    """The first screen."""

    TITLE_KEY = "sign_in.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.sign_in"),
        Binding("f2", "help_in", "key.demo"),
        Binding("f10", "quit", "key.quit"),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, why: str = "") -> None:
        super().__init__()
        self._why = why
        self._helper = -1

    def body(self) -> ComposeResult:
        """The form; a new password is asked for at the first sign-in alone."""
        with Vertical(classes="card"):
            yield Static(self.texts("sign_in.welcome"), classes="headline", markup=False)
            yield field(self.texts("sign_in.login"), Input(id="login"))
            yield field(self.texts("sign_in.password"), Input(id="password", password=True))
            yield field(self.texts("sign_in.code"), Input(id="code", max_length=6, type="integer", password=True))
            new = field(self.texts("sign_in.new_password"), Input(id="new", password=True))
            again = field(self.texts("sign_in.again"), Input(id="again", password=True))
            for line in (new, again):
                line.add_class("first")
                yield line
            yield Button(self.texts("key.sign_in"), id="go", variant="primary")
            if self.window_app.helpers:
                yield Static(self.texts("sign_in.demo"), classes="hint", markup=False)

    def on_mount(self) -> None:
        """Say why it is asked again."""
        if self._why:
            self.say(self._why, "warn")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Demo accounts are offered where there are any."""
        return bool(self.window_app.helpers) if action == "help_in" else True

    @on(Input.Submitted)
    def next_field(self, event: Input.Submitted) -> None:
        """Enter leads from field to field, and signs in behind the last."""
        if event.input.id == "code" or (event.input.id == "again"):
            self.action_go()
        else:
            self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Sign in."""
        told = {name: self.query_one(f"#{name}", Input).value for name in ("login", "password", "code", "new", "again")}
        if told["new"] != told["again"]:
            self.say(self.texts("sign_in.differ"), "error")
        elif not (told["login"] and told["password"] and told["code"]):
            self.say(self.texts("sign_in.all"), "warn")
        else:
            self._sign_in(told["login"].strip(), told["password"], told["code"], told["new"])

    def action_help_in(self) -> None:
        """Fill in a demo account, and at the next touch the next one."""
        self._helper = (self._helper + 1) % len(self.window_app.helpers)
        helper = self.window_app.helpers[self._helper]
        for name, value in (("login", helper.login), ("password", helper.password), ("code", helper.code())):
            self.query_one(f"#{name}", Input).value = value
        self.query_one("#go").focus()

    def action_leave(self) -> None:
        """There is nothing behind it."""

    async def action_quit(self) -> None:
        """The end."""
        self.app.exit()

    @job
    async def _sign_in(self, login: str, password: str, code: str, new: str) -> None:
        try:
            await self.ask(lambda: self.desk.sign_in(login, password, code, new))
        except NotAcceptedError as error:
            self.query_one("#code", Input).value = ""
            if error.reason == "PASSWORD_MUST_CHANGE":
                self.add_class("first_time")
                self.query_one("#new").focus()
            raise
        for name in ("password", "code", "new", "again"):
            self.query_one(f"#{name}", Input).value = ""
        self.app.switch_screen(Home())
