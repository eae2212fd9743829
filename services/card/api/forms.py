"""What stands on a form: read from a message, put right, and checked as far as the form itself can be."""

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from onecard.card.v1 import applications_pb2 as messages
from services.card.domain.application import Papers, Relation
from services.card.domain.document import PROBLEMS, Document, DocumentKind, DocumentProblem, parse_document
from services.card.domain.names import NameProblem, normalise_name
from services.card.domain.particulars import Particulars
from services.card.domain.person import OF_AGE_YEARS, Person, Sex, age_on
from services.card.domain.refusal import Refusal, sentence
from services.card.domain.settings import ApplicationRules
from services.common.grpc.reading import bad

_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}")
_NATIONALITY: Final = re.compile(r"0[1-9]|[1-4][0-9]|5[0-6]|9[78]|[A-Z]{3}")
EARLIEST_BIRTH: Final = date(1850, 1, 1)
_LONGEST_ADDRESS: Final = 200
_SEXES: Final = frozenset(sex.value for sex in Sex)
_RELATIONS: Final = frozenset(messages.Relation.values()) - {messages.RELATION_UNSPECIFIED}
_PINS: Final = frozenset({"pin", "new_pin", "password"})


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
    birth_date = _read_birth_date(message.birth_date, document, today)
    if isinstance(birth_date, NotAccepted):
        return replace(birth_date, field=f"person.{birth_date.field}")
    if message.sex not in _SEXES:
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.sex", "性别代码有误，请重新选择。")
    sex = Sex(message.sex) if message.sex else document.sex
    if document.sex is not Sex.UNKNOWN and sex is not document.sex:
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.sex", "性别与证件号码不一致，请核对后重新录入。")
    phone, address = _read_phone(message.phone), _read_address(message.address)
    if isinstance(phone, NotAccepted):
        return replace(phone, field=f"person.{phone.field}")
    if message.nationality and not _NATIONALITY.fullmatch(message.nationality):
        return NotAccepted(Refusal.PERSON_DIFFERS, "person.nationality", "民族或国籍代码有误，请重新选择。")
    if isinstance(address, NotAccepted):
        return replace(address, field=f"person.{address.field}")
    number = document.social_security_number if document.citizen or rules.foreign_number == "document" else ""
    person = Person(name, birth_date, sex, message.nationality, phone, address, number)
    return Form(document, valid_until, person)


def read_contact(phone: str, address: str) -> Particulars | NotAccepted:
    """Where somebody is reached from now on; one of the two may be left out."""
    if not phone and not address.strip():
        raise bad("phone", "a phone is wanted, or an address")
    mobile, place = _read_phone(phone) if phone else "", _read_address(address)
    if isinstance(mobile, NotAccepted):
        return mobile
    return place if isinstance(place, NotAccepted) else Particulars(mobile, place)


def read_document(message: messages.Document, today: date) -> tuple[Document, date | None] | NotAccepted:
    """A document that may be what it says, and that is still good."""
    try:
        kind = DocumentKind(message.kind)
    except ValueError:
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, "document.kind", "请选择证件类型。")
    document = parse_document(kind, message.number, today, message.issuing_country)
    if isinstance(document, DocumentProblem):
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, field_of(document), PROBLEMS[document])
    valid_until = _date(message.valid_until) if message.valid_until else None
    if message.valid_until and valid_until is None:
        return NotAccepted(Refusal.DOCUMENT_NOT_ACCEPTED, "document.valid_until", "证件有效期应为日期，如 2035-12-31。")
    if valid_until is not None and valid_until < today:
        return NotAccepted(Refusal.DOCUMENT_EXPIRED, "document.valid_until")
    return document, valid_until


def field_of(problem: DocumentProblem) -> str:
    """Which field of a document is at fault."""
    return "document.issuing_country" if problem is DocumentProblem.COUNTRY else "document.number"


def read_papers(message: messages.Representative, today: date, *, heir: bool = False) -> Papers | NotAccepted:
    """Who acts for somebody else; both are identified. A child acts for nobody; an heir may be one."""
    if message.relation not in _RELATIONS:
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
    if not heir and (fault := _not_of_age(message.birth_date, document, today)):
        return replace(fault, field=f"representative.{fault.field}")
    return Papers(Relation(message.relation), name, document.kind.value, document.text, papers)


def content_of(request: Any) -> bytes:
    """A request as it is told from others. A PIN in it is kept in no form but one: it is no part of this."""
    copy = type(request)()
    copy.CopyFrom(request)
    _clear_pins(copy)
    content: bytes = copy.SerializeToString(deterministic=True)
    return content


def _clear_pins(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name in _PINS:
            message.ClearField(field.name)
        elif field.message_type:
            for inner in value if field.is_repeated else [value]:
                _clear_pins(inner)


def read_date(field: str, text: str) -> date:
    """Raises DomainError for what is no date."""
    if (found := _date(text)) is None:
        raise bad(field, "a date is wanted, as 1950-12-31")
    return found


def _read_birth_date(text: str, document: Document, today: date) -> date | NotAccepted:
    birth_date = _date(text) if text else document.birth_date
    if birth_date is None or not EARLIEST_BIRTH <= birth_date <= today:
        return NotAccepted(Refusal.PERSON_DIFFERS, "birth_date", "请录入有效的出生日期。")
    if document.birth_date not in (None, birth_date):
        return NotAccepted(Refusal.PERSON_DIFFERS, "birth_date", "出生日期与证件号码不一致，请核对后重新录入。")
    return birth_date


def _not_of_age(text: str, document: Document, today: date) -> NotAccepted | None:
    birth_date = _read_birth_date(text, document, today)
    if isinstance(birth_date, NotAccepted):
        return birth_date
    young = age_on(birth_date, today) < OF_AGE_YEARS
    return NotAccepted(Refusal.REPRESENTATIVE_NOT_OF_AGE, "birth_date") if young else None


def _read_phone(text: str) -> str | NotAccepted:
    phone = re.sub(r"[\s-]", "", text).removeprefix("+86")
    return phone if _MOBILE.fullmatch(phone) else NotAccepted(Refusal.PHONE_NOT_ACCEPTED, "phone")


def _read_address(text: str) -> str | NotAccepted:
    if len(text) > _LONGEST_ADDRESS:
        return NotAccepted(Refusal.PERSON_DIFFERS, "address", f"地址过长，最多 {_LONGEST_ADDRESS} 个字。")
    return text.strip()


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
