"""Everything of a holder on one screen (一窗通办): facts, cards, applications, and what may be done now."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, OptionList, Static
from textual.widgets.option_list import Option

from cli.terminal import words
from cli.terminal.acts import ACTS, APPLYING
from cli.terminal.page import Page, job
from cli.terminal.screens.act import DoAct
from cli.terminal.screens.applying import Apply
from cli.terminal.screens.issue import Issue
from cli.terminal.screens.purpose import Purpose
from cli.terminal.screens.top_up import TopUp
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import window_pb2 as messages

_READY = (applications.APPLICATION_STATE_APPLIED, applications.APPLICATION_STATE_IN_PRODUCTION)


class Holder(Page):
    """Masked, as the platform answers; whole only for a purpose, which is written down."""

    TITLE_KEY = "holder.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f2", "again", "key.refresh"),
        Binding("f3", "unmask", "key.unmask"),
        Binding("f4", "issue", "key.issue"),
        Binding("f5", "top_up", "key.top_up"),
    ]

    def __init__(self, found: messages.HolderView) -> None:
        super().__init__()
        self._found = found
        self._card = 0

    def body(self) -> ComposeResult:
        """Facts above; cards; then actions beside applications."""
        yield Static(id="facts", markup=False)
        yield DataTable(id="cards", cursor_type="row")
        with Horizontal(classes="columns"):
            with Vertical(classes="half"):
                yield Static(self.texts("holder.actions"), classes="caption", markup=False)
                yield OptionList(id="actions")
            with Vertical(classes="half"):
                yield Static(self.texts("holder.applications"), classes="caption", markup=False)
                yield DataTable(id="applications", cursor_type="row")

    def on_mount(self) -> None:
        """Show what was found."""
        self.query_one("#cards", DataTable).add_columns(
            *(self.texts(f"card.{column}") for column in ("number", "social", "financial", "valid", "note"))
        )
        self.query_one("#applications", DataTable).add_columns(
            *(self.texts(f"application.{column}") for column in ("number", "kind", "mode", "state", "since"))
        )
        self._show()

    def on_screen_resume(self) -> None:
        """After something was done it is asked again."""
        if self.window_app.changed:
            self.window_app.changed = False
            self.action_again()

    def _show(self) -> None:
        self.query_one("#facts", Static).update(self._facts())
        cards = self.query_one("#cards", DataTable)
        cards.clear()
        for held in self._found.cards:
            card = held.card
            sides = (words.social(card, self.texts), words.financial(card, self.texts))
            cards.add_row(held.card_number, *sides, card.valid_until, words.note(card, self.texts), key=str(card.card_id))
        made = self.query_one("#applications", DataTable)
        made.clear()
        for one in self._found.applications:
            summary = one.application
            last_step = one.timeline[-1].step if one.timeline else ""
            state = words.state(summary, self.texts, last_step)
            told = (words.kind(summary, self.texts), words.mode(summary, self.texts), state)
            number = str(summary.application_id)
            made.add_row(number, *told, words.time_of(summary.create_time_ms)[5:], key=number)
        self._show_actions(self._found.cards[0].card.card_id if self._found.cards else 0)

    def _facts(self) -> Table:
        found, texts = self._found, self.texts
        facts = Table.grid(padding=(0, 2), expand=True)
        for _ in range(2):
            facts.add_column(style="#8fb8de", no_wrap=True)
            facts.add_column(overflow="fold")
        documents = "  ".join(
            f"{words.document(one.kind, texts)} {one.issuing_country} {one.number}".replace("  ", " ")
            for one in found.documents
        )
        name = Text(found.name, style="bold")
        name.append(f"  {texts('holder.masked' if found.masked else 'holder.whole')}", style="#f0b429")
        money = texts("holder.away") if found.payments_away else ""
        if found.HasField("money"):
            money = texts(
                "holder.balance", balance=words.yuan(found.money.balance_fen), free=words.yuan(found.money.available_fen)
            )
        who = f"{found.category}  {texts('holder.resident') if found.resident else ''}".strip()
        facts.add_row(texts("holder.name"), name, texts("holder.born"), found.birth_date)
        facts.add_row(texts("holder.document"), documents, texts("holder.phone"), found.phone)
        facts.add_row(texts("holder.purse"), money, texts("holder.category"), who)
        if found.HasField("spending_limits"):
            facts.add_row(texts("holder.limits"), words.limits(found.spending_limits, texts))
        return facts

    def _show_actions(self, card_id: int) -> None:
        self._card = card_id
        listed = self.query_one("#actions", OptionList)
        listed.clear_options()
        held = next((one for one in self._found.cards if one.card.card_id == card_id), None)
        actions = sorted(held.actions, key=lambda one: not one.allowed) if held else ()
        for action in actions:
            if action.verb not in ACTS and action.verb not in APPLYING:
                continue
            text = Text(self.texts.of("verb", action.verb))
            if not action.allowed:
                text.append(f"  {action.refusal.message}", style="#8aa0a8")
            listed.add_option(Option(text, id=action.verb))
        if not self._found.cards:
            listed.add_option(Option(self.texts("task.apply"), id="FIRST"))

    @on(DataTable.RowHighlighted, "#cards")
    def card_chosen(self, event: DataTable.RowHighlighted) -> None:
        """Its actions are shown."""
        if event.row_key.value is not None:
            self._show_actions(int(event.row_key.value))

    @on(DataTable.RowSelected, "#cards")
    def to_actions(self) -> None:
        """Enter on a card leads to what may be done to it."""
        self.query_one("#actions").focus()

    @on(OptionList.OptionSelected, "#actions")
    def do(self, event: OptionList.OptionSelected) -> None:
        """Begin it."""
        verb = str(event.option_id)
        held = next((one for one in self._found.cards if one.card.card_id == self._card), None)
        refusal = next((one.refusal for one in (held.actions if held else ()) if one.verb == verb and not one.allowed), None)
        if refusal is not None:
            self.say(refusal.message, "warn")
            return
        if held is None or verb in APPLYING:
            self.app.push_screen(Apply(kind=APPLYING[verb]))
            return
        self.app.push_screen(DoAct(ACTS[verb], held, self._found.holder_id))

    @on(DataTable.RowSelected, "#applications")
    def application_chosen(self, event: DataTable.RowSelected) -> None:
        """One that waits for its card is made now."""
        self._issue(int(str(event.row_key.value)))

    def action_issue(self) -> None:
        """The application that waits for its card, if there is one."""
        ready = [one.application for one in self._found.applications if one.application.state in _READY]
        if ready:
            self._issue(ready[0].application_id)
        else:
            self.say(self.texts("holder.none_ready"), "warn")

    def _issue(self, application: int) -> None:
        self.app.push_screen(Issue(application))

    def action_top_up(self) -> None:
        """Of the card that is chosen."""
        held = next((one for one in self._found.cards if one.card.card_id == self._card), None)
        if held is None:
            self.say(self.texts("holder.no_card"), "warn")
        else:
            self.app.push_screen(TopUp(held.card.card_identifier))

    def action_unmask(self) -> None:
        """Say what for; the platform decides."""

        def told(purpose: str | None) -> None:
            if purpose:
                self._look(purpose)

        self.app.push_screen(Purpose(), told)

    def action_again(self) -> None:
        """As it is now; masked again."""
        self._look("")

    @job
    async def _look(self, purpose: str) -> None:
        by = {"holder_id": self._found.holder_id}
        self._found = await self.ask(lambda: self.desk.holder(by, purpose))
        self._show()
        if self.window_app.told:
            self.say(self.window_app.told, "done")
            self.window_app.told = ""
