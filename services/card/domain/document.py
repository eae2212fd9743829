"""Identity documents: how the number of each kind is checked, and what it states about its bearer."""

import re
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Final

from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_11_2

from services.card.domain.person import Sex
from services.card.domain.region import find_region, known_province


class DocumentKind(IntEnum):
    """Kinds of documents. The numbers are stored and travel: never changed, never used again."""

    RESIDENT_ID = 1
    """居民身份证"""
    HOUSEHOLD_REGISTER = 2
    """户口簿, of children: it states the same number."""
    HK_MACAU_RESIDENCE_PERMIT = 3
    """港澳台居民居住证, codes 81 and 82."""
    TAIWAN_RESIDENCE_PERMIT = 4
    """港澳台居民居住证, code 83."""
    FOREIGN_PERMANENT_RESIDENCE = 5
    """外国人永久居留身份证: 18 digits that begin with 9, or the older 15 characters."""
    HK_MACAU_TRAVEL_PERMIT = 6
    """港澳居民来往内地通行证"""
    TAIWAN_TRAVEL_PERMIT = 7
    """台湾居民来往大陆通行证"""
    PASSPORT = 8


class DocumentProblem(IntEnum):
    """What is wrong with a number; it never says which number."""

    LENGTH = 1
    CHARACTERS = 2
    CHECK_DIGIT = 3
    REGION = 4
    BIRTH_DATE = 5
    KIND = 6
    """It is a number of another kind of document."""
    COUNTRY = 7
    """Of a passport: two countries may give the same number."""


PROBLEMS: Final = {
    DocumentProblem.LENGTH: "证件号码位数不对，请核对后重新录入。",
    DocumentProblem.CHARACTERS: "证件号码中有不能接受的字符，请核对后重新录入。",
    DocumentProblem.CHECK_DIGIT: "证件号码校验位不符，请核对后重新录入。",
    DocumentProblem.REGION: "证件号码前六位不是行政区划代码，请核对后重新录入。",
    DocumentProblem.BIRTH_DATE: "证件号码中的出生日期有误，请核对后重新录入。",
    DocumentProblem.KIND: "证件号码与证件类型不符，请核对证件类型。",
    DocumentProblem.COUNTRY: "请录入护照签发国家或地区的三位字母代码。",
}
"""What a clerk can say."""

REGION_IN_DOUBT: Final = "证件号码前六位不在区划代码表中，或该区划在持证人出生前已经撤销，请核对证件原件。"
"""What a clerk can say of a number that is accepted all the same."""

CITIZEN_NUMBERS: Final = frozenset(
    {
        DocumentKind.RESIDENT_ID,
        DocumentKind.HOUSEHOLD_REGISTER,
        DocumentKind.HK_MACAU_RESIDENCE_PERMIT,
        DocumentKind.TAIWAN_RESIDENCE_PERMIT,
    }
)
"""They state a number for life with region, birth date and sex (GB 11643), which is the social security number."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document whose number can be what it says."""

    kind: DocumentKind
    number: str = field(repr=False)
    birth_date: date | None = field(repr=False, default=None)
    """As the number states it; None: it states none."""
    sex: Sex = field(repr=False, default=Sex.UNKNOWN)
    region: str = field(repr=False, default="")
    """The name of the region of the number's first issue; empty: none, or the table does not have it."""
    region_in_doubt: bool = False
    """The county is in no table, which may be too old, or it was abolished before the bearer was born: worth a second look."""
    country: str = ""
    """Of a passport: who issued it, by ICAO 9303."""

    @property
    def citizen(self) -> bool:
        """Whether the number is a person's for life: two such numbers are two people."""
        return self.kind in CITIZEN_NUMBERS or (
            self.kind is DocumentKind.FOREIGN_PERMANENT_RESIDENCE and self.number[:1] == "9"
        )

    @property
    def text(self) -> str:
        """What tells it from every other of its kind, as it is sealed and digested."""
        return f"{self.country} {self.number}" if self.country else self.number

    @property
    def social_security_number(self) -> str:
        """The bearer's where the document states one; of a passport with country and a reserved 0 (MOHRSS order 16, annex)."""
        return f"{self.country}0{self.number}" if self.country else self.number


def read_text(text: str) -> tuple[str, str]:
    """Issuing country, empty but for a passport, and number of a document, by its text."""
    country, _, number = text.rpartition(" ")
    return country, number


def takes_place_of(new: Document, old: Document) -> bool:
    """A person has one document of a kind, and one number for life."""
    return new.kind is old.kind or (new.citizen and old.citizen)


_SHAPES: Final = {
    DocumentKind.HK_MACAU_TRAVEL_PERMIT: re.compile(r"[HM][0-9]{8}(?:[0-9]{2})?"),
    DocumentKind.TAIWAN_TRAVEL_PERMIT: re.compile(r"[0-9]{8}"),
    DocumentKind.PASSPORT: re.compile(r"[A-Z0-9]{5,20}"),
}
_COUNTRY: Final = re.compile(r"[A-Z]{3}")
_OLD_PERMANENT_RESIDENCE: Final = re.compile(r"[A-Z]{3}[0-9]{12}")
_CITIZEN: Final = re.compile(r"[0-9]{17}[0-9X]")
_REGIONS: Final = {
    DocumentKind.HK_MACAU_RESIDENCE_PERMIT: ("810000", "820000"),
    DocumentKind.TAIWAN_RESIDENCE_PERMIT: ("830000",),
}
_PERMIT_REGIONS: Final = ("81", "82", "83")
_OLDEST: Final = date(1850, 1, 1)
_FULL_WIDTH: Final = str.maketrans({chr(0xFF01 + i): chr(0x21 + i) for i in range(94)})


def parse_document(kind: DocumentKind, number: str, today: date, country: str = "") -> Document | DocumentProblem:
    """A document by what was typed or read: blanks, hyphens, full-width and small letters are put right, nothing else."""
    number, country = _put_right(number), _put_right(country)
    match kind:
        case DocumentKind.FOREIGN_PERMANENT_RESIDENCE:
            return _permanent_residence(number, today)
        case _ if kind in CITIZEN_NUMBERS:
            return _citizen(kind, number, today)
    if not _SHAPES[kind].fullmatch(number):
        return _misshapen(number)
    if kind is not DocumentKind.PASSPORT:
        return Document(kind, number)
    return Document(kind, number, country=country) if _COUNTRY.fullmatch(country) else DocumentProblem.COUNTRY


def _put_right(typed: str) -> str:
    return re.sub(r"[\s-]", "", typed.translate(_FULL_WIDTH)).upper()


def _citizen(kind: DocumentKind, number: str, today: date) -> Document | DocumentProblem:
    """GB 11643: region, birth date, a number of the day (odd for men), ISO 7064 MOD 11-2."""
    if len(number) != 18:
        return DocumentProblem.LENGTH
    if not _CITIZEN.fullmatch(number):
        return DocumentProblem.CHARACTERS
    if not _check_digit_is_right(number):
        return DocumentProblem.CHECK_DIGIT
    if number[:6] not in _REGIONS[kind] if kind in _REGIONS else number[:2] in (*_PERMIT_REGIONS, *_NINES):
        return DocumentProblem.KIND
    birth_date = _birth_date(number[6:14])
    if birth_date is None or not _OLDEST <= birth_date <= today:
        return DocumentProblem.BIRTH_DATE
    if not known_province(number):
        return DocumentProblem.REGION
    region = find_region(number[:6])
    return Document(
        kind,
        number,
        birth_date,
        _sex(number),
        region.name if region else "",
        region is None or region.last_year < birth_date.year,
    )


def _permanent_residence(number: str, today: date) -> Document | DocumentProblem:
    """The newer form: 9, region 2, country 3, birth date 8, a number of the day 3 (odd for men), ISO 7064 MOD 11-2."""
    kind = DocumentKind.FOREIGN_PERMANENT_RESIDENCE
    if _OLD_PERMANENT_RESIDENCE.fullmatch(number):
        return Document(kind, number)
    if len(number) != 18:
        return DocumentProblem.LENGTH
    if not _CITIZEN.fullmatch(number):
        return DocumentProblem.CHARACTERS
    if number[0] != "9":
        return DocumentProblem.KIND
    if not _check_digit_is_right(number):
        return DocumentProblem.CHECK_DIGIT
    birth_date = _birth_date(number[6:14])
    if birth_date is None or not _OLDEST <= birth_date <= today:
        return DocumentProblem.BIRTH_DATE
    return Document(kind, number, birth_date, _sex(number))


_NINES: Final = tuple(str(n) for n in range(90, 100))


def _check_digit_is_right(number: str) -> bool:
    try:
        mod_11_2.validate(number)
    except ValidationError:
        return False
    return True


def _birth_date(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _sex(number: str) -> Sex:
    return Sex.MALE if int(number[16]) % 2 else Sex.FEMALE


def _misshapen(number: str) -> DocumentProblem:
    return DocumentProblem.CHARACTERS if not re.fullmatch(r"[A-Z0-9]*", number) else DocumentProblem.LENGTH
