"""Apply for a card (申领): the form, the photo, and what is wrong with either, at the field where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.widgets import Button, Checkbox, Input, Select

from cli.terminal import words
from cli.terminal.advice import refused
from cli.terminal.dialog import Choice
from cli.terminal.forms import Representing, documents, select
from cli.terminal.page import Page, field, job
from cli.terminal.screens.issue import Issue
from cli.terminal.screens.receipt import Receipt
from cli.terminal.session import Once
from onecard.card.v1 import applications_pb2 as messages
from onecard.card.v1 import window_pb2 as window
from sdk.window.devices.identity import ReadingTrouble
from sdk.window.terminal import MOST_BYTES

_MODES: Final = ("INSTANT", "ORDINARY", "ON_SITE")
_ROUTES: Final = ("SELF", "GUARDIAN", "PROXY")
_FEES: Final = ("NONE", "CASH", "BANK", "PURSE", "WAIVED")
_CONSENTS: Final = ("FINANCE", "LOCATION", "MINOR")
_SILENT: Final = ("PASSPORT", "HK_MACAU_TRAVEL_PERMIT", "TAIWAN_TRAVEL_PERMIT")
"""Their numbers state no birth date."""
_FIELDS: Final = {
    "DOCUMENT_NOT_ACCEPTED": "number",
    "DOCUMENT_EXPIRED": "valid",
    "PERSON_DIFFERS": "name",
    "NAME_NOT_ACCEPTED": "name",
    "NAME_NOT_CARRIED": "name",
    "PHONE_NOT_ACCEPTED": "phone",
    "PHOTO_NOT_ACCEPTED": "photo",
    "FEE_NOT_SETTLED": "fee",
    "GUARDIAN_NEEDED": "route",
    "NOT_A_MINOR": "route",
    "PROXY_MAY_NOT": "route",
    "PAPERS_MISSING": "by_papers",
    "REPRESENTATIVE_IS_APPLICANT": "by_number",
    "REPRESENTATIVE_NOT_OF_AGE": "by_born",
    "GUARDIANS_CONSENT_NEEDED": "consent_MINOR",
    "CONSENT_NEEDED": "consent_FINANCE",
    "LIVE_CARD_EXISTS": "kind",
    "NO_CARD_TO_REISSUE": "kind",
}
"""Where the clerk has to look, by the reason of a refusal."""


class Apply(Page):
    """What was keyed in stays until it is accepted."""

    TITLE_KEY = "apply.title"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("f9", "go", "key.apply"),
        Binding("f2", "read", "key.read"),
    ]

    def __init__(self, kind: int = messages.APPLICATION_KIND_FIRST) -> None:
        super().__init__()
        self._kind = messages.ApplicationKind.Name(kind).removeprefix("APPLICATION_KIND_")
        self._once = Once()

    def body(self) -> ComposeResult:
        """Two columns where there is room."""
        t = self.texts
        kinds = ["FIRST", "REISSUE", "REPLACE", "TEMPORARY"]
        with Container(classes="form"):
            yield field(t("apply.kind"), select("kind", [(t.of("kind", one), one) for one in kinds], self._kind))
            yield field(t("apply.mode"), select("mode", [(t.of("mode", one), one) for one in _MODES]))
            yield field(t("apply.route"), select("route", [(t.of("route", one), one) for one in _ROUTES]))
            yield field(t("find.kind"), select("document", documents(t)))
            yield field(t("find.number"), Input(id="number"))
            yield field(t("apply.valid"), Input(id="valid", placeholder="2040-12-31"), note=t("apply.valid_note"))
            country = field(t("find.country"), Input(id="country", max_length=3), note=t("find.country_note"))
            country.add_class("silent")
            yield country
            born = field(t("find.born"), Input(id="born", placeholder="1950-12-31"))
            born.add_class("silent")
            yield born
            yield field(t("find.name"), Input(id="name"))
            yield field(t("apply.nationality"), Input("01", id="nationality", max_length=3), note=t("apply.nationality_note"))
            yield field(t("apply.phone"), Input(id="phone", max_length=16))
            yield field(t("apply.address"), Input(id="address"))
            yield field(t("apply.photo"), Input(id="photo", placeholder="~/photo.jpg"), note=t("apply.photo_note"))
            yield field(t("apply.fee"), select("fee", [(t.of("fee", one), one) for one in _FEES]))
            for one in _CONSENTS:
                yield field(
                    t("apply.consent"), Checkbox(t.of("consent", one), one == "FINANCE", id=f"consent_{one}", compact=True)
                )
        who = Representing(t)
        who.display = False
        yield who
        yield Vertical(id="passing")
        yield Button(t("key.apply"), id="go", variant="primary")

    def on_mount(self) -> None:
        """Begin with the number; what comes before it is mostly right."""
        self._kinds_changed()
        self.query_one("#number").focus()

    @on(Select.Changed, "#document")
    def _kinds_changed(self) -> None:
        silent = str(self.query_one("#document", Select).value).removeprefix("DOCUMENT_KIND_") in _SILENT
        for line in self.query(".silent"):
            line.display = silent

    @on(Select.Changed, "#route")
    def _route_changed(self, event: Select.Changed) -> None:
        self.query_one(Representing).display = event.value != "SELF"

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Enter leads on."""
        self.focus_next()

    @on(Button.Pressed, "#go")
    def action_go(self) -> None:
        """Hand it in."""
        for one in self.query(".fault"):
            one.remove_class("fault")
        wanting = next((name for name in ("number", "name", "phone") if not self._told(name)), "")
        if wanting:
            self._at_fault(wanting)
            self.say(self.texts("apply.wanting"), "warn")
        else:
            self._hand_in()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Documents are read where there is a reader of them."""
        return self.desk.devices.identity is not None if action == "read" else True

    @job
    async def action_read(self) -> None:
        """The document that lies on its reader fills the form."""
        reader = self.desk.devices.identity
        if reader is None:
            return
        read = await self.ask(reader.read)
        if isinstance(read, ReadingTrouble):
            self.say(read.value, "warn")
            return
        person = read.person()
        self.query_one("#document", Select).value = messages.DocumentKind.Name(person.document.kind)
        told = {
            "number": person.document.number,
            "valid": person.document.valid_until,
            "country": person.document.issuing_country,
            "name": person.name,
            "born": person.birth_date,
            "nationality": person.nationality,
            "address": person.address,
        }
        for name, value in told.items():
            self.query_one(f"#{name}", Input).value = value
        for name, value in (("photo", self.desk.devices.photo), ("phone", self.desk.devices.phone)):
            if value and not self._told(name):
                self.query_one(f"#{name}", Input).value = value
        self.query_one("#phone").focus()

    def _told(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _chosen(self, name: str) -> str:
        return str(self.query_one(f"#{name}", Select).value)

    @job
    async def _hand_in(self) -> None:
        photo = b""
        if path := self._told("photo"):
            photo = await self.ask(lambda: Path(path).expanduser().read_bytes())
            if len(photo) > MOST_BYTES - 4096:
                self._at_fault("photo")
                self.say(self.texts("apply.too_large", most=MOST_BYTES // 1024 - 4), "error")
                return
        request = self._request(photo)
        number = self._once.id_for(request.SerializeToString(deterministic=True))
        if request.fee_source == messages.FEE_SOURCE_WAIVED:
            request.request_id = number
            answer = await self.ask(lambda: self.desk.window.submit(request))
            if answer.refusal and not answer.refusal.approval_id and answer.refusal.reason != "APPROVAL_AWAITED":
                self._once.settled()
            refusal, application = answer.refusal, answer.application.application_id if answer.application else 0
            receipt = window.VisitReceipt()
        else:
            item = window.VisitItem(submit=request)
            receipt = await self.ask(lambda: self.desk.window.visit([item], visit_id=number))
            self._once.settled()
            line = receipt.lines[0]
            refusal, application = (line.refusal if line.HasField("refusal") else None), line.application_id
        if refusal:
            self._refused(refusal)
        else:
            self._accepted(application, receipt)

    def _request(self, photo: bytes) -> messages.SubmitRequest:
        silent = self.query_one("#born").parent.display  # type: ignore[union-attr]
        document = messages.Document(
            kind=self._chosen("document"),
            number=self._told("number"),
            valid_until=self._told("valid"),
            issuing_country=self._told("country").upper() if silent else "",
        )
        route, fee = self._chosen("route"), self._chosen("fee")
        return messages.SubmitRequest(
            kind=f"APPLICATION_KIND_{self._chosen('kind')}",
            mode=f"MODE_{self._chosen('mode')}",
            route=f"ROUTE_{route}",
            person=messages.Person(
                document=document,
                name=self._told("name"),
                birth_date=self._told("born") if silent else "",
                nationality=self._told("nationality").upper(),
                phone=self._told("phone"),
                address=self._told("address"),
            ),
            representative=None if route == "SELF" else self.query_one(Representing).representative(),
            photo=photo,
            photo_overrides=self._overrides(),
            other_people=[int(str(box.name)) for box in self.query(".other").results(Checkbox) if box.value],
            fee_source=None if fee == "NONE" else f"FEE_SOURCE_{fee}",
            consents=[f"CONSENT_KIND_{one}" for one in _CONSENTS if self.query_one(f"#consent_{one}", Checkbox).value],
        )

    def _overrides(self) -> list[messages.PhotoOverride]:
        told = [(one.name or "0", one.value.strip()) for one in self.query(".passing").results(Input)]
        return [messages.PhotoOverride(point=int(point), reason=reason) for point, reason in told if reason]

    def _refused(self, refusal: messages.Refusal) -> None:
        self.say(refused(refusal, self.texts), "warn")
        self._at_fault("photo" if refusal.photo_faults else _FIELDS.get(refusal.reason, ""))
        self._offer(refusal)

    @staticmethod
    def _marked(widget: Any) -> None:
        widget.add_class("fault")
        widget.focus()

    def _at_fault(self, name: str) -> None:
        if name:
            self._marked(self.query_one(f"#{name}"))

    def _offer(self, refusal: messages.Refusal) -> None:
        """What a clerk may let pass with a reason, and who may be compared."""
        kept = {one.name: one.value for one in self.query(".passing").results(Input)}
        lines = []
        for fault in refusal.photo_faults:
            if fault.overridable:
                reason = Input(kept.get(str(fault.point), ""), name=str(fault.point), classes="passing", max_length=64)
                lines.append(field(self.texts("photo.pass", point=fault.point), reason, note=fault.message))
        for one in refusal.possible_holders:
            told = self.texts("apply.other", holder=one.holder_id, name=one.masked_name)
            lines.append(
                field(self.texts("apply.compare"), Checkbox(told, name=str(one.holder_id), classes="other", compact=True))
            )
        passing = self.query_one("#passing", Vertical)
        if lines:
            passing.remove_children()
            passing.mount(*lines)

    def _accepted(self, application: int, receipt: window.VisitReceipt) -> None:
        self.window_app.changed = True
        notes = [note for line in receipt.lines for note in (*line.not_carried, *line.hints)]
        options = {"receipt": self.texts("apply.to_receipt")} if receipt.visit_number else {}
        if self._chosen("mode") == "INSTANT" and not any(line.not_carried for line in receipt.lines):
            options = {"issue": self.texts("apply.to_issue"), **options}
        options["back"] = self.texts("key.back")

        def chosen(answer: str | None) -> None:
            match answer:
                case "issue":
                    self.app.switch_screen(Issue(application))
                case "receipt":
                    self.app.switch_screen(Receipt(receipt))
                case _:
                    self.app.pop_screen()

        fee = sum(line.fee_fen for line in receipt.lines)
        if self._chosen("fee") == "CASH":
            self.desk.devices.cash(fee)
        told = self.texts("apply.accepted", number=application)
        if fee:
            told += self.texts("apply.costs", yuan=words.yuan(fee))
        self.app.push_screen(Choice(told, options, note="\n".join(notes)), chosen)
