"""A factory of blanks: chips with the transport key, and the delivery file that goes with each box."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from stdnum import luhn

from simulation.chips.card import Chip
from simulation.chips.cipher import mac4
from simulation.chips.kind import Kind

FIRST_SERIAL: Final = 0x8000_0000
"""Of card identifiers: the card service's own lie below."""
_FIXED: Final = bytes.fromhex("D156000005")
_BANK: Final = "622848"


class Blank(NamedTuple):
    """One card of a box."""

    serial: str
    """As it is printed on the plastic."""
    chip: Chip
    account: str
    """Which the bank has opened for it; empty: none."""


@dataclass(frozen=True, slots=True)
class Factory:
    """What the city gave its supplier."""

    city_code: str
    """Six digits."""
    keys: dict[str, bytes]
    """`sm4.transport`, `sm4.irk` and the like: of blanks, and of card identifiers, by algorithm."""

    @classmethod
    def keep(cls, file: Path, city_code: str) -> Factory:
        """The factory of a city that shows itself: its keys are drawn once, and lie in a file of its owner's."""
        if not file.exists():
            drawn = {
                f"{algorithm}.{name}": secrets.token_hex(16)
                for algorithm in ("sm4", "des", "aes")
                for name in ("transport", "irk")
            }
            partial = file.with_suffix(".partial")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as kept:
                json.dump(drawn, kept)
            partial.rename(file)
        return cls(city_code, {label: bytes.fromhex(key) for label, key in json.loads(file.read_text()).items()})

    def identifier(self, kind: Kind, number: int) -> bytes:
        """卡识别码: city 3 bytes, D156000005, serial 4 bytes, MAC 4 bytes."""
        body = bytes.fromhex(self.city_code) + _FIXED + (FIRST_SERIAL + number).to_bytes(4)
        return body + mac4(kind.algorithm, self._key(kind, "irk"), bytes(kind.block_bytes), body, folded=kind.folded)

    def _key(self, kind: Kind, name: str) -> bytes:
        return self.keys[f"{kind.algorithm.lower()}.{name}"]

    def make(self, kind: Kind, first: int, count: int, *, accounts: bool = True) -> Iterator[Blank]:
        """So many blanks, numbered from `first`."""
        for number in range(first, first + count):
            chip = Chip.blank(kind, self.identifier(kind, number), self._key(kind, "transport"))
            yield Blank(f"{kind.code.upper()}-{number:08}", chip, _account(number) if accounts else "")


def delivery_file(box: str, product: str, supplier: str, blanks: list[Blank]) -> bytes:
    """As the supplier sends it with a box: a line with the box, a line a blank."""
    lines = [f"{box}|{product}|{supplier}|{len(blanks)}"]
    lines += (f"{blank.serial}|{blank.chip.identifier.hex().upper()}|{blank.account}" for blank in blanks)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _account(number: int) -> str:
    digits = f"{_BANK}{number:012}"
    return digits + luhn.calc_check_digit(digits)
