"""What all screens share: the bar above, the line that says how it went, the keys below; and how a question is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Static

from cli.terminal.advice import EXPECTED, SIGN_IN_ANEW, advice_on
from cli.terminal.texts import Texts
from sdk.till.errors import NotAcceptedError

if TYPE_CHECKING:
    from cli.terminal.app import WindowApp
    from cli.terminal.session import Desk

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Page")


class Bar(Horizontal):
    """Where we are, and who works here."""

    def __init__(self, title: str, right: str) -> None:
        super().__init__(Static(title, classes="title", markup=False), Static(right, classes="right", markup=False))


class Page(Screen[None]):
    """One screen. Everything that blocks goes through `ask`, in a job."""

    TITLE_KEY: ClassVar[str] = ""
    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", "key.back")]
    AUTO_FOCUS = "Input, Select, DataTable, OptionList, Button"

    def compose(self) -> ComposeResult:
        """The frame; `body` is each screen's own."""
        yield Bar(self.title_text(), self.right_text())
        with VerticalScroll(id="body", can_focus=False):
            yield from self.body()
        yield Static(id="said", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """What this screen is about."""
        yield from ()

    def title_text(self) -> str:
        """Above, on the left."""
        return f"{self.texts('app.title')} · {self.texts(self.TITLE_KEY)}"

    def right_text(self) -> str:
        """Above, on the right."""
        login = self.desk.login
        return f"{self.desk.place}  {login}" if login else self.desk.place

    @property
    def window_app(self) -> WindowApp:
        """Ours."""
        return cast("WindowApp", self.app)

    @property
    def desk(self) -> Desk:
        """Whom it asks."""
        return self.window_app.desk

    @property
    def texts(self) -> Texts:
        """In the language of this application."""
        return self.window_app.texts

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys, with what they do in words."""

        def told(active: ActiveBinding) -> ActiveBinding:
            key = active.binding.description
            return active._replace(binding=replace(active.binding, description=self.texts(key) if "." in key else key))

        return {key: told(active) for key, active in super().active_bindings.items()}

    # How it went

    def say(self, text: str, kind: str = "info") -> None:
        """Below, until something else is to be said. `kind`: info, done, warn, error."""
        if not self.is_attached:
            return
        line = self.query_one("#said", Static)
        line.update({"done": "✓ ", "warn": "! ", "error": "✗ "}.get(kind, "") + text if text else "")
        line.set_classes(kind)

    def say_error(self, error: BaseException) -> None:
        """Why it did not go on, and what to do next."""
        self.say(advice_on(error, self.texts), "error")
        if isinstance(error, NotAcceptedError) and error.reason in SIGN_IN_ANEW:
            self.window_app.to_sign_in(advice_on(error, self.texts))

    async def ask(self, work: Callable[[], R]) -> R:
        """The answer to what blocks, from a thread of its own."""
        return await asyncio.to_thread(work)

    # Moving about

    def action_leave(self) -> None:
        """Back to where we came from."""
        if not self.busy:
            self.app.pop_screen()

    busy: bool = False


def job(
    method: Callable[Concatenate[S, P], Awaitable[None]],
) -> Callable[Concatenate[S, P], None]:
    """Makes a job of what asks: one at a time on a screen, in the background, and what went wrong is said."""

    async def do(page: S, *args: P.args, **kwargs: P.kwargs) -> None:
        page.say(page.texts("asking"), "info")
        try:
            await method(page, *args, **kwargs)
            if page.is_attached and page.query_one("#said", Static).has_class("info"):
                page.say("")
        except EXPECTED as error:
            if page.is_attached:
                page.say_error(error)
        finally:
            page.busy = False
            page.set_class(False, "busy")

    @wraps(method)
    def start(page: S, *args: P.args, **kwargs: P.kwargs) -> None:
        if page.busy:
            return
        page.busy = True
        page.set_class(True, "busy")
        page.run_worker(do(page, *args, **kwargs), group="job", exit_on_error=True)

    return cast("Callable[Concatenate[S, P], None]", start)


def field(label: str, widget: Widget, *, note: str = "") -> Horizontal:
    """A line of a form."""
    parts: list[Widget] = [Static(label, classes="label", markup=False), widget]
    if note:
        parts.append(Static(note, classes="note", markup=False))
    return Horizontal(*parts, classes="field")
