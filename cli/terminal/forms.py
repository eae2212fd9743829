"""Parts of forms: on whose word, who acts for somebody, a PIN."""

from __future__ import annotations

from collections.abc import Iterator

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Checkbox, Input, Select

from cli.terminal.page import field
from cli.terminal.texts import Texts
from cli.terminal.words import DOCUMENTS, RELATIONS
from onecard.card.v1 import applications_pb2 as applications
from onecard.card.v1 import cards_pb2 as cards

PARTIES = ("HOLDER_IN_PERSON", "HOLDER_REMOTE", "GUARDIAN", "PROXY", "HEIR")
_REPRESENTATIVES = PARTIES[2:]
_PIN_DIGITS = 6


def select(id_: str, options: list[tuple[str, str]], value: str = "") -> Select[str]:
    """One of several, by their names."""
    return Select(options, value=value or options[0][1], allow_blank=False, id=id_, compact=True)


def documents(texts: Texts) -> list[tuple[str, str]]:
    """Kinds of identity documents."""
    return [(texts.of("document", name.removeprefix("DOCUMENT_KIND_")), name) for name in DOCUMENTS]


class Representing(Vertical):
    """Who acts for the holder, and what was shown for it."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(classes="part")
        self._texts = texts

    def compose(self) -> ComposeResult:
        """As their document says."""
        t = self._texts
        relations = [(t.of("relation", name.removeprefix("RELATION_")), name) for name in RELATIONS]
        yield field(t("by.relation"), select("by_relation", relations))
        yield field(t("by.name"), Input(id="by_name"))
        yield field(t("find.kind"), select("by_kind", documents(t)))
        yield field(t("find.number"), Input(id="by_number"))
        yield field(t("by.born"), Input(id="by_born", placeholder="1980-12-31"), note=t("by.born_note"))
        yield field(t("by.papers"), Input(id="by_papers", placeholder=t("by.papers_as")))

    def representative(self) -> applications.Representative:
        """As it was filled in."""
        told = {one.id or "": one.value.strip() for one in self.query(Input)}
        kind = str(self.query_one("#by_kind", Select).value)
        return applications.Representative(
            relation=str(self.query_one("#by_relation", Select).value),
            name=told["by_name"],
            document=applications.Document(kind=kind, number=told["by_number"]),
            birth_date=told["by_born"],
            papers=[told["by_papers"]] if told["by_papers"] else [],
        )


class Presenting(Vertical):
    """On whose word something is done, and what was shown."""

    def __init__(self, texts: Texts, *, old_card: bool = False, party: str = PARTIES[0]) -> None:
        super().__init__(classes="part")
        self._texts = texts
        self._old_card = old_card
        self._party = party

    def compose(self) -> ComposeResult:
        """Who stands here decides what is asked."""
        t = self._texts
        yield field(t("by.party"), select("party", [(t.of("party", name), name) for name in PARTIES], self._party))
        yield field(t("by.verified"), Checkbox(t("by.verified_told"), value=True, id="verified", compact=True))
        old = field(t("by.old_card"), Checkbox(t("by.old_card_told"), id="old_card", compact=True))
        old.display = self._old_card
        yield old
        who = Representing(t)
        who.display = False
        yield who

    @on(Select.Changed, "#party")
    def party_changed(self, event: Select.Changed) -> None:
        """Whoever acts for another one is asked who they are."""
        self.query_one(Representing).display = event.value in _REPRESENTATIVES
        self.query_one("#verified", Checkbox).value = event.value != "HOLDER_REMOTE"

    def presented(self) -> cards.Presented:
        """As it was filled in."""
        party = str(self.query_one("#party", Select).value)
        return cards.Presented(
            party=f"PARTY_{party}",
            identity_verified=self.query_one("#verified", Checkbox).value,
            old_card_returned=self._old_card and self.query_one("#old_card", Checkbox).value,
            representative=self.query_one(Representing).representative() if party in _REPRESENTATIVES else None,
        )


class Pin(Vertical):
    """Six digits, twice, keyed in by the holder and seen by nobody."""

    def __init__(self, texts: Texts, *, wanted: bool) -> None:
        super().__init__(classes="part")
        self._texts = texts
        self._wanted = wanted

    def compose(self) -> ComposeResult:
        """Twice."""
        note = self._texts("pin.wanted" if self._wanted else "pin.optional")
        for name, label in (("pin", "pin.pin"), ("pin_again", "pin.again")):
            yield field(
                self._texts(label),
                Input(id=name, password=True, max_length=_PIN_DIGITS, type="integer"),
                note=note if name == "pin" else "",
            )

    def faults(self) -> Iterator[str]:
        """What is wrong with it, in sentences."""
        pin, again = self._values()
        if pin != again:
            yield self._texts("pin.differ")
        elif (pin or self._wanted) and len(pin) != _PIN_DIGITS:
            yield self._texts("pin.six")

    @property
    def touched(self) -> bool:
        """Whether something was keyed in."""
        return any(self._values())

    def take(self) -> str:
        """What was keyed in; it does not stay on the screen."""
        pin, _ = self._values()
        for one in self.query(Input):
            one.value = ""
        return pin

    def _values(self) -> tuple[str, str]:
        return self.query_one("#pin", Input).value, self.query_one("#pin_again", Input).value
