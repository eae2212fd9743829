"""What names and numbers are wanted for."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Footer, Input, Static

from cli.terminal.dialog import Dialog
from cli.terminal.page import field


class Purpose(Dialog[str]):
    """A word or two; it is written down with who asked."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", "key.back")]

    def compose(self) -> ComposeResult:
        """One field."""
        with Vertical(classes="dialog"):
            yield Static(self.texts("purpose.told"), classes="headline", markup=False)
            yield field(self.texts("purpose.what"), Input(id="purpose", max_length=64))
            yield Footer(show_command_palette=False, compact=True)

    @on(Input.Submitted)
    def told(self, event: Input.Submitted) -> None:
        """Enter asks."""
        self.dismiss(event.value.strip())
