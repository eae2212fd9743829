"""Issue now (即时制卡): the steps tick by, the seconds count, and what a person has to do is asked when it is due."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Digits, Input, Static

from cli.terminal.advice import refused
from cli.terminal.making import Asker, Steps
from cli.terminal.page import Page, field, job
from cli.terminal.screens.inserting import insert_virtual
from cli.terminal.screens.spoil import Spoil
from onecard.issuance.v1 import issuance_pb2 as messages
from sdk.till.errors import OutcomeUnknownError
from sdk.window.devices.reader import ChipError
from sdk.window.issuance import Issued

_TICK_SECONDS = 0.2
_AGAIN = (messages.ISSUE_OUTCOME_TRY_AGAIN, messages.ISSUE_OUTCOME_SPOILED, messages.ISSUE_OUTCOME_RELEASED)


class Issue(Page):
    """One card from blank to hand. A cut is no harm: the same card is inserted again."""

    TITLE_KEY = "issue.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.issue"),
        Binding("f2", "insert", "key.insert"),
        Binding("f8", "spoil", "key.spoil"),
    ]

    def __init__(self, application: int = 0) -> None:
        super().__init__()
        self._application = application
        self.steps = Steps(time.monotonic)
        self._asker = Asker(self)
        self._serial = ""

    def body(self) -> ComposeResult:
        """Steps on the left; the clock and what is to be done on the right."""
        t = self.texts
        with Horizontal(classes="columns"):
            yield Static(id="steps")
            with Vertical(classes="aside"):
                yield Digits("0.0", id="clock")
                yield Static(t("issue.told"), id="prompt", markup=False)
                number = str(self._application or "")
                yield field(t("issue.application"), Input(number, id="application", type="integer"))
                yield field(t("issue.serial"), Input(id="serial", max_length=32), note=t("issue.serial_note"))
                yield Button(t("key.issue"), id="go", variant="primary")

    def on_mount(self) -> None:
        """Nothing has begun."""
        self._show_steps()
        self.set_interval(_TICK_SECONDS, self._tick)
        if self._application:
            self.query_one("#serial").focus()

    def on_screen_resume(self) -> None:
        """A card that was recorded as spoiled meanwhile is not in the reader any more."""
        tray = self.desk.devices.tray
        if tray and self._serial and self._serial not in tray.blanks():
            self.query_one("#serial", Input).value = self._serial = ""

    def on_unmount(self) -> None:
        """Whoever waits for an answer hears that nobody answers any more."""
        self._asker.close()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Virtual cards are put in by a key."""
        return self.desk.devices.tray is not None if action == "insert" else True

    def action_leave(self) -> None:
        """Not in the middle of a card."""
        if self.busy:
            self.say(self.texts("issue.not_now"), "warn")
        else:
            super().action_leave()

    def action_insert(self) -> None:
        """One of the virtual cards."""
        if self.busy:
            return

        def inserted(serial: str) -> None:
            self.query_one("#serial", Input).value = serial
            self._serial = serial
            self.say(self.texts("issue.inserted", serial=serial), "done")
            self.query_one("#go").focus()

        insert_virtual(self, self.desk.devices.tray, inserted)

    def action_spoil(self) -> None:
        """The way out where a chip does not answer any more."""
        if self.busy:
            self.say(self.texts("issue.not_now"), "warn")
            return
        self.app.push_screen(Spoil(self.query_one("#serial", Input).value.strip()))

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Begin, or go on; of virtual cards one is put in first."""
        if self.desk.devices.tray and not self._serial:
            self.action_insert()
            return
        number = self.query_one("#application", Input).value
        self._make(int(number or 0), self.query_one("#serial", Input).value.strip())

    @job
    async def _make(self, application: int, serial: str) -> None:
        self.steps.begin()
        self._prompt("issue.insert")
        self.say("")
        desk = self.desk
        try:
            issued = await self.ask(
                lambda: desk.issuance.personalise(
                    application, desk.reader, desk.printer, self._asker, blank_serial=serial, progress=self._asker.progress
                )
            )
        except OutcomeUnknownError:
            self._lay_down()
            self.steps.stop()
            self._prompt("issue.cut", "warn")
            self.say(self.texts("issue.cut_next"), "warn")
            return
        except ChipError as error:
            self._lay_down()
            self.steps.stop()
            self._prompt("issue.no_card", "warn")
            self.say_error(error)
            return
        except Exception:  # the page says what it was, and the clock stands
            self.steps.stop()
            self._prompt("issue.told")
            raise
        self._ended(issued)

    def _ended(self, issued: Issued) -> None:
        self.window_app.changed = True
        outcome = messages.IssueOutcome.Name(issued.outcome).removeprefix("ISSUE_OUTCOME_")
        self.steps.end() if issued.done else self.steps.stop()
        self._show_steps()
        kind = "done" if issued.done else "warn"
        self._prompt(f"outcome.{outcome}", kind, seconds=f"{self.steps.seconds():.0f}")
        told = refused(issued.refusal, self.texts) if issued.refusal else ""
        following = self.texts(f"next.{outcome}")
        self.say(f"{told} {following}".strip(), kind)
        tray = self.desk.devices.tray
        self._lay_down()
        if tray and issued.blank_serial and issued.done:
            tray.hand_over(issued.blank_serial)
        elif tray and issued.blank_serial and issued.outcome == messages.ISSUE_OUTCOME_SPOILED:
            tray.spoil(issued.blank_serial)
        if issued.done or issued.outcome == messages.ISSUE_OUTCOME_SPOILED:
            self.query_one("#serial", Input).value = self._serial = ""
        if issued.done:
            self.query_one("#application", Input).value = ""
        elif issued.outcome in _AGAIN:
            self.query_one("#go").focus()

    def _lay_down(self) -> None:
        if self.desk.devices.tray:
            self.desk.devices.tray.lay_down()

    # What the making tells, called here in the application's own thread

    def reached(self, stage: messages.Stage) -> None:
        """The card has come so far."""
        self.steps.reach(stage)
        self._show_steps()
        self._prompt("issue.working")

    def told_to(self, key: str) -> None:
        """What a person does now."""
        self._prompt(key, "warn")

    def looks_printed(self) -> bool | None:
        """Of a virtual card: what somebody would see."""
        tray = self.desk.devices.tray
        return tray.looks_printed(self._serial) if tray and self._serial else None

    def _prompt(self, key: str, kind: str = "info", **values: object) -> None:
        prompt = self.query_one("#prompt", Static)
        prompt.update(self.texts(key, **values))
        prompt.set_classes(kind)

    def _tick(self) -> None:
        self.query_one("#clock", Digits).update(f"{self.steps.seconds():.1f}")
        if self.steps.running:
            self._show_steps()

    def _show_steps(self) -> None:
        self.query_one("#steps", Static).update(self.steps.render(self.texts))
