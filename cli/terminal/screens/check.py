"""Check a card (验卡): what is on this chip, and does the registry agree?"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from cli.terminal import words
from cli.terminal.advice import refused
from cli.terminal.page import Page, job
from cli.terminal.screens.inserting import insert_virtual
from cli.terminal.screens.update import Update
from onecard.issuance.v1 import issuance_pb2 as messages

_WRONG: Final = (messages.RECORD_STATE_DIFFERS, messages.RECORD_STATE_MISSING)


class Check(Page):
    """Nothing that it shows is personal."""

    TITLE_KEY = "check.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.check"),
        Binding("f2", "insert", "key.insert"),
        Binding("f6", "update", "key.update"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found = ""
        """The card that was checked last."""

    def body(self) -> ComposeResult:
        """The verdict, then record by record."""
        with Vertical(classes="card"):
            yield Static(self.texts("check.told"), id="verdict", classes="headline", markup=False)
            yield Static(id="facts", markup=False)
        yield DataTable(id="records", cursor_type="row")

    def on_mount(self) -> None:
        """Wait for the key."""
        self.query_one("#records", DataTable).add_columns(self.texts("check.place"), self.texts("check.state"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Virtual cards are put in by a key."""
        return self.desk.devices.tray is not None if action == "insert" else True

    def action_insert(self) -> None:
        """One of the virtual cards."""
        insert_virtual(self, self.desk.devices.tray, lambda _: self.action_go())

    def action_update(self) -> None:
        """Another PIN, or other days, on the card that was checked."""
        if not self._found:
            self.say(self.texts("update.check_first"), "warn")
            return
        self.app.push_screen(Update(self._found))

    @job
    async def action_go(self) -> None:
        """Read it."""
        self.say(self.texts("issue.insert"))
        checked = await self.ask(lambda: self.desk.issuance.check(self.desk.reader))
        self._show(checked)

    def _show(self, checked: messages.Checked) -> None:
        t = self.texts
        self._found = checked.card_identifier
        verdict = self.query_one("#verdict", Static)
        wrong = any(record.state in _WRONG for record in checked.records)
        judged = t("check.agrees" if checked.agrees else "check.differs" if wrong else "check.partly")
        told = refused(checked.refusal, t) if checked.HasField("refusal") else judged
        verdict.update(("✓ " if checked.agrees else "! ") + told)
        verdict.set_classes("headline done" if checked.agrees else "headline warn")
        proof = messages.Proof.Name(checked.proof).removeprefix("PROOF_")
        facts = [
            (t("check.proof"), t.of("proof", proof) if checked.records else ""),
            (t("check.product"), checked.product),
            (t("check.identifier"), checked.card_identifier),
            (t("check.blank"), f"{checked.blank_serial}  {t.of('blank', checked.blank_state)}".strip()),
        ]
        if checked.HasField("card"):
            facts.append((t("check.card"), f"{words.social(checked.card, t)} · {words.financial(checked.card, t)}"))
        self.query_one("#facts", Static).update("\n".join(f"{name}  {value}" for name, value in facts if value))
        table = self.query_one("#records", DataTable)
        table.clear()
        for record in checked.records:
            state = messages.RecordState.Name(record.state).removeprefix("RECORD_STATE_")
            table.add_row(record.place, t.of("record", state))
