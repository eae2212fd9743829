"""Card products, read from files. What is wrong is named with file and key."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from services.issuance.domain.product import (
    Algorithm,
    Encoding,
    File,
    Key,
    MacForm,
    PinRules,
    Product,
    Record,
    Source,
    faults,
)

PRODUCTS: Final = Path(__file__).resolve().parents[3] / "products"
"""Those that come with the platform."""

_Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=15)]
_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{2})+$")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,32}$")]


class ProductsError(Exception):
    """A file cannot be used; the message names it and the key."""


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=1, le=254)]
    tag: _Byte
    length: int
    encoding: Encoding
    source: Source
    value: str = ""
    factory: bool = False

    def build(self) -> Record:
        return Record(self.number, self.tag, self.length, self.encoding, self.source, self.value, self.factory)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    identifier: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    write_with: _Name
    records: Annotated[list[_Record], msgspec.Meta(min_length=1)]
    read_with: str = ""

    def build(self) -> File:
        return File(self.identifier, tuple(record.build() for record in self.records), self.write_with, self.read_with)


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    name: _Name
    address: _Byte
    under: _Name
    authenticates: bool = False
    tries: _Count = 0

    def build(self) -> Key:
        return Key(self.name, self.address, self.under, self.authenticates, self.tries)


class _Pin(msgspec.Struct, forbid_unknown_fields=True):
    key: _Name
    reload: _Hex
    digits: Annotated[int, msgspec.Meta(ge=4, le=12, multiple_of=2)]


class _Product(msgspec.Struct, forbid_unknown_fields=True):
    code: _Name
    name: str
    source: str
    """Where the facts were found."""
    generation: int
    algorithm: Algorithm
    mac: MacForm
    atr: Annotated[list[Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F?*]+$")]], msgspec.Meta(min_length=1)]
    application: str
    load: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F]{6}$")]
    key_header: _Hex
    tries_kept: _Count
    files: Annotated[list[_File], msgspec.Meta(min_length=1)]
    keys: Annotated[list[_Key], msgspec.Meta(min_length=1)]
    pin: _Pin | None = None

    def build(self) -> Product:
        return Product(
            code=self.code,
            name=self.name,
            generation=self.generation,
            algorithm=self.algorithm,
            mac=self.mac,
            atr=tuple(self.atr),
            application=self.application.encode("gbk"),
            files=tuple(file.build() for file in self.files),
            keys=tuple(key.build() for key in self.keys),
            load=bytes.fromhex(self.load),
            key_header=bytes.fromhex(self.key_header),
            tries_kept=self.tries_kept,
            pin=PinRules(self.pin.key, bytes.fromhex(self.pin.reload), self.pin.digits) if self.pin else None,
        )


def read_products(folder: Path = PRODUCTS) -> tuple[Product, ...]:
    """All of a folder, by code. Raises ProductsError."""
    products = [read_product(path) for path in sorted(folder.glob("*.toml"))]
    if not products:
        raise ProductsError(f"{folder}: there is no card product")
    for what in (_code, _patterns):
        _each_once(folder, products, what)
    return tuple(products)


def read_product(path: Path) -> Product:
    """Raises ProductsError."""
    try:
        product = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Product).build()
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise ProductsError(f"{path}: {error}") from None
    for fault in faults(product):
        raise ProductsError(f"{path}: {fault}")
    return product


def _each_once(folder: Path, products: list[Product], what: Callable[[Product], tuple[str, ...]]) -> None:
    seen: dict[str, str] = {}
    for product in products:
        for value in what(product):
            if value in seen:
                raise ProductsError(f"{folder}: {seen[value]} and {product.name} have the same {value}")
            seen[value] = product.name


def _code(product: Product) -> tuple[str, ...]:
    return (product.code,)


def _patterns(product: Product) -> tuple[str, ...]:
    return product.atr
