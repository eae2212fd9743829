"""The application at a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from textual import events
from textual.app import App
from textual.theme import Theme

from cli.terminal.screens.locked import Locked
from cli.terminal.screens.sign_in import SignIn
from cli.terminal.session import Desk
from cli.terminal.texts import Texts

LOCK_SECONDS: Final = 300.0
"""Without a key, until the screen is locked."""
TICK_SECONDS: Final = 1.0

THEME: Final = Theme(
    name="onecard",
    primary="#4fb3bf",
    secondary="#8fb8de",
    accent="#f0b429",
    foreground="#e6eef0",
    background="#10181c",
    surface="#162227",
    panel="#1f3038",
    success="#6cc788",
    warning="#f0b429",
    error="#ff8a80",
    dark=True,
    variables={
        "footer-background": "#1f3038",
        "footer-key-foreground": "#f0b429",
        "footer-description-foreground": "#e6eef0",
        "block-cursor-background": "#2f7f8a",
        "block-cursor-foreground": "#ffffff",
        "input-selection-background": "#2f7f8a 60%",
    },
)


class Helper(NamedTuple):
    """A demo account that signs in by a key."""

    login: str
    password: str
    code: Callable[[], str]


class WindowApp(App[None]):
    """A clerk's window."""

    CSS_PATH = "window.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as the library declares it
    BINDINGS: ClassVar[list[Any]] = []

    def __init__(
        self,
        desk: Desk,
        language: str = "zh",
        *,
        authority: str = "",
        helpers: Sequence[Helper] = (),
        lock_seconds: float = LOCK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.desk = desk
        self.texts = Texts(language)
        self.authority = authority
        self.helpers = helpers
        self._lock_seconds = lock_seconds
        self._clock = clock
        self._touched = clock()
        self.changed = False
        """Something was done: what is shown of a holder is asked again."""
        self.told = ""
        """How it went, for the screen that comes next."""

    def on_mount(self) -> None:
        """Begin with whoever signs in."""
        self.register_theme(THEME)
        self.theme = "onecard"
        self.title = self.texts("app.title")
        self.push_screen(SignIn())
        self.set_interval(TICK_SECONDS, self.watch_idle)

    async def on_event(self, event: events.Event) -> None:
        """Every key and touch says that somebody is there."""
        if isinstance(event, events.Key | events.MouseDown | events.Paste):
            self._touched = self._clock()
        await super().on_event(event)

    def get_key_display(self, binding: Any) -> str:
        """As keyboards have it."""
        key: str = binding.key
        names = {"escape": "Esc", "enter": "Enter"}
        return names.get(key, key.upper() if key.startswith("f") else key)

    def watch_idle(self) -> None:
        """Lock the screen when nobody was there for so long."""
        if self.desk.session and self._clock() - self._touched >= self._lock_seconds:
            self.lock()

    def lock(self) -> None:
        """What is on the screen is covered, until the password is given again."""
        if self.desk.session and not isinstance(self.screen, Locked):
            self.forget()
            self.push_screen(Locked())

    def forget(self) -> None:
        """What was copied stays nowhere."""
        self._clipboard = ""

    def _fatal_error(self) -> None:
        """A fault of ours says nothing of anybody: no values of variables on the screen that stays."""
        fault = getattr(self._exception, "error", self._exception)  # of a job, it is wrapped
        self._exit_renderables.append(self.texts("advice.fault", kind=type(fault).__name__))
        self._close_messages_no_wait()

    def to_sign_in(self, why: str = "") -> None:
        """Nobody is signed in any more; every screen goes."""
        self.forget()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.push_screen(SignIn(why))
