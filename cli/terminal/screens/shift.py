"""The end of a shift (结班): count first, then compare, then close."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Button, Input, Static

from cli.terminal import words
from cli.terminal.advice import refused
from cli.terminal.page import Page, field, job
from cli.terminal.session import Once
from onecard.issuance.v1 import blanks_pb2 as messages

_COUNTED = ("unused", "spoiled", "lying")
_ROWS = ("opening", "received", "issued", "spoiled", "transferred", "returned", "missing", "on_hand", "lying")


class CloseShift(Page):
    """What the books say is shown only behind what was counted."""

    TITLE_KEY = "shift.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "count", "key.count"),
        Binding("f8", "close", "key.close_shift"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._counts, self._closes = Once(), Once()
        self._count = 0
        """Under which number it was counted."""

    def body(self) -> ComposeResult:
        """The count on top, the balance below."""
        t = self.texts
        with Vertical(classes="card"):
            yield Static(t("shift.told"), classes="headline", markup=False)
            for name in _COUNTED:
                yield field(t(f"shift.{name}"), Input(id=name, type="integer", placeholder="0"))
            yield field(t("shift.cash"), Input(id="cash", placeholder="0.00"), note=t("top_up.yuan"))
            yield Button(t("key.count"), id="count", variant="primary")
        with Vertical(id="balance", classes="card"):
            yield Static(id="books", markup=False)
            yield field(t("shift.reason"), Input(id="reason", max_length=200), note=t("shift.reason_note"))
            yield Button(t("key.close_shift"), id="close", variant="primary")

    def on_mount(self) -> None:
        """Nothing is compared yet."""
        self.query_one("#balance").display = False

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#count")
    def action_count(self) -> None:
        """Say what was counted."""
        told = {name: self.query_one(f"#{name}", Input).value.strip() for name in _COUNTED}
        fen = words.fen_of(self.query_one("#cash", Input).value or "0")
        if not told["unused"] or fen is None:
            self.say(self.texts("shift.wanting"), "warn")
            return
        self._say_count({name: int(value or 0) for name, value in told.items()}, fen)

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        """Close it, as it was counted."""
        if self._count:
            self._close(self.query_one("#reason", Input).value.strip())
        else:
            self.say(self.texts("shift.first"), "warn")

    @job
    async def _say_count(self, counted: dict[str, int], fen: int) -> None:
        number = self._counts.id_for(tuple(counted.items()), fen)
        answer = await self.ask(lambda: self.desk.blanks.count_shift(**counted, cash_fen=fen, request_id=number))
        self._counts.settled()
        self._count = answer.shift_count_id
        if answer.balance:
            self._show(answer.balance)

    def _show(self, balance: messages.ShiftBalance) -> None:
        t = self.texts
        table = Table.grid(padding=(0, 3))
        for column in range(3):
            table.add_column(justify="right" if column else "left")
        table.add_row("", t("shift.books"), t("shift.difference"), style="#8fb8de")
        differences = {
            "on_hand": balance.unused_difference + balance.lying_difference,
            "lying": balance.lying_difference,
            "spoiled": balance.spoiled_difference,
        }
        for name in _ROWS:
            table.add_row(t(f"shift.{name}"), str(getattr(balance, name)), _signed(differences.get(name, 0)))
        table.add_row(t("shift.cash"), words.yuan(balance.cash_fen), _signed_yuan(balance.cash_difference_fen))
        self.query_one("#books", Static).update(table)
        self.query_one("#balance").display = True
        agrees = not any(differences.values()) and not balance.cash_difference_fen and not balance.unfinished
        closes = agrees and not balance.differed_before
        told = "shift.agrees" if closes else "shift.agrees_now" if agrees else "shift.differs"
        self.say(t(told), "done" if closes else "warn")
        self.query_one("#close" if closes else "#reason").focus()

    @job
    async def _close(self, reason: str) -> None:
        number = self._closes.id_for(self._count, reason)
        answer = await self.ask(lambda: self.desk.blanks.close_shift(self._count, reason=reason, request_id=number))
        if answer.refusal:
            told = refused(answer.refusal, self.texts)
            if answer.countersignature_id:
                told += "\n" + self.texts("shift.asked", number=answer.countersignature_id)
            else:
                self._closes.settled()
            self.say(told, "warn")
            return
        self._closes.settled()
        self.say(self.texts("shift.closed"), "done")


def _signed(difference: int) -> str:
    return f"[bold #ff8a80]{difference:+}[/]" if difference else "0"


def _signed_yuan(fen: int) -> str:
    return f"[bold #ff8a80]{'+' if fen > 0 else ''}{words.yuan(fen)}[/]" if fen else "0.00"
