"""Chinese type: which files it is in, and which characters they lack."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sdk.window.devices.printer import CannotPrintError

_DEBIAN = Path("/usr/share/fonts/opentype/noto")
_SIMPLIFIED = 2
"""Which face of a Noto CJK collection has the forms that are used in the mainland."""


class NoTypeError(CannotPrintError):
    """This machine has no Chinese type; the message says what to install."""

    def __init__(self) -> None:
        super().__init__("本机没有中文字库，无法打印。请安装：pip install mplfonts，或 apt install fonts-noto-cjk。")


class TypeFile(NamedTuple):
    """A file of type, and which face in it."""

    path: Path
    face: int = 0


@dataclass(frozen=True, slots=True)
class Type:
    """What a card and a receipt are set in."""

    sans: TypeFile
    serif: TypeFile

    def lacks(self, text: str) -> tuple[str, ...]:
        """The characters that cannot be printed as they are, each once, in their order."""
        carried = _characters(self.sans) & _characters(self.serif)
        return tuple(dict.fromkeys(character for character in text if ord(character) not in carried))


def find_type(folders: Iterable[Path] | None = None) -> Type:
    """In the wheel `mplfonts`, or as Debian installs it. NoTypeError: nowhere."""
    for folder in _folders() if folders is None else folders:
        for sans, serif, face in (
            ("NotoSansCJKsc-Regular.otf", "SourceHanSerifSC-Regular.otf", 0),
            ("NotoSansCJK-Regular.ttc", "NotoSerifCJK-Regular.ttc", _SIMPLIFIED),
        ):
            if (folder / sans).is_file() and (folder / serif).is_file():
                return Type(TypeFile(folder / sans, face), TypeFile(folder / serif, face))
    raise NoTypeError


def named(characters: Iterable[str]) -> str:
    """Characters with their code points, as they may not be to be seen on the screen either."""
    return "、".join(f"“{character}”（U+{ord(character):04X}）" for character in characters)


def _folders() -> list[Path]:
    wheel = importlib.util.find_spec("mplfonts")  # looked for, not imported: it would bring matplotlib
    inside = [Path(folder) / "fonts" for folder in (wheel.submodule_search_locations or [])] if wheel else []
    return [*inside, _DEBIAN]


@lru_cache(maxsize=4)
def _characters(file: TypeFile) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - only when printing

    with TTFont(file.path, lazy=True, fontNumber=file.face) as font:
        return frozenset(font.getBestCmap())
