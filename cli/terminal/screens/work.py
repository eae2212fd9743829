"""What waits at this outlet, and the way to each case."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Static

from cli.terminal import words
from cli.terminal.page import Page, job
from cli.terminal.screens.approvals import Approvals
from cli.terminal.screens.holder import Holder
from onecard.card.v1 import window_pb2 as messages


class Work(Page):
    """The longest first. Enter leads to the case."""

    TITLE_KEY = "work.title"
    BINDINGS: ClassVar[list[Any]] = [Binding("f2", "again", "key.refresh")]

    def __init__(self) -> None:
        super().__init__()
        self._items: list[messages.WorkItem] = []

    def body(self) -> ComposeResult:
        """One table."""
        yield DataTable(id="work", cursor_type="row")
        yield Static(id="bank", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Ask at once."""
        columns = ("what", "application", "card", "holder", "since", "until")
        self.query_one("#work", DataTable).add_columns(*(self.texts(f"work.{column}") for column in columns))

    def on_screen_resume(self) -> None:
        """A case that was settled is gone."""
        self.action_again()

    @job
    async def action_again(self) -> None:
        """As it is now."""
        window = self.desk.window
        self._items, bank = await self.ask(lambda: (list(window.list_work()), list(window.list_bank_work())))
        table = self.query_one("#work", DataTable)
        table.clear()
        for number, one in enumerate(self._items):
            kind = self.texts.of("work", messages.WorkKind.Name(one.kind).removeprefix("WORK_KIND_"))
            numbers = (str(each or "") for each in (one.application_id, one.card_id, one.holder_id))
            table.add_row(
                kind, *numbers, words.time_of(one.since_time_ms)[5:], words.time_of(one.due_time_ms)[5:], key=str(number)
            )
        told = [f"{one.application_id or one.card_id}  {one.cause.message}" for one in bank]
        self.query_one("#bank", Static).update("\n".join([self.texts("work.bank"), *told]) if told else "")
        if not self._items:
            self.say(self.texts("home.nothing"), "done")

    @on(DataTable.RowSelected)
    def to_case(self, event: DataTable.RowSelected) -> None:
        """Where it can be settled."""
        one = self._items[int(str(event.row_key.value))]
        if one.kind == messages.WORK_KIND_APPROVAL:
            self.app.push_screen(Approvals())
        elif one.holder_id:
            self._open(one.holder_id)
        elif one.application_id:
            self._open_application(one.application_id)

    @job
    async def _open(self, holder: int) -> None:
        found = await self.ask(lambda: self.desk.holder({"holder_id": holder}))
        self.app.push_screen(Holder(found))

    @job
    async def _open_application(self, application: int) -> None:
        window = self.desk.window
        found = await self.ask(lambda: self.desk.holder({"holder_id": window.application(application).application.holder_id}))
        self.app.push_screen(Holder(found))
