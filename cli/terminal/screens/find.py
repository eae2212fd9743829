"""Find a holder: by document, by card, or by name and birth date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import DataTable, Input, Select

from cli.terminal.page import Page, field, job
from cli.terminal.screens.holder import Holder
from cli.terminal.words import DOCUMENTS
from onecard.card.v1 import applications_pb2 as applications

_CARD_NUMBER: Final = 9
_WAYS: Final = ("document", "card", "name")


class Find(Page):
    """What is keyed in is cleared when the holder is shown."""

    TITLE_KEY = "find.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.find"),
        Binding("f2", "way('document')", "find.by_document"),
        Binding("f3", "way('card')", "find.by_card"),
        Binding("f4", "way('name')", "find.by_name"),
    ]
    way = "document"

    def body(self) -> ComposeResult:
        """One way at a time."""
        kinds = [(self.texts.of("document", name.removeprefix("DOCUMENT_KIND_")), name) for name in DOCUMENTS]
        with Vertical(id="document", classes="card"):
            yield field(self.texts("find.kind"), Select(kinds, value=kinds[0][1], allow_blank=False, id="kind", compact=True))
            yield field(self.texts("find.number"), Input(id="number"))
            country = field(self.texts("find.country"), Input(id="country", max_length=3), note=self.texts("find.country_note"))
            country.display = False
            yield country
        with Vertical(id="card", classes="card"):
            yield field(self.texts("find.card"), Input(id="card_number"), note=self.texts("find.card_note"))
        with Vertical(id="name", classes="card"):
            yield field(self.texts("find.name"), Input(id="person"))
            yield field(self.texts("find.born"), Input(id="born", placeholder="1950-12-31"))
        yield DataTable(id="found", cursor_type="row")

    def on_mount(self) -> None:
        """Documents come first."""
        table = self.query_one("#found", DataTable)
        table.add_columns(*(self.texts(f"find.{column}") for column in ("holder", "name", "number")))
        table.display = False
        self.action_way("document")

    def action_way(self, way: str) -> None:
        """Another way."""
        self.way = way
        for each in _WAYS:
            self.query_one(f"#{each}").display = each == way
        self.query_one("#found").display = False
        self.query_one({"document": "#number", "card": "#card_number", "name": "#person"}[way]).focus()

    @on(Select.Changed, "#kind")
    def kind_changed(self, event: Select.Changed) -> None:
        """A passport's country is asked for."""
        country = self.query_one("#country").parent
        assert country is not None
        country.display = event.value == "DOCUMENT_KIND_PASSPORT"

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Enter finds, once the last field is filled."""
        if event.input.id == "person":
            self.query_one("#born").focus()
        else:
            self.action_go()

    def action_go(self) -> None:
        """Find."""
        told = {one.id or "": one.value.strip() for one in self.query(Input)}
        if self.way == "name":
            if told["person"] and told["born"]:
                self._search(told["person"], told["born"])
            else:
                self.say(self.texts("find.both"), "warn")
            return
        number = told["number"] if self.way == "document" else told["card_number"]
        if not number:
            self.say(self.texts("find.empty"), "warn")
            return
        by: Mapping[str, object]
        if self.way == "document":
            kind = str(self.query_one("#kind", Select).value)
            by = {"document": applications.Document(kind=kind, number=number, issuing_country=told["country"].upper())}
        else:
            by = {"card_number" if len(number) == _CARD_NUMBER else "card_identifier": number.upper()}
        self._look(by)

    @job
    async def _look(self, by: Mapping[str, object]) -> None:
        found = await self.ask(lambda: self.desk.holder(by))
        self._show(found)

    @job
    async def _search(self, name: str, born: str) -> None:
        found = await self.ask(lambda: list(self.desk.window.search(name, born)))
        table = self.query_one("#found", DataTable)
        table.clear()
        for one in found:
            table.add_row(
                str(one.holder_id),
                one.masked_name,
                " ".join(each.masked_number for each in one.documents),
                key=str(one.holder_id),
            )
        table.display = bool(found)
        if found:
            table.focus()
            self.say(self.texts("find.choose"))
            self.query_one("#said").set_classes("done")
        else:
            self.say(self.texts("find.nobody"), "warn")

    @on(DataTable.RowSelected)
    def chosen(self, event: DataTable.RowSelected) -> None:
        """One of several."""
        self._look({"holder_id": int(str(event.row_key.value))})

    def _show(self, found: Any) -> None:
        for each in self.query(Input):
            each.value = ""
        self.query_one("#found", DataTable).clear()
        self.app.switch_screen(Holder(found))
