"""Hand a card over: who took it, the old card, and the PIN that its holder keys in."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Button, Footer, Input, Static

from cli.terminal.dialog import Choice, Dialog
from cli.terminal.forms import Pin, Presenting
from onecard.issuance.v1 import issuance_pb2 as messages


class HandOver(Dialog["messages.HandedOver | str"]):
    """The card is ready; or the applicant is not there any more."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.hand_over"),
        Binding("escape", "leave", "key.give_up"),
    ]

    def __init__(self, *, old_card_wanted: bool) -> None:
        super().__init__()
        self._old_card_wanted = old_card_wanted

    def compose(self) -> ComposeResult:
        """Who stands here, and what is given back."""
        t = self.texts
        with Vertical(classes="dialog wide"):
            yield Static(t("hand.told"), classes="headline", markup=False)
            if self._old_card_wanted:
                yield Static(t("hand.old_card"), classes="hint", markup=False)
            with VerticalScroll(can_focus=False, classes="inner"):
                yield Presenting(t, old_card=self._old_card_wanted)
                yield Pin(t, wanted=False)
            yield Static(id="fault", markup=False)
            yield Button(t("key.hand_over"), id="go", variant="primary")
            yield Footer(show_command_palette=False, compact=True)

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """It is handed over."""
        pin = self.query_one(Pin)
        for fault in pin.faults():
            self.query_one("#fault", Static).update(f"✗ {fault}")
            return
        presented = self.query_one(Presenting).presented()
        self.dismiss(messages.HandedOver(presented=presented, new_pin=pin.take()))

    def action_leave(self) -> None:
        """Why not?"""

        def told(reason: str | None) -> None:
            if reason and reason != "back":
                self.dismiss(reason)

        options = {key: self.texts(f"give_up.{key}") for key in ("left", "broken", "stop")}
        self.app.push_screen(Choice(self.texts("give_up.why"), {"back": self.texts("key.back"), **options}), told)
