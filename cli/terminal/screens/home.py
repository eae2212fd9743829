"""What can be done here, and how much waits."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cli.terminal.page import Page, job
from onecard.card.v1.window_pb2 import WorkKind

TASKS: Final = {
    "find": "f2",
    "apply": "f3",
    "issue": "f4",
    "top_up": "f5",
    "work": "f6",
    "approvals": "f7",
    "check": "f8",
    "receipt": "f9",
    "shift": "f11",
}
"""What there is, by its key."""


class Home(Page):
    """The first screen of a shift."""

    TITLE_KEY = "home.title"
    BINDINGS: ClassVar[list[Any]] = [
        *(Binding(key, f"open('{task}')", f"key.{task}", show=task in ("find", "apply", "issue", "work"))
          for task, key in TASKS.items()),
        Binding("f12", "lock", "key.lock"),
        Binding("f10", "sign_out", "key.sign_out"),
        Binding("escape", "leave", show=False),
    ]  # fmt: skip

    def body(self) -> ComposeResult:
        """Tasks on the left; on the right what waits at this outlet."""
        with Horizontal(classes="columns"):
            yield OptionList(*self._tasks(), id="tasks")
            with Vertical(classes="aside"):
                yield Static(self.texts("home.waiting"), classes="caption", markup=False)
                yield Static("…", id="waiting", markup=False)
                yield Static(self.texts("home.keys"), classes="hint", markup=False)

    def _tasks(self) -> list[Option]:
        return [Option(f"{key.upper():>4}  {self.texts(f'task.{task}')}", id=task) for task, key in TASKS.items()]

    def on_mount(self) -> None:
        """Count at once."""
        self.query_one("#tasks").focus()

    def on_screen_resume(self) -> None:
        """Count again whenever somebody comes back."""
        if self.desk.session:
            self._count()

    def action_leave(self) -> None:
        """There is nothing behind it."""

    def action_lock(self) -> None:
        """The clerk leaves the desk for a moment."""
        self.window_app.lock()

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        """As by its key."""
        self.action_open(str(event.option_id))

    def action_open(self, task: str) -> None:
        """Begin something."""
        from cli.terminal.screens import opened  # noqa: PLC0415 - screens lead to each other

        self.app.push_screen(opened.page_of(task))

    @job
    async def action_sign_out(self) -> None:
        """The clerk goes."""
        await self.ask(self.desk.sign_out)
        self.window_app.to_sign_in()

    @job
    async def _count(self) -> None:
        found = await self.ask(lambda: Counter(one.kind for one in self.desk.window.list_work()))
        lines = [f"{self.texts.of('work', WorkKind.Name(kind)[10:])}  {number}" for kind, number in sorted(found.items())]
        self.query_one("#waiting", Static).update("\n".join(lines) or self.texts("home.nothing"))
