"""The first screens of a kiosk: which language, then a card and its PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Center, Vertical
from textual.widgets import Button, Input, Static

from cli.terminal.advice import refused
from cli.terminal.page import Bar, Page, job
from cli.terminal.texts import LANGUAGES, NAMES

if TYPE_CHECKING:
    from cli.terminal.kiosk_app import KioskApp

_CARD_NUMBER: Final = 9


class Countdown(Static):
    """How long it takes until everything is cleared; nothing while there is time."""

    def __init__(self) -> None:
        super().__init__(id="countdown", markup=False)
        self.display = False

    def count(self, left: float) -> None:
        """So many seconds; 0: there is time."""
        self.display = left > 0
        if left > 0:
            page = cast("KioskPage", self.screen)
            self.update(page.texts("kiosk.countdown", seconds=int(left) + (left > int(left))))


class KioskPage(Page):
    """In large type, with few words."""

    AUTO_FOCUS = "Input, Button"

    @property
    def kiosk_app(self) -> KioskApp:
        """Ours."""
        return cast("KioskApp", self.app)

    def title_text(self) -> str:
        """Above."""
        return self.texts("kiosk.title")

    def right_text(self) -> str:
        """Which kiosk it is."""
        return self.kiosk_app.place

    def compose(self) -> ComposeResult:
        """The frame, with the countdown."""
        yield Bar(self.title_text(), self.right_text())
        with Vertical(id="kiosk"):
            yield from self.body()
        yield Countdown()
        yield Static(id="said", markup=False)

    def action_leave(self) -> None:
        """Whoever stands here goes."""
        self.kiosk_app.clear()


class Welcome(KioskPage):
    """Nobody stands here."""

    BINDINGS: ClassVar[list[Any]] = [
        *(Binding(str(number), f"speak('{language}')", show=False) for number, language in enumerate(LANGUAGES, 1)),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("escape", "leave", show=False),
    ]

    def body(self) -> ComposeResult:
        """One button a language."""
        yield Static("  ·  ".join(("欢迎使用", "歡迎使用", "Welcome")), classes="large", markup=False)
        for number, (language, name) in enumerate(zip(LANGUAGES, NAMES, strict=True), 1):
            yield Center(Button(f"{number}   {name}", id=f"speak_{language}", classes="big"))

    def action_leave(self) -> None:
        """There is nothing behind it."""

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """By a touch."""
        self.action_speak(str(event.button.id).removeprefix("speak_"))

    def action_speak(self, language: str) -> None:
        """Then the card is asked for."""
        self.kiosk_app.speak(language)
        self.app.push_screen(ShowCard())


class ShowCard(KioskPage):
    """Who stands here."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "leave", show=False)]

    def body(self) -> ComposeResult:
        """Card, PIN, go."""
        yield Static(self.texts("kiosk.show_card"), classes="large", markup=False)
        yield Static(self.texts("kiosk.card"), classes="large_label", markup=False)
        yield Center(Input(id="card", max_length=32, classes="big"))
        yield Static(self.texts("kiosk.pin"), classes="large_label", markup=False)
        yield Center(Input(id="pin", password=True, max_length=6, type="integer", classes="big"))
        yield Center(Button(self.texts("kiosk.go"), id="go", classes="big", variant="primary"))
        yield Center(Button(self.texts("kiosk.leave"), id="leave", classes="quiet"))

    @on(Input.Submitted, "#card")
    def to_pin(self) -> None:
        """Enter leads on."""
        self.query_one("#pin").focus()

    @on(Button.Pressed, "#leave")
    def leave(self) -> None:
        """Not now."""
        self.action_leave()

    @on(Input.Submitted, "#pin")
    @on(Button.Pressed, "#go")
    def show(self) -> None:
        """Let in, or told why not; the PIN does not stay."""
        pin = self.query_one("#pin", Input)
        card, keyed = self.query_one("#card", Input).value.strip().upper(), pin.value
        pin.value = ""
        if card and keyed:
            self._show(card, keyed)
        else:
            self.say(self.texts("kiosk.both"), "warn")

    @job
    async def _show(self, card: str, pin: str) -> None:
        by = {"card_number" if len(card) == _CARD_NUMBER else "card_identifier": card}
        kiosk = self.kiosk_app.kiosk
        let_in = await self.ask(lambda: kiosk.show_card(pin, **by))
        if not self.is_attached:  # cleared meanwhile
            self.kiosk_app.end_session()
            return
        if let_in.refusal:
            self.say(refused(let_in.refusal, self.texts), "warn")
            self.query_one("#pin").focus()
            return
        view = await self.ask(kiosk.view)
        if not self.is_attached:
            return  # cleared meanwhile
        from cli.terminal.screens.kiosk_mine import Mine  # noqa: PLC0415 - screens lead to each other

        self.app.switch_screen(Mine(view))
