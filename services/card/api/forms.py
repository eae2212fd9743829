"""What stands on a form: read from a message, put right, and checked as far as the form itself can be."""

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from onecard.card.v1 import applications_pb2 as messages
from services.card.domain.application import Papers, Relation
from services.card.domain.document import PROBLEMS, Document, DocumentKind, DocumentProblem, parse_document
from services.card.domain.names import NameProblem, normalise_name
from services.card.domain.person import Person, Sex
from services.card.domain.refusal import Refusal, sentence
from services.card.domain.settings import ApplicationRules

_MOBILE: Final = re.compile(r"1[3-9]\d{9}")
_NATIONALITY: Final = re.compile(r"0[1-9]|[1-4]\d|5[0-6]|9[78]|[A-Z]{3}")
_LONGEST_ADDRESS: Final = 200


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """A field that is at fault; its value is nowhere in it."""

    refusal: Refusal
    field: str
    message: str = ""

    def __str__(self) -> str:
        return self.message or sentence(self.refusal)


@dataclass(frozen=True, slots=True)
class Form:
    """A person and the document that was shown."""

    document: Document
    valid_until: date | None
    person: Person


def read_person(rules: ApplicationRules, message: messages.Person, today: date) -> Form | NotAccepted:
    """Document, name, birth date and the rest; what the number states must be what the form says."""
    shown = read_document(message.document, today)
    if isinstance(shown, NotAccepted):
        return replace(shown, field=f"person.{shown.field}")
    document, valid_until = shown
    name = normalise_name(message.name)
    if isinstance(name, NameProblem):
        return NotAccepted(Refusal.NAME_NOT_ACCEPTED, "person.name")
    birth_date = _date(message.birth_date) if message.birth_date else document.birth_date
    if birth_date is None or not date(1850, 1, 1) <= birth_date <= today:
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.birth_date", "请录入有效的出生日期。")
    if document.birth_date not in (None, birth_date):
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.birth_date", "出生日期与证件号码不一致，请核对后重新录入。")
    sex = Sex(message.sex) if message.sex else document.sex
    if document.sex is not Sex.UNKNOWN and sex is not document.sex:
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.sex", "性别与证件号码不一致，请核对后重新录入。")
    phone = re.sub(r"[\s-]", "", message.phone).removeprefix("+86")
    if not _MOBILE.fullmatch(phone):
        return NotAccepted(Refusal.PHONE_NOT_ACCEPTED, "person.phone")
    if message.nationality and not _NATIONALITY.fullmatch(message.nationality):
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.nationality", "民族或国籍代码有误，请重新选择。")
    if len(message.address) > _LONGEST_ADDRESS:
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.address", f"地址过长，最多 {_LONGEST_ADDRESS} 个字。")
    number = document.number if document.citizen or rules.foreign_number == "document" else ""
    person = Person(name, birth_date, sex, message.nationality, phone, message.address.strip(), number)
    return Form(document, valid_until, person)


def read_document(message: messages.Document, today: date) -> tuple[Document, date | None] | NotAccepted:
    """A document that may be what it says, and that is still good."""
    try:
        kind = DocumentKind(message.kind)
    except ValueError:
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, "document.kind", "请选择证件类型。")
    document = parse_document(kind, message.number, today)
    if isinstance(document, DocumentProblem):
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, "document.number", PROBLEMS[document])
    valid_until = _date(message.valid_until) if message.valid_until else None
    if message.valid_until and valid_until is None:
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, "document.valid_until", "证件有效期应为日期，如 2035-12-31。")
    if valid_until is not None and valid_until < today:
        return NotAccepted(Refusal.DOCUMENT_EXPIRED, "document.valid_until")
    return document, valid_until


def read_papers(message: messages.Representative, today: date) -> Papers | NotAccepted:
    """Who acts for the applicant; both are identified."""
    if message.relation == messages.RELATION_UNSPECIFIED:
        return NotAccepted(Refusal.PAPERS_MISSING, "representative.relation", "请选择与申请人的关系。")
    shown = read_document(message.document, today)
    if isinstance(shown, NotAccepted):
        return replace(shown, field=f"representative.{shown.field}")
    name = normalise_name(message.name)
    if isinstance(name, NameProblem):
        return NotAccepted(Refusal.NAME_NOT_ACCEPTED, "representative.name")
    papers = tuple(paper.strip() for paper in message.papers if paper.strip())
    if not papers:
        return NotAccepted(Refusal.PAPERS_MISSING, "representative.papers")
    document = shown[0]
    return Papers(Relation(message.relation), name, document.kind.value, document.number, papers)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
