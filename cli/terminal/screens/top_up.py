"""Bring money to a card (充值), in cash or from the holder's bank account."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Button, Input, Static

from cli.terminal import words
from cli.terminal.forms import select
from cli.terminal.page import Page, field, job
from cli.terminal.session import Once


class TopUp(Page):
    """No answer is asked for again under the same id: nothing is brought twice."""

    TITLE_KEY = "top_up.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.top_up"),
        Binding("f2", "balance", "key.balance"),
    ]

    def __init__(self, card_identifier: str = "") -> None:
        super().__init__()
        self._card = card_identifier
        self._once = Once()

    def body(self) -> ComposeResult:
        """Card, amount, where from."""
        t = self.texts
        sources = [(t(f"top_up.{name}"), name) for name in ("cash", "bank")]
        with Vertical(classes="card"):
            yield field(t("top_up.card"), Input(self._card, id="card_identifier", max_length=32))
            yield field(t("top_up.amount"), Input(id="amount", placeholder="50.00"), note=t("top_up.yuan"))
            yield field(t("top_up.source"), select("source", sources))
            yield Button(t("key.top_up"), id="go", variant="primary")
            yield Static(id="result", classes="result", markup=False)

    def on_mount(self) -> None:
        """A card that was chosen needs an amount alone."""
        if self._card:
            self.query_one("#amount").focus()

    @on(Input.Submitted, "#card_identifier")
    def to_amount(self) -> None:
        """Enter leads on."""
        self.query_one("#amount").focus()

    @on(Input.Submitted, "#amount")
    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Bring it."""
        fen = words.fen_of(self.query_one("#amount", Input).value)
        card = self.query_one("#card_identifier", Input).value.strip().upper()
        if not card:
            self.say(self.texts("top_up.no_card"), "warn")
        elif not fen:
            self.say(self.texts("top_up.no_amount"), "warn")
        else:
            bank = self.query_one("#source").value == "bank"  # type: ignore[attr-defined]
            self._bring(card, fen, bank=bank)

    def action_balance(self) -> None:
        """What is on it."""
        if card := self.query_one("#card_identifier", Input).value.strip().upper():
            self._balance(card)

    @job
    async def _bring(self, card: str, fen: int, *, bank: bool) -> None:
        number = self._once.id_for(card, fen, bank)
        receipt = await self.ask(lambda: self.desk.till.top_up(card, fen, bank=bank, request_id=number))
        self._once.settled()
        if not receipt.approved:
            self.say(f"{receipt.message}（{receipt.reason}）", "warn")
            return
        self.window_app.changed = True
        if not bank:
            self.desk.devices.cash(receipt.amount_fen)
        self.query_one("#amount", Input).value = ""
        self.query_one("#result", Static).update(
            self.texts("top_up.done", yuan=words.yuan(receipt.amount_fen), time=words.time_of(receipt.decide_time_ms))
        )
        self.say(self.texts("top_up.done", yuan=words.yuan(receipt.amount_fen), time=""), "done")

    @job
    async def _balance(self, card: str) -> None:
        found = await self.ask(lambda: self.desk.till.balance(card))
        lines = [
            self.texts(
                "holder.balance", balance=words.yuan(found.balance.amount_fen), free=words.yuan(found.available.amount_fen)
            )
        ]
        lines += [f"{purse.purpose}  {words.yuan(purse.balance.amount_fen)}" for purse in found.purses]
        self.query_one("#result", Static).update("\n".join(lines))
