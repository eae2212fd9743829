"""Change what may be changed on a card that was issued (更新卡片): its PIN, or the days on its chip."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Button, Input, Select, Static

from cli.terminal.advice import refused
from cli.terminal.forms import Pin, Presenting, select
from cli.terminal.page import Page, field, job
from cli.terminal.session import Once
from onecard.card.v1 import cards_pb2 as cards

_WHAT = ("PIN", "VALIDITY")


class Update(Page):
    """With its holder there, the card in the reader, and a second person's word."""

    TITLE_KEY = "update.title"
    BINDINGS: ClassVar[list[Any]] = [Binding("f9", "go", "key.update")]

    def __init__(self, card_identifier: str) -> None:
        super().__init__()
        self._card_identifier = card_identifier
        self._asked = Once()
        self._pin = ""
        """Keyed in, and kept only while a second person is waited for."""

    def body(self) -> ComposeResult:
        """What, and on whose word."""
        t = self.texts
        with VerticalScroll(classes="card", can_focus=False):
            yield Static(t("update.told"), classes="headline", markup=False)
            yield field(t("check.identifier"), Static(self._card_identifier, markup=False))
            yield field(t("update.what"), select("what", [(t.of("update", what), what) for what in _WHAT]))
            yield Presenting(t)
            yield Pin(t, wanted=True)
            yield Button(t("key.update"), id="go", variant="primary")

    def on_unmount(self) -> None:
        """A PIN stays nowhere."""
        self._pin = ""

    @on(Select.Changed, "#what")
    def what_changed(self, event: Select.Changed) -> None:
        """Only a PIN is keyed in."""
        self.query_one(Pin).display = event.value == "PIN"

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Ask for it; the same again once it is signed."""
        what, pin = str(self.query_one("#what", Select).value), self.query_one(Pin)
        faults = list(pin.faults())
        if what == "PIN" and faults and (pin.touched or not self._pin):
            self.say(faults[0], "error")
            return
        self._change(what, pin.take() or self._pin, self.query_one(Presenting).presented())

    @job
    async def _change(self, what: str, pin: str, presented: cards.Presented) -> None:
        number, desk = self._asked.id_for(what, presented.SerializeToString()), self.desk
        self._pin = ""
        self.say(self.texts("issue.insert"))
        if what == "PIN":
            updated = await self.ask(
                lambda: desk.issuance.reload_pin(desk.reader, self._card_identifier, pin, presented, request_id=number)
            )
        else:
            updated = await self.ask(
                lambda: desk.issuance.renew_validity(desk.reader, self._card_identifier, presented, request_id=number)
            )
        if updated.HasField("refusal"):
            told = refused(updated.refusal, self.texts)
            if updated.countersignature_id:
                self._pin = pin if what == "PIN" else ""
                told += "\n" + self.texts("approval.asked", number=updated.countersignature_id)
            self.say(told, "warn")
            return
        self._asked.settled()
        self.say(self.texts("update.done"), "done")
