"""What a factory makes of a card product: the files, keys and rules of its chips, from the data that issuance reads, too."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PRODUCTS: Final = Path(__file__).parents[2] / "products"
_UNUSED: Final = {3: (0xEF07, 0xEF08)}
"""Files that are there by generation and stay empty: fingerprint, photo."""
_DIRECTORIES: Final = {2: frozenset({0xDF01}), 3: frozenset({0xDF01, 0xDF02})}
"""Public services, employment: other places, with nothing that concerns us."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key lies."""

    name: str
    address: int
    under: str
    """The key that protects its replacement."""
    tries: int
    """Of EXTERNAL AUTHENTICATE in a row; 0: it does not authenticate."""


@dataclass(frozen=True, slots=True)
class ChipFile:
    """A file of records."""

    number: int
    write_with: str
    """Empty: nobody may."""
    read_with: str
    """Empty: anybody may."""
    factory: dict[int, bytes | None]
    """Records that are there from the factory, for ever: tag ‖ length ‖ value; None: the card identifier."""
    identifier_tag: int
    headers: dict[int, bytes]
    """tag ‖ length of every record that has a place, by its number."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of chip."""

    code: str
    algorithm: str
    folded: bool
    """Of the CBC-MAC's last block the words are XORed; otherwise its first four bytes count."""
    atr: bytes
    application: bytes
    files: dict[int, ChipFile]
    directories: frozenset[int]
    keys: dict[int, KeyPlace]
    load: bytes
    """CLA INS P1 of a key load; P2 is the key's address."""
    key_header: bytes
    pin_key: str
    """Empty: the card has no PIN."""
    pin_reload: bytes
    """CLA INS P1 P2."""
    pin_bytes: int

    @property
    def block_bytes(self) -> int:
        """Of the cipher, and of a challenge."""
        return 8 if self.algorithm == "DES" else 16

    def address(self, name: str) -> int:
        """Of a key by its name."""
        return next(place.address for place in self.keys.values() if place.name == name)


def read_kind(file: Path) -> Kind:
    """From a product's file."""
    told = tomllib.loads(file.read_text(encoding="utf-8"))
    pattern: str = told["atr"][0]
    pin = told.get("pin", {})
    keys = [KeyPlace(k["name"], k["address"], k["under"], k.get("tries", 0)) for k in told["keys"]]
    return Kind(
        told["code"],
        told["algorithm"],
        told["mac"] == "folded",
        bytes.fromhex(pattern.replace("?", "0")),
        told["application"].encode("gbk"),
        {entry["identifier"]: _file(entry) for entry in told["files"]}
        | {number: ChipFile(number, "", "", {}, 0, {}) for number in _UNUSED.get(told["generation"], ())},
        _DIRECTORIES.get(told["generation"], frozenset()),
        {place.address: place for place in keys},
        bytes.fromhex(told["load"]),
        bytes.fromhex(told["key_header"]),
        pin.get("key", ""),
        bytes.fromhex(pin.get("reload", "")),
        pin.get("digits", 0) // 2,
    )


def read_kinds(folder: Path = PRODUCTS) -> dict[str, Kind]:
    """All of them, by their codes."""
    return {kind.code: kind for kind in map(read_kind, sorted(folder.glob("*.toml")))}


def _file(entry: dict[str, Any]) -> ChipFile:
    records = [record for record in entry["records"] if record.get("factory")]
    identifier = next((r["tag"] for r in records if r["source"] == "card_identifier"), 0)
    return ChipFile(
        entry["identifier"],
        entry["write_with"],
        entry.get("read_with", ""),
        {record["number"]: _content(record) for record in records},
        identifier,
        {record["number"]: bytes((record["tag"], record["length"])) for record in entry["records"]},
    )


def _content(record: dict[str, Any]) -> bytes | None:
    if record["source"] == "card_identifier":
        return None
    text: str = record["value"]
    value = bytes.fromhex(text) if record["encoding"] == "hex" else text.encode("ascii")
    return bytes((record["tag"], len(value))) + value
