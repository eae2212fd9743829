"""What a holder takes home from a visit: shown, printed, and once more later."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from cli.terminal.page import Page, field, job
from onecard.card.v1 import window_pb2 as messages
from sdk.window.devices.receipt import receipt_text


class Receipt(Page):
    """As it stands on the paper. Nothing on it is personal."""

    TITLE_KEY = "receipt.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "print", "key.print"),
        Binding("f8", "keep", "key.save"),
        Binding("enter", "leave", "key.on"),
    ]

    def __init__(self, receipt: messages.VisitReceipt) -> None:
        super().__init__()
        self._receipt = receipt

    def body(self) -> ComposeResult:
        """The paper; what only the clerk has to know stands beside it."""
        yield Static(self._text(), id="paper", markup=False)
        notes = [note for line in self._receipt.lines for note in (*line.not_carried, *line.hints)]
        if notes:
            yield Static("\n".join(notes), classes="notes", markup=False)

    def _text(self) -> str:
        return receipt_text(self._receipt, self.window_app.authority or self.texts("receipt.authority"))

    @job
    async def action_print(self) -> None:
        """To the printer of this machine, where there is one."""
        printer = which("lp")
        if printer is None:
            self.say(self.texts("receipt.no_printer"), "warn")
            return
        done = await self.ask(
            lambda: subprocess.run([printer, "-s"], input=self._text().encode(), check=False, capture_output=True, timeout=20)
        )
        self.say(self.texts("receipt.no_printer"), "warn") if done.returncode else self.say(
            self.texts("receipt.printed"), "done"
        )

    @job
    async def action_keep(self) -> None:
        """Into a file of the clerk's alone."""
        file = Path(f"receipt-{self._receipt.visit_number}.txt")

        def keep() -> None:
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as kept:
                kept.write(self._text())

        await self.ask(keep)
        self.say(self.texts("receipt.kept", file=file), "done")


class FindReceipt(Page):
    """Once more, by its number."""

    TITLE_KEY = "receipt.title"
    BINDINGS: ClassVar[list[Any]] = [Binding("f9", "go", "key.find")]

    def body(self) -> ComposeResult:
        """One field."""
        with Vertical(classes="card"):
            yield field(self.texts("receipt.number"), Input(id="visit", type="integer"))

    @on(Input.Submitted)
    def action_go(self) -> None:
        """Find it."""
        number = self.query_one("#visit", Input).value
        if number.isdecimal():
            self._find(int(number))

    @job
    async def _find(self, number: int) -> None:
        found = await self.ask(lambda: self.desk.window.receipt(number))
        self.app.switch_screen(Receipt(found))
