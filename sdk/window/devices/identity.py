"""A reader of identity documents, and what it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Protocol

from onecard.card.v1 import applications_pb2 as applications


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityReading:
    """What a document says of its holder. Personal: it shows itself to nobody."""

    document_kind: applications.DocumentKind
    number: str = field(repr=False)
    name: str = field(repr=False)
    sex: applications.Sex
    nationality: str = field(repr=False)
    """GB 3304 code of the ethnic group ("01" to "56"), or ISO 3166 alpha-3 of a foreigner's country."""
    birth_date: date = field(repr=False)
    address: str = field(default="", repr=False)
    valid_until: date | None = None
    """Its last day; None: it has none."""
    issuing_country: str = ""
    """Of a passport, ISO 3166 alpha-3."""
    portrait: bytes | None = field(default=None, repr=False)
    """JPEG, as small as a document's chip has it."""

    def person(self, phone: str = "") -> applications.Person:
        """For an application of theirs."""
        return applications.Person(
            document=applications.Document(
                kind=self.document_kind,
                number=self.number,
                valid_until=self.valid_until.isoformat() if self.valid_until else "",
                issuing_country=self.issuing_country,
            ),
            name=self.name,
            birth_date=self.birth_date.isoformat(),
            sex=self.sex,
            nationality=self.nationality,
            phone=phone,
            address=self.address,
        )


class ReadingTrouble(Enum):
    """Why nothing was read; the value is what a clerk can say, and do next."""

    NO_DOCUMENT = "没有读到证件，请将证件平放在读卡区。"
    TAKEN_AWAY = "证件移开过早，请重新放置，读完前不要移动。"
    UNREADABLE = "证件芯片无法读取，请擦拭后重试，或人工核对并录入。"
    EXPIRED = "证件已过有效期，请持有效证件办理。"
    READER_AWAY = "身份证阅读器没有应答，请检查连接，或人工核对并录入。"


class IdentityReader(Protocol):
    """Reads the document that lies on it."""

    def read(self) -> IdentityReading | ReadingTrouble:
        """Once; it does not wait for a document."""
        ...
