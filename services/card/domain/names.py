"""People's names: what one may consist of, and which characters a bank's file, a chip or a printer cannot carry."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_MIDDLE_DOT: Final = "·"
_DOTS: Final = re.compile(r"(?<=[^\x00-\x7f])\s*[·•・‧．.∙⋅●]\s*(?=[^\x00-\x7f])")
_HAN: Final = re.compile(r"[㐀-䶿一-鿿豈-﫿𠀀-𲎯〇]+(?:·[㐀-䶿一-鿿豈-﫿𠀀-𲎯〇]+)*")
_LATIN: Final = re.compile(r"[A-Z]+(?:[ '.,-]+[A-Z]+)*\.?")
LONGEST: Final = 50
"""Characters; the longest names with middle dots stay below thirty."""
TAG_09_BYTES: Final = 30
"""Of the name in EF06 of the chip, in GBK."""
TAG_4E_BYTES: Final = 60
"""Of the name extension there: our own assumption, as its length was published nowhere."""


class NameProblem(IntEnum):
    """What is wrong with a name."""

    EMPTY = 1
    TOO_LONG = 2
    CHARACTERS = 3
    """Digits, signs, or scripts mixed."""


def normalise_name(text: str) -> str | NameProblem:
    """A name as it is stored: no blanks around, one kind of middle dot, Latin letters in capitals. Han, or Latin, not both."""
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        return NameProblem.EMPTY
    if len(name) > LONGEST:
        return NameProblem.TOO_LONG
    dotted = _DOTS.sub(_MIDDLE_DOT, name)
    if _HAN.fullmatch(dotted):
        return dotted
    latin = _plain(name).upper()
    return latin if _LATIN.fullmatch(latin) else NameProblem.CHARACTERS


class Carrier(IntEnum):
    """What a name has to travel on."""

    BANK_FILE = 1
    """GBK."""
    CHIP = 2
    """Tags 09 and 4E of EF06, GBK."""
    PRINTER = 3
    """The font of the printer at the window."""


@dataclass(frozen=True, slots=True)
class CannotCarry:
    """A carrier, and the characters that it cannot carry; none of them: the name is too long for it."""

    carrier: Carrier
    characters: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What a clerk can say; each character with its code point, for it may not be to be seen."""
        where = {Carrier.BANK_FILE: "银行文件", Carrier.CHIP: "芯片", Carrier.PRINTER: "打印机字库"}[self.carrier]
        if not self.characters:
            return f"姓名过长，{where}无法完整写入，请转后台处理。"
        named = "、".join(f"“{character}”（U+{ord(character):04X}）" for character in self.characters)
        return f"姓名中的{named}不在{where}的字符集中，请转后台处理。"


def cannot_carry(name: str, prints: Callable[[str], bool]) -> tuple[CannotCarry, ...]:
    """What will not carry a name as it is. It is never cut, and no character is ever replaced. `prints`: is it in the font?"""
    found: list[CannotCarry] = []
    beyond_gbk = tuple(dict.fromkeys(character for character in name if not _in_gbk(character)))
    if beyond_gbk:
        found += [CannotCarry(Carrier.BANK_FILE, beyond_gbk), CannotCarry(Carrier.CHIP, beyond_gbk)]
    elif len(name.encode("gbk")) > TAG_09_BYTES + TAG_4E_BYTES:
        found.append(CannotCarry(Carrier.CHIP, ()))
    if unprintable := tuple(dict.fromkeys(character for character in name if not prints(character))):
        found.append(CannotCarry(Carrier.PRINTER, unprintable))
    return tuple(found)


def carriers(found: Iterable[CannotCarry]) -> int:
    """Those that cannot carry a name, as bits."""
    return sum(1 << one.carrier for one in found)


def prints_with(charset: str) -> Callable[[str], bool]:
    """Whether a character is in the font of the printers at the windows, which carries that character set."""

    def prints(character: str) -> bool:
        return _in_charset(character, charset)

    return prints


def _plain(name: str) -> str:
    """Latin letters without their marks, as the machine-readable zone of a passport has them."""
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))


def _in_gbk(character: str) -> bool:
    return _in_charset(character, "gbk")


def _in_charset(character: str, charset: str) -> bool:
    try:
        character.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
