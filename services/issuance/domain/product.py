"""A card product: how its chip is built. All of it is data from `products/`; nothing here knows a generation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final

LONGEST_RECORD: Final = 253
"""A short APDU carries 255 bytes: tag and length come first."""
KEY_BYTES: Final = 16
"""SM4 and AES-128; DES has two keys of eight."""

MAC_BYTES: Final = 4


class Algorithm(StrEnum):
    """Of all keys of a product."""

    SM4 = "SM4"
    DES = "DES"
    """With two keys, as triple DES."""
    AES = "AES"

    @property
    def block_bytes(self) -> int:
        """Also how long a challenge and a cryptogram of it are."""
        return 8 if self is Algorithm.DES else 16


class MacForm(StrEnum):
    """How the last block of the CBC-MAC becomes four bytes."""

    FOLDED = "folded"
    """Its words, XORed."""
    LEFT = "left"
    """Its first four bytes."""


class Encoding(StrEnum):
    """How a value becomes bytes."""

    HEX = "hex"
    """cn: two digits a byte."""
    ASCII = "ascii"
    """an: a character a byte."""
    GBK = "gbk"
    """Zeros behind."""


class Source(StrEnum):
    """Where a record's value comes from."""

    CONSTANT = "constant"
    CARD_IDENTIFIER = "card_identifier"
    CARD_NUMBER = "card_number"
    SOCIAL_SECURITY_NUMBER = "social_security_number"
    NAME = "name"
    """As much of it as fits; the rest goes to the extension."""
    NAME_EXTENSION = "name_extension"
    SEX = "sex"
    NATIONALITY = "nationality"
    BIRTHPLACE = "birthplace"
    BIRTH_DATE = "birth_date"
    ISSUE_DATE = "issue_date"
    EXPIRY_DATE = "expiry_date"


@dataclass(frozen=True, slots=True)
class Record:
    """tag ‖ length ‖ value."""

    number: int
    tag: int
    length: int
    """Of the value, in bytes; always all of them."""
    encoding: Encoding
    source: Source
    constant: str = ""
    factory: bool = False
    """Written before we get the blank: compared, never written."""


@dataclass(frozen=True, slots=True)
class File:
    """A linear file of records."""

    identifier: int
    records: tuple[Record, ...]
    write_with: str
    """The key that a writer proves."""
    read_with: str = ""
    """Empty: anybody may read it."""

    def place(self, record: Record) -> str:
        """EF05/07 …"""
        return place_name(self.identifier, record.number)


@dataclass(frozen=True, slots=True)
class Key:
    """A place for a key on the chip. The factory's is replaced by the final one, in the order of the product's keys."""

    name: str
    address: int
    under: str
    """The key that protects its replacement; perhaps itself."""
    authenticates: bool = False
    """EXTERNAL AUTHENTICATE works with it: so the card can tell which generation it has."""
    tries: int = 0
    """Of authenticating in a row, from the factory; 0 where nothing counts."""


@dataclass(frozen=True, slots=True)
class PinRules:
    """How the card's own PIN is set anew."""

    key: str
    reload: bytes
    """CLA INS P1 P2."""
    digits: int

    def takes(self, pin: str) -> bool:
        """As the holder keyed it in."""
        return len(pin) == self.digits and pin.isascii() and pin.isdecimal()


@dataclass(frozen=True, slots=True)
class Product:
    """In `files` and `keys` the order is that of writing."""

    code: str
    name: str
    generation: int
    algorithm: Algorithm
    mac: MacForm
    atr: tuple[str, ...]
    """Capital hexadecimal digits, `?` for any, `*` for any number of them."""
    application: bytes
    """Its name, as it is selected by."""
    files: tuple[File, ...]
    keys: tuple[Key, ...]
    load: bytes
    """CLA INS P1 of a key load; P2 is the key's address."""
    key_header: bytes
    """Before the key, inside of what is enciphered."""
    tries_kept: int
    """No attempt is made whose failure would leave fewer."""
    pin: PinRules | None = None

    @property
    def challenge_bytes(self) -> int:
        """Of the card's random numbers."""
        return self.algorithm.block_bytes

    def key(self, name: str) -> Key:
        """Raises KeyError."""
        for key in self.keys:
            if key.name == name:
                return key
        raise KeyError(name)

    def key_at(self, address: int) -> Key:
        """Raises KeyError."""
        for key in self.keys:
            if key.address == address:
                return key
        raise KeyError(address)

    def load_header(self, key: Key) -> bytes:
        """CLA INS P1 P2 Lc of the command that replaces a key."""
        return self._protected(self.load + bytes((key.address,)), len(self.key_header) + KEY_BYTES)

    def pin_header(self, pin: PinRules) -> bytes:
        """CLA INS P1 P2 Lc of the command that sets the PIN anew."""
        return self._protected(pin.reload, 1 + pin.digits // 2)

    def _protected(self, begin: bytes, plain_bytes: int) -> bytes:
        """With the length of what is padded, enciphered, and has a MAC behind."""
        block = self.algorithm.block_bytes
        return begin + bytes(((plain_bytes // block + 1) * block + MAC_BYTES,))

    @property
    def internal(self) -> Key | None:
        """With which the card proves itself, where it can."""
        return next((key for key in self.keys if key.name == INTERNAL), None)

    @property
    def identifier_place(self) -> tuple[File, Record]:
        """Where the card identifier stands."""
        return next((file, record) for file, record in self.records() if record.source is Source.CARD_IDENTIFIER)

    def records(self) -> Iterator[tuple[File, Record]]:
        """All of them, in the order of writing."""
        return ((file, record) for file in self.files for record in file.records)

    def session_keys(self) -> tuple[Key, ...]:
        """Those that reading and writing the files needs, in their order."""
        wanted = {name for file in self.files for name in (file.read_with, file.write_with)}
        return tuple(key for key in self.keys if key.name in wanted)


INTERNAL: Final = "internal"
"""The name of the key with which a card proves itself."""


def place_name(file: int, record: int) -> str:
    """EF05/07 …"""
    return f"{file:04X}/{record:02}"


def product_of(atr: bytes, products: Iterable[Product]) -> Product | None:
    """The product whose reset answers like that."""
    text = atr.hex().upper()
    return next((product for product in products if any(fnmatchcase(text, pattern) for pattern in product.atr)), None)


def faults(product: Product) -> Iterator[str]:
    """What is wrong with it: each with the key where it stands."""
    names = [key.name for key in product.keys]
    yield from _repeated("keys.name", names)
    yield from _repeated("keys.address", [f"{key.address:#04x}" for key in product.keys])
    yield from _repeated("files.identifier", [f"{file.identifier:#06x}" for file in product.files])
    authenticating = {key.name for key in product.keys if key.authenticates}
    for key in product.keys:
        if key.under not in authenticating:
            yield f"keys.under: {key.under} of {key.name} is no key that authenticates"
        elif names.index(key.under) < names.index(key.name):
            yield f"keys.under: {key.under} is replaced before {key.name}, which it protects"
        if key.authenticates and key.tries <= product.tries_kept:
            yield f"keys.tries: {key.name} has no more than the {product.tries_kept} of tries_kept"
    for file in product.files:
        yield from _file_faults(file, authenticating)
    yield from _record_faults(product)
    if product.pin and product.pin.key not in names:
        yield f"pin.key: there is no key {product.pin.key}"


def _file_faults(file: File, authenticating: set[str]) -> Iterator[str]:
    where = f"files {file.identifier:#06x}"
    if file.write_with not in authenticating:
        yield f"{where} write_with: {file.write_with} is no key that authenticates"
    if file.read_with and file.read_with not in authenticating:
        yield f"{where} read_with: {file.read_with} is no key that authenticates"
    yield from _repeated(f"{where} records.number", [str(record.number) for record in file.records])
    yield from _repeated(f"{where} records.tag", [f"{record.tag:#04x}" for record in file.records])
    for record in file.records:
        if bool(record.constant) is not (record.source is Source.CONSTANT):
            yield f'{where} records {record.number}: value and source "constant" belong together'
        if not 0 < record.length <= LONGEST_RECORD:
            yield f"{where} records {record.number} length: {record.length} is not from 1 to {LONGEST_RECORD}"


def _record_faults(product: Product) -> Iterator[str]:
    sources = [record.source for _, record in product.records() if record.source is not Source.CONSTANT]
    yield from _repeated("files.records.source", sources)
    identifier = [(file, record) for file, record in product.records() if record.source is Source.CARD_IDENTIFIER]
    if not identifier:
        yield "files.records.source: no record holds the card_identifier"
    elif not identifier[0][1].factory or identifier[0][0].read_with:
        yield "files.records.factory: the card_identifier is written by the factory, and anybody may read it"
    written = [record.source for _, record in product.records() if not record.factory]
    if written[-1:] != [Source.CARD_NUMBER]:
        yield "files.records: the card_number is the last that is written"
    if Source.NAME_EXTENSION in sources and Source.NAME not in sources:
        yield "files.records.source: name_extension goes with name"


def _repeated(where: str, values: Iterable[str]) -> Iterator[str]:
    for before, after in pairwise(sorted(values)):
        if before == after:
            yield f"{where}: {after} stands there twice"
