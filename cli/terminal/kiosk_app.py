"""The application at a kiosk: residents act for themselves, and nothing stays of whoever has gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App

from cli.terminal.app import THEME
from cli.terminal.screens.kiosk_welcome import Countdown, Welcome
from cli.terminal.texts import LANGUAGES, Texts
from sdk.merchant.access import Line
from sdk.window.kiosk import Kiosk

IDLE_SECONDS: Final = 60.0
"""Without a touch, until everything is cleared."""
TOLD_SECONDS: Final = 15.0
"""Of these, the last ones are counted down."""
TICK_SECONDS: Final = 0.5
CLEAR_SCROLLBACK: Final = "\x1b[3J"


class KioskApp(App[None]):
    """One resident after another."""

    CSS_PATH = ["window.tcss", "kiosk.tcss"]  # noqa: RUF012 - as the library declares it
    ENABLE_COMMAND_PALETTE = False
    VERTICAL_BREAKPOINTS = [(0, "-low"), (44, "-high")]  # noqa: RUF012 - as the library declares it
    BINDINGS: ClassVar[list[Any]] = []

    def __init__(
        self,
        line: Line,
        language: str = "zh",
        *,
        place: str = "",
        patience_seconds: float = 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.kiosk = Kiosk(line, patience_seconds=patience_seconds)
        self.place = place
        self._first_language = language
        self.texts = Texts(language)
        self._clock = clock
        self._touched = clock()

    def on_mount(self) -> None:
        """Nobody stands here yet."""
        self.register_theme(THEME)
        self.theme = "onecard"
        self.title = self.texts("kiosk.title")
        self.push_screen(Welcome())
        self.set_interval(TICK_SECONDS, self.watch_idle)

    async def on_event(self, event: events.Event) -> None:
        """Every touch says that somebody is there."""
        if isinstance(event, events.Key | events.MouseDown | events.MouseMove | events.Paste):
            self._touched = self._clock()
            self._count_down(0)
        await super().on_event(event)

    def speak(self, language: str) -> None:
        """From now on, until whoever stands here has gone."""
        self.texts = Texts(language)
        self.title = self.texts("kiosk.title")

    @property
    def languages(self) -> tuple[str, ...]:
        """All there are."""
        return LANGUAGES

    def watch_idle(self) -> None:
        """Count down, then clear."""
        if isinstance(self.screen, Welcome):
            return
        left = IDLE_SECONDS - (self._clock() - self._touched)
        if left <= 0:
            self.clear()
        else:
            self._count_down(left if left <= TOLD_SECONDS else 0)

    def _count_down(self, left: float) -> None:
        for shown in self.screen.query(Countdown) if self.screen_stack else ():
            shown.count(left)

    def to_sign_in(self, why: str = "") -> None:
        """The session has ended: whoever stands here shows the card anew."""
        self.clear()

    def clear(self) -> None:
        """Screen, scrollback, clipboard and login."""
        self._clipboard = ""
        self.end_session()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.speak(self._first_language)
        self.push_screen(Welcome())
        if self._driver is not None:
            self._driver.write(CLEAR_SCROLLBACK)
        self._touched = self._clock()

    def end_session(self) -> None:
        """Here at once; the platform hears of it in the background."""
        self.run_worker(self.kiosk.forget(), thread=True, group="leave", exit_on_error=False)

    def _fatal_error(self) -> None:
        """A fault of ours says nothing of anybody."""
        fault = getattr(self._exception, "error", self._exception)
        self._exit_renderables.append(self.texts("advice.fault", kind=type(fault).__name__))
        self._close_messages_no_wait()
