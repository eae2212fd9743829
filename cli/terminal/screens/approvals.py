"""A second person's word and signature: approvals of the card service, countersignatures of issuance."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, Input, Static

from cli.terminal import words
from cli.terminal.advice import refused
from cli.terminal.dialog import Dialog
from cli.terminal.page import Page, field, job
from sdk.till.errors import NotAcceptedError

_SHORT: Final = 40
"""Characters in a row of the table."""


class Why(Dialog[str]):
    """A rejection says why."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", "key.back")]

    def compose(self) -> ComposeResult:
        """One field."""
        with Vertical(classes="dialog"):
            yield Static(self.texts("approval.why"), classes="headline", markup=False)
            yield field(self.texts("approval.reason"), Input(id="why", max_length=200))
            yield Footer(show_command_palette=False, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter rejects."""
        if event.value.strip():
            self.dismiss(event.value.strip())


class Approvals(Page):
    """Nobody decides about their own."""

    TITLE_KEY = "approval.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "decide(True)", "key.approve"),
        Binding("f8", "decide(False)", "key.reject"),
        Binding("f2", "again", "key.refresh"),
    ]

    def body(self) -> ComposeResult:
        """One table for both, and all that is to be signed of the row where the cursor is."""
        yield DataTable(id="waiting", cursor_type="row")
        yield Static(id="what", classes="card", markup=False)
        yield Static(self.texts("approval.told"), classes="hint", markup=False)

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, str] = {}
        """By the key of its row."""

    def on_mount(self) -> None:
        """Ask at once."""
        columns = ("number", "act", "what", "who", "where", "until")
        self.query_one("#waiting", DataTable).add_columns(*(self.texts(f"approval.{column}") for column in columns))
        self.action_again()

    @job
    async def action_again(self) -> None:
        """As it is now."""
        await self._read()

    async def _read(self) -> None:
        rows = await self.ask(self._rows)
        table = self.query_one("#waiting", DataTable)
        table.clear()
        self.query_one("#what", Static).display = bool(rows)
        for key, row in rows.items():
            table.add_row(*row, key=key)
        if rows:
            table.focus()
        else:
            self.say(self.texts("home.nothing"), "done")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Nobody signs what they were not shown."""
        self.query_one("#what", Static).update(self._told.get(str(event.row_key.value), ""))

    def _rows(self) -> dict[str, tuple[str, ...]]:
        waiting: dict[str, Any] = {f"A{one.approval_id}": one for one in self.desk.window.list_approvals()}
        with suppress(NotAcceptedError):  # there is no issuance, or it is not for this role
            waiting |= {f"C{one.countersignature_id}": one for one in self.desk.blanks.list_countersignatures()}
        self._told = {key: self._all_of(one.detail) for key, one in waiting.items()}
        return {key: self._row(one, int(key[1:])) for key, one in waiting.items()}

    def _row(self, one: Any, number: int) -> tuple[str, ...]:
        detail = self._all_of(one.detail).replace("\n", " ")
        where = one.terminal.rsplit("/", 1)[-1]
        asked_by = str(one.requested_by_staff_id)
        return (
            str(number),
            self.texts.of("approved_act", one.act),
            detail if len(detail) <= _SHORT else detail[:_SHORT] + "…",
            asked_by,
            where,
            words.time_of(one.expire_time_ms)[5:],
        )

    def _all_of(self, detail: Mapping[str, str]) -> str:
        return "\n".join(f"{self.texts.of('detail', key)} {value}" for key, value in sorted(detail.items()))

    def action_decide(self, approve: bool) -> None:
        """On the row where the cursor is."""
        table = self.query_one("#waiting", DataTable)
        if not table.row_count or table.cursor_row < 0:
            return
        key = str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)
        if approve:
            self._decide(key, "")
            return

        def told(reason: str | None) -> None:
            if reason:
                self._decide(key, reason)

        self.app.push_screen(Why(), told)

    @job
    async def _decide(self, key: str, reason: str) -> None:
        number = int(key[1:])
        if key.startswith("A"):
            window = self.desk.window
            answer = await self.ask(lambda: window.decide_approval(number, approve=not reason, reason=reason))
            refusal: Any = answer.refusal if answer.HasField("refusal") else None
        else:
            refusal = await self.ask(lambda: self.desk.blanks.countersign(number, sign=not reason, reason=reason))
        if refusal:
            self.say(refused(refusal, self.texts), "warn")
            return
        await self._read()
        self.say(self.texts("approval.rejected" if reason else "approval.approved", number=number), "done")
