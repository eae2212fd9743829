"""What stands on the screens, in three languages; no sentence of ours stands elsewhere."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("zh", "zh-Hant", "en")
"""In the order of the table's columns."""
NAMES: Final = ("简体中文", "繁體中文", "English")
_TABLE: Final = Path(__file__).with_name("texts.toml")


@cache
def table() -> dict[str, tuple[str, ...]]:
    """All of them, by their ids."""
    return {key: tuple(told) for key, told in tomllib.loads(_TABLE.read_text(encoding="utf-8")).items()}


class Texts:
    """One language at a time."""

    def __init__(self, language: str = "zh") -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """A text by its id; KeyError: there is none."""
        text = table()[key][LANGUAGES.index(self.language)]
        return text.format(**values) if values else text

    def of(self, prefix: str, name: str) -> str:
        """A word for a value of the platform; what has none is shown as it is."""
        key = f"{prefix}.{name}"
        return self(key) if key in table() else name
