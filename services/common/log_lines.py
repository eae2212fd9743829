"""Lines of the log that belong to one matter, from the files of all processes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.common.clock import milliseconds

_IDS: Final = ("request_id", "asked", "request", "payment")
"""Fields that hold an id of a call, or of what was asked."""


class Line(NamedTuple):
    """One line; the facts are its fields but those that stand apart."""

    time_ms: int
    event: str
    process: str
    instance: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whatever one matter is known by."""

    ids: frozenset[str] = frozenset()
    """Of requests, calls and payments."""
    taps: frozenset[tuple[str, str, int]] = frozenset()
    """(merchant, terminal, sequence)"""
    places: frozenset[tuple[str, int, int]] = frozenset()
    """(topic, partition, offset) of its records."""
    batches: frozenset[int] = frozenset()

    def of(self, line: Mapping[str, Any]) -> bool:
        """Whether a line belongs to the matter."""
        if any(line.get(field) in self.ids for field in _IDS):
            return True
        if (line.get("merchant"), line.get("terminal"), line.get("sequence")) in self.taps:
            return True
        if (line.get("topic"), line.get("partition"), line.get("offset")) in self.places:
            return True
        if any(_within(line.get("batches"), batch) for batch in self.batches):
            return True
        records = line.get("records")
        if not isinstance(records, dict):
            return False
        return any(_within([records.get(f"{topic}/{partition}")], offset) for topic, partition, offset in self.places)


def find_lines(places: Iterable[Path], wanted: Wanted) -> list[Line]:
    """In order of time. What is found by the id in a message leads to its call, and so to the lines of other processes."""
    lines = [line for line in _lines(places) if wanted.of(line)]
    calls = frozenset(str(line["request_id"]) for line in lines if "request_id" in line) - wanted.ids
    if calls:
        lines = [line for line in _lines(places) if wanted.of(line) or line.get("request_id") in calls]
    return sorted(map(_line, lines), key=lambda line: line.time_ms)


def _within(spans: object, number: int) -> bool:
    """Whether one of the spans has the number; whatever is no span has none."""
    return isinstance(spans, list) and any(
        isinstance(span, list) and len(span) == 2 and span[0] <= number <= span[1] for span in spans
    )


def _lines(places: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for place in places:
        files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
        for file in files:
            with file.open(encoding="utf-8", errors="replace") as text:
                for line in text:
                    if line.startswith("{") and (read := _read(line)) is not None:
                        yield read


def _read(text: str) -> dict[str, Any] | None:
    """None: somebody else's line."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("event"), str) else None


def _line(read: Mapping[str, Any]) -> Line:
    facts = dict(read)
    event, process, instance = (str(facts.pop(name, "")) for name in ("event", "process", "instance"))
    try:
        time_ms = milliseconds(datetime.fromisoformat(str(facts.pop("timestamp", ""))))
    except (ValueError, TypeError):
        time_ms = 0
    return Line(time_ms, event, process, instance, facts)
