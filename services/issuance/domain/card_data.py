"""What goes onto a chip: the values, and the bytes of each record."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from services.issuance.domain.effects import Refused
from services.issuance.domain.product import Encoding, Product, Record, Source, place_name
from services.issuance.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class CardData:
    """From the card service, asked for again at each beginning and never stored here. It is never shown."""

    card_identifier: str = field(repr=False)
    """32 hexadecimal digits."""
    card_number: str = field(repr=False)
    social_security_number: str = field(repr=False)
    """Of another document, or empty, where a holder has none."""
    name: str = field(repr=False)
    sex: str = field(repr=False)
    """GB/T 2261: 1 male, 2 female."""
    nationality: str = field(repr=False)
    """GB 3304, two digits."""
    birthplace: str = field(repr=False)
    """GB/T 2260, six digits; empty: not known."""
    birth_date: date = field(repr=False)
    issue_date: date
    expiry_date: date


@dataclass(frozen=True, slots=True)
class Content:
    """A record as it is to be on the chip."""

    file: int
    number: int
    source: Source
    factory: bool
    content: bytes = field(repr=False)
    """tag ‖ length ‖ value."""

    @property
    def place(self) -> str:
        """EF05/07 …"""
        return place_name(self.file, self.number)


class _CannotCarryError(Exception):
    """A value does not go onto the chip."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


def records_of(product: Product, data: CardData) -> tuple[Content, ...] | Refused:
    """Every record in the order of writing, or the first that the chip cannot carry. Nothing is ever cut or replaced."""
    found: list[Content] = []
    for file, record in product.records():
        try:
            value = _value(product, record, data)
        except _CannotCarryError as error:
            return Refused(error.refusal, file.place(record))
        content = bytes((record.tag, record.length)) + value
        found.append(Content(file.identifier, record.number, record.source, record.factory, content))
    return tuple(found)


def pick(contents: Iterable[Content], *sources: Source) -> tuple[Content, ...]:
    """Those records whose values come from there."""
    return tuple(content for content in contents if content.source in sources)


def identifier_bytes(card_identifier: str) -> bytes:
    """Raises ValueError."""
    return bytes.fromhex(card_identifier)


def _value(product: Product, record: Record, data: CardData) -> bytes:
    match record.source:
        case Source.NAME | Source.NAME_EXTENSION:
            return _name(product, record, data.name)
        case Source.CONSTANT:
            text = record.constant
        case Source.SOCIAL_SECURITY_NUMBER:
            return _encoded(record, data.social_security_number, shorter=True)
        case Source.BIRTHPLACE:
            text = data.birthplace or "00" * record.length
        case Source.BIRTH_DATE | Source.ISSUE_DATE | Source.EXPIRY_DATE as source:
            text = f"{getattr(data, source):%Y%m%d}"
        case source:
            text = getattr(data, source)
    return _encoded(record, text)


def _encoded(record: Record, text: str, *, shorter: bool = False) -> bytes:
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise _CannotCarryError(Refusal.VALUE_MALFORMED)
    try:
        value = bytes.fromhex(text) if record.encoding is Encoding.HEX else text.encode(record.encoding)
    except ValueError:
        raise _CannotCarryError(Refusal.VALUE_MALFORMED) from None
    if len(value) > record.length:
        raise _CannotCarryError(Refusal.VALUE_TOO_LONG)
    if len(value) < record.length and not shorter:
        raise _CannotCarryError(Refusal.VALUE_MALFORMED)
    return value.ljust(record.length, b"\0")


def _name(product: Product, record: Record, name: str) -> bytes:
    """The name's part for a record, zeros behind: no character is torn apart between the two records."""
    try:
        characters = [character.encode(record.encoding) for character in name]
    except UnicodeEncodeError:
        raise _CannotCarryError(Refusal.VALUE_NOT_CARRIED) from None
    if not characters or b"\0" in characters:
        raise _CannotCarryError(Refusal.VALUE_MALFORMED)
    lengths = {one.source: one.length for _, one in product.records()}
    first = b""
    while characters and len(first) + len(characters[0]) <= lengths[Source.NAME]:
        first += characters.pop(0)
    rest = b"".join(characters)
    if len(rest) > lengths.get(Source.NAME_EXTENSION, 0):
        raise _CannotCarryError(Refusal.VALUE_TOO_LONG)
    return (first if record.source is Source.NAME else rest).ljust(record.length, b"\0")
