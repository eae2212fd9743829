"""Where a key of a TOML file stands, because the library that reads it does not say."""

import re
from typing import Final

_TABLE: Final = re.compile(r"\s*\[(\[?)\s*([\w.\-\"]+)\s*\]")
_KEY: Final = re.compile(r"\s*([\w\-\"]+)\s*(?:\.[\w.\-\"]+\s*)?=")


def line_of(text: str, path: str) -> int:
    """The line, from 1, of what `path` (as msgspec writes it: `$.rule[2].payer`) names, or of the nearest table around it."""
    places = _places(text)
    wanted = path.removeprefix("$").removeprefix(".")
    while wanted and wanted not in places:
        wanted = re.sub(r"(\.[^.\[]+|\[[^\]]*\]|^[^.\[]+)$", "", wanted)
    return places.get(wanted, 1)


def _places(text: str) -> dict[str, int]:
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _table(header[2], counts, is_array=bool(header[1]))
            places[table] = number
        elif key := _KEY.match(line):
            name = key[1].strip('"')
            places.setdefault(f"{table}.{name}" if table else name, number)
    return places


def _table(name: str, counts: dict[str, int], *, is_array: bool) -> str:
    """The full path of a table; names of arrays stand for their last element."""
    path = ""
    parts = name.replace('"', "").split(".")
    for at, part in enumerate(parts):
        path = f"{path}.{part}" if path else part
        if is_array and at == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = f"{path}[{counts[path]}]"
    return path
