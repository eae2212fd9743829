"""One act on one card: on whose word, what was shown, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Button, Checkbox, Input, Select, Static

from cli.terminal import words
from cli.terminal.acts import Act, item_of
from cli.terminal.advice import refused
from cli.terminal.dialog import Choice
from cli.terminal.forms import Pin, Presenting, select
from cli.terminal.page import Page, field, job
from cli.terminal.screens.receipt import Receipt
from cli.terminal.session import Once
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards
from onecard.card.v1 import window_pb2 as window

_REASONS: Final = ("DECEASED", "EMIGRATED", "MOVED_AWAY")
_REMAINDERS: Final = ("CASH", "BANK")


class DoAct(Page):
    """Whatever the answer, it says what is next."""

    TITLE_KEY = "act.title"
    BINDINGS: ClassVar[list[Any]] = [Binding("f9", "go", "key.do")]

    def __init__(self, act: Act, held: window.HeldCard, holder_id: int) -> None:
        super().__init__()
        self._act = act
        self._held = held
        self._holder = holder_id
        self._once = Once()
        needs = next((one.needs for one in held.actions if one.verb == act.verb), ())
        self._old_card = "OLD_CARD_RETURNED" in needs
        self._again: tuple[cards.Presented, str, dict[str, Any]] | None = None
        """What waits for a second person."""

    def title_text(self) -> str:
        """Which act, above."""
        return f"{self.texts('app.title')} · {self.texts.of('verb', self._act.verb)}"

    def body(self) -> ComposeResult:
        """The card, and what the act wants to know."""
        t, card = self.texts, self._held.card
        told = t("act.card", number=self._held.card_number, social=words.social(card, t), financial=words.financial(card, t))
        yield Static(told, classes="headline", markup=False)
        yield Static(t.of("told", self._act.verb), classes="hint", markup=False)
        if self._act.presented:
            yield Presenting(t, old_card=self._old_card)
        if self._act.verb == "REPORT_TEMPORARY_LOSS" and card.HasField("electronic"):
            yield field(t("act.electronic"), Checkbox(t("act.electronic_told"), id="outlives", compact=True))
        if self._act.verb == "RESET_PIN":
            yield field(t("act.without"), Checkbox(t("act.without_told"), id="without", compact=True))
        if self._act.verb == "CANCEL":
            yield field(t("act.reason"), select("reason", [(t.of("reason", name), name) for name in _REASONS]))
            yield field(t("act.remainder"), select("remainder", [(t.of("remainder", name), name) for name in _REMAINDERS]))
        if self._act.pin:
            yield Pin(t, wanted=self._act.pin_wanted)
        yield Button(t("key.do"), id="go", variant="primary")

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Do it; what cannot be taken back is asked once more."""
        for pin in self.query(Pin):
            for fault in pin.faults():
                self.say(fault, "error")
                return
        if not self._act.for_good or self._again:
            self._do()
            return

        def sure(answer: str | None) -> None:
            if answer == "yes":
                self._do()

        question = self.texts("act.sure", what=self.texts.of("verb", self._act.verb), number=self._held.card_number)
        self.app.push_screen(Choice(question, {"no": self.texts("act.no"), "yes": self.texts("act.yes")}), sure)

    @job
    async def _do(self) -> None:
        presented = self.query_one(Presenting).presented()
        more = self._more()
        pin = "".join(pin.take() for pin in self.query(Pin))
        if self._again and self._again[0] == presented and self._again[2] == more:
            pin = pin or self._again[1]
        if self._act.pin_wanted and not pin:
            self.say(self.texts("pin.six"), "error")
            return
        number = self._once.id_for(presented.SerializeToString(), tuple(sorted(more.items())))
        if self._act.item:
            await self._visit(number, presented, pin, more)
            return
        method: Callable[..., Any] = getattr(self.desk.window, self._act.method)
        card = self._held.card.card_id
        arguments: dict[str, Any] = {"presented": presented, "request_id": number}
        first: tuple[Any, ...] = (card,)
        if self._act.verb == "CANCEL":
            first = (card, more["reason"])
            arguments["remainder_to"] = more["remainder"]
        elif self._act.pin_wanted:
            first = (card, pin)
            arguments |= {"without_document": True} if more.get("without") else {}
        answer = await self.ask(lambda: method(*first, **arguments))
        if answer.refusal:
            waits = bool(answer.refusal.approval_id)
            self._again = (presented, pin, more) if waits else None
            if not waits and answer.refusal.reason != "APPROVAL_AWAITED":
                self._once.settled()
            self._refused(answer.refusal)
            return
        self._once.settled()
        self._done(self._told_of(answer, more))

    async def _visit(self, number: str, presented: cards.Presented, pin: str, more: dict[str, Any]) -> None:
        fields: dict[str, Any] = {"card_id": self._held.card.card_id, "presented": presented}
        if self._act.pin and pin:
            fields["new_pin"] = pin
        if more.get("outlives"):
            fields["electronic_outlives_loss"] = True
        item = item_of(self._act, **fields)
        receipt = await self.ask(lambda: self.desk.window.visit([item], holder_id=self._holder, visit_id=number))
        self._once.settled()
        line = receipt.lines[0]
        if line.HasField("refusal"):
            self._refused(line.refusal)
            return
        self.window_app.changed = True
        self.app.switch_screen(Receipt(receipt))

    def _more(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for box in self.query(Checkbox):
            if box.id in ("outlives", "without"):
                told[box.id] = box.value
        for one in self.query(Select):
            if one.id in ("reason", "remainder"):
                told[one.id] = str(one.value)
        return told

    def _refused(self, refusal: applications.Refusal) -> None:
        self.say(refused(refusal, self.texts), "warn")

    def _told_of(self, answer: Any, more: dict[str, Any]) -> str:
        told = self.texts("act.done", what=self.texts.of("verb", self._act.verb), state=words.social(answer.card, self.texts))
        if self._act.verb != "CANCEL":
            return told
        in_cash = more["remainder"] == "CASH"
        out_fen = answer.fees_fen + (answer.remainder_fen if in_cash else 0)
        self.desk.devices.cash(-out_fen)
        if out_fen:
            told += self.texts("act.hand_out", yuan=words.yuan(out_fen))
        if answer.remainder_fen and not in_cash:
            told += self.texts("act.to_bank", yuan=words.yuan(answer.remainder_fen))
        return told + (self.texts("act.to_come") if answer.remainder_to_come else "")

    def _done(self, told: str) -> None:
        self.window_app.changed = True
        self.window_app.told = told
        self.app.pop_screen()
