"""Record a blank or a card as spoiled (登记废卡): by its plastic, whether or not its chip still answers."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Button, Input, Static

from cli.terminal.advice import refused
from cli.terminal.page import Page, field, job
from cli.terminal.session import Once


class Spoil(Page):
    """By two people: the other one signs at their own window."""

    TITLE_KEY = "spoil.title"
    BINDINGS: ClassVar[list[Any]] = [Binding("f9", "go", "key.spoil")]

    def __init__(self, serial: str = "") -> None:
        super().__init__()
        self._serial = serial
        self._asked = Once()

    def body(self) -> ComposeResult:
        """Which one, and why."""
        t = self.texts
        with Vertical(classes="card"):
            yield Static(t("spoil.told"), classes="headline", markup=False)
            yield field(t("issue.serial"), Input(self._serial, id="serial", max_length=32))
            yield field(t("spoil.reason"), Input(id="reason", max_length=200), note=t("spoil.reason_note"))
            yield Button(t("key.spoil"), id="go", variant="primary")

    def on_mount(self) -> None:
        """What is known already is not asked again."""
        self.query_one("#reason" if self._serial else "#serial").focus()

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Ask for it; the same again once it is signed."""
        serial, reason = (self.query_one(f"#{name}", Input).value.strip() for name in ("serial", "reason"))
        if not serial or not reason:
            self.say(self.texts("spoil.wanting"), "warn")
            return
        self._spoil(serial, reason)

    @job
    async def _spoil(self, serial: str, reason: str) -> None:
        number = self._asked.id_for(serial, reason)
        answer = await self.ask(lambda: self.desk.blanks.spoil(serial, reason, request_id=number))
        if answer.refusal:
            told = refused(answer.refusal, self.texts)
            if answer.countersignature_id:
                told += "\n" + self.texts("approval.asked", number=answer.countersignature_id)
            else:
                self._asked.settled()
            self.say(told, "warn")
            return
        self._asked.settled()
        self.window_app.changed = True
        tray = self.desk.devices.tray
        if tray and serial in tray.blanks():
            tray.spoil(serial)
        self.query_one("#serial", Input).value = self.query_one("#reason", Input).value = ""
        self.say(self.texts("spoil.done", serial=serial), "done")
