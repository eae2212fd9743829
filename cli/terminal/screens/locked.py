"""Nobody was there for a while: everything is covered until the password is given."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from cli.terminal.page import Page, field, job

TRIES: Final = 3


class Locked(Page):
    """The same person goes on, or signs out."""

    TITLE_KEY = "locked.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f10", "sign_out", "key.sign_out"),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._tries = TRIES

    def body(self) -> ComposeResult:
        """One field."""
        with Vertical(classes="card"):
            yield Static(self.texts("locked.told"), classes="headline", markup=False)
            yield field(self.texts("sign_in.password"), Input(id="password", password=True))

    def action_leave(self) -> None:
        """Not without the password."""

    @on(Input.Submitted)
    def unlock(self, event: Input.Submitted) -> None:
        """Compare; too many wrong ones sign out."""
        password, event.input.value = event.input.value, ""
        if self.desk.is_password(password):
            self.app.pop_screen()
            return
        self._tries -= 1
        if not self._tries:
            self.action_sign_out()
            return
        self.say(self.texts("locked.wrong", left=self._tries), "error")

    @job
    async def action_sign_out(self) -> None:
        """Somebody else takes the window."""
        await self.ask(self.desk.sign_out)
        self.window_app.to_sign_in()
