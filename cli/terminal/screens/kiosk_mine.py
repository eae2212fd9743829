"""What residents do themselves at a kiosk: see their card, report a temporary loss, take it back, enable, choose a PIN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Center, Horizontal, VerticalScroll
from textual.widgets import Button, Digits, Input, Static

from cli.terminal import words
from cli.terminal.advice import refused
from cli.terminal.page import job
from cli.terminal.screens.kiosk_welcome import KioskPage
from onecard.card.v1 import window_pb2 as messages
from sdk.window.answers import CardAnswer

ACTS: Final = ("REPORT_TEMPORARY_LOSS", "RELEASE", "ENABLE", "SIGN_UP")
"""Each only where the platform allows it."""
_PIN_DIGITS: Final = 6


class Mine(KioskPage):
    """Masked, as the platform answers."""

    BINDINGS: ClassVar[list[Any]] = [
        *(Binding(str(number), f"take({number})", show=False) for number in range(1, 8)),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, view: messages.HolderView) -> None:
        super().__init__()
        self._view = view
        held = next((one for one in view.cards if one.actions), view.cards[0] if view.cards else None)
        self._held = held
        self._acts = [one.verb for one in (held.actions if held else ()) if one.allowed and one.verb in ACTS]

    def body(self) -> ComposeResult:
        """The card and the purse; then what may be done, one large button each."""
        t = self.texts
        with Horizontal(classes="mine"):
            yield Static(self._told(), classes="facts", markup=False)
            if self._view.HasField("money"):
                with VerticalScroll(classes="purse", can_focus=False):
                    yield Static(t("kiosk.balance"), classes="large_label", markup=False)
                    yield Digits(words.yuan(self._view.money.balance_fen))
        with VerticalScroll(id="choices", can_focus=False):
            for number, verb in enumerate([*self._acts, "CHANGE_PIN"] if self._held else [], 1):
                yield Center(Button(f"{number}   {t(f'kiosk.{verb}')}", id=verb, classes="big"))
            yield Center(Button(t("kiosk.leave"), id="leave", classes="quiet"))

    def _told(self) -> str:
        t, held = self.texts, self._held
        lines = [(t("holder.name"), self._view.name)]
        if held:
            lines += [
                (t("card.number"), held.card_number),
                (t("card.social"), words.social(held.card, t)),
                (t("card.financial"), words.financial(held.card, t)),
                (t("card.valid"), held.card.valid_until),
            ]
        return "\n\n".join(f"{name}   {value}" for name, value in lines)

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """By a touch."""
        self._begin(str(event.button.id))

    def action_take(self, number: int) -> None:
        """By its number."""
        buttons = list(self.query("#choices Button.big").results(Button))
        if number <= len(buttons):
            self._begin(str(buttons[number - 1].id))

    def _begin(self, what: str) -> None:
        if what == "leave" or self._held is None:
            self.action_leave()
        elif what in ("CHANGE_PIN", "SIGN_UP"):
            self.app.push_screen(KeyIn(what, self._held))
        else:
            self.app.push_screen(Sure(what, self._held))


class Asking(KioskPage):
    """Something that is done with a card, or not."""

    def __init__(self, verb: str, held: messages.HeldCard) -> None:
        super().__init__()
        self._verb = verb
        self._held = held

    def action_back(self) -> None:
        """Do nothing."""
        self.app.pop_screen()

    @job
    async def _do(self, does: Callable[[], CardAnswer]) -> None:
        """Done, or told why not."""
        answer = await self.ask(does)
        if answer.refusal:
            self.say(refused(answer.refusal, self.texts), "warn")
        elif self.is_attached:
            self.app.switch_screen(Done(self.texts(f"kiosk_done.{self._verb}")))


class Sure(Asking):
    """Once more, before it is done."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("1", "do", show=False),
        Binding("2", "back", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("escape", "back", show=False),
    ]

    def body(self) -> ComposeResult:
        """What it means, yes or no."""
        t = self.texts
        yield Static(t(f"kiosk.{self._verb}"), classes="large", markup=False)
        yield Static(t(f"kiosk_told.{self._verb}"), classes="large_label", markup=False)
        yield Center(Button(f"1   {t('kiosk.yes')}", id="yes", classes="big", variant="primary"))
        yield Center(Button(f"2   {t('kiosk.no')}", id="no", classes="big"))

    @on(Button.Pressed, "#yes")
    def action_do(self) -> None:
        """Do it."""
        method: Callable[[int], CardAnswer] = getattr(self.kiosk_app.kiosk, self._verb.lower())
        self._do(lambda: method(self._held.card.card_id))

    @on(Button.Pressed, "#no")
    def no(self) -> None:
        """Do nothing."""
        self.action_back()


class KeyIn(Asking):
    """A PIN, or the electronic card's password: keyed in, and seen by nobody."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "back", show=False)]

    def body(self) -> ComposeResult:
        """The present one where it is changed; the new one twice."""
        t = self.texts
        yield Static(t(f"kiosk.{self._verb}"), classes="large", markup=False)
        for name in ("pin", "new", "again") if self._verb == "CHANGE_PIN" else ("new", "again"):
            yield Static(t(f"kiosk.{name}"), classes="large_label", markup=False)
            yield Center(Input(id=name, password=True, max_length=_PIN_DIGITS, type="integer", classes="big"))
        yield Center(Button(t("kiosk.yes"), id="yes", classes="big", variant="primary"))

    @on(Input.Submitted)
    def next_field(self, event: Input.Submitted) -> None:
        """Enter leads on."""
        if event.input.id == "again":
            self.done()
        else:
            self.focus_next()

    @on(Button.Pressed, "#yes")
    def done(self) -> None:
        """Compare, then do it; nothing of it stays in the fields."""
        told = {one.id: one.value for one in self.query(Input)}
        for one in self.query(Input):
            one.value = ""
        if len(told["new"]) != _PIN_DIGITS or told["new"] != told["again"]:
            self.say(self.texts("kiosk.differ"), "warn")
            self.query(Input).first().focus()
        else:
            self._do_with(told.get("pin", ""), told["new"])

    def _do_with(self, pin: str, new: str) -> None:
        kiosk, card = self.kiosk_app.kiosk, self._held.card.card_id
        self._do(lambda: kiosk.change_pin(card, pin, new) if self._verb == "CHANGE_PIN" else kiosk.sign_up(card, new))


class Done(KioskPage):
    """It was done; whoever stands here goes."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "leave", show=False),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, told: str) -> None:
        super().__init__()
        self._told = told

    def body(self) -> ComposeResult:
        """In one sentence."""
        yield Static(f"✓ {self._told}", classes="large done", markup=False)
        yield Center(Button(self.texts("kiosk.leave"), id="leave", classes="big"))

    @on(Button.Pressed)
    def pressed(self) -> None:
        """The next one, please."""
        self.action_leave()
