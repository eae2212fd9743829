"""The dashboards as they are committed: what is read of Grafana's JSON to check them and to draw them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
BUILT_IN: Final = frozenset({"__rate_interval", "__range", "__interval", "__from", "__to"})
"""Variables that Grafana sets by itself."""
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel."""

    ref: str
    expr: str
    legend: str
    source: str
    """The uid of its datasource."""


@dataclass(frozen=True, slots=True)
class Place:
    """On the grid of 24 columns."""

    x: int
    y: int
    w: int
    h: int

    def overlaps(self, other: "Place") -> bool:
        """Whether a cell is covered by both."""
        return (
            self.x < other.x + other.w
            and other.x < self.x + self.w
            and self.y < other.y + other.h
            and other.y < self.y + self.h
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """As it stands on its page; a row is one too, without targets."""

    id: int
    kind: str
    title: str
    description: str
    unit: str
    decimals: int | None
    steps: Sequence[tuple[float | None, str]]
    place: Place
    source: str
    stacked: bool
    targets: Sequence[Target]

    @property
    def is_row(self) -> bool:
        """Whether it is the heading of a shelf."""
        return self.kind == "row"


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard."""

    name: str
    uid: str
    title: str
    description: str
    links: Sequence[Mapping[str, Any]]
    tags: Sequence[str]
    variables: Mapping[str, str]
    """Its own variables, and the value of "all"."""
    variable_sources: Mapping[str, str]
    variable_queries: Mapping[str, str]
    panels: Sequence[Panel]

    def fill(self, expr: str, given: Mapping[str, str]) -> str:
        """A query with its variables set: the page's own to "all", Grafana's to what is given."""
        values = {**self.variables, **given}
        return _VARIABLE.sub(lambda match: values[match[1] or match[2]], expr)


def variables_in(text: str) -> set[str]:
    """Names of the variables that a query or a legend uses."""
    return {braced or plain for braced, plain in _VARIABLE.findall(text)}


def read_pages(folder: Path = FOLDER) -> list[Page]:
    """Every dashboard of a folder, by name."""
    return [page_of(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]


def page_of(name: str, found: Mapping[str, Any]) -> Page:
    """One dashboard of its JSON."""
    variables = found.get("templating", {}).get("list") or []
    return Page(
        name,
        found.get("uid", ""),
        found.get("title", ""),
        found.get("description", ""),
        found.get("links") or [],
        found.get("tags") or [],
        {one["name"]: one.get("allValue", "") for one in variables},
        {one["name"]: (one.get("datasource") or {}).get("uid", "") for one in variables},
        {one["name"]: one.get("query", "") for one in variables},
        [_panel(one) for one in _panels(found.get("panels") or [])],
    )


def _panels(found: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in found:
        yield one
        yield from _panels(one.get("panels") or [])


def _panel(found: Mapping[str, Any]) -> Panel:
    defaults = found.get("fieldConfig", {}).get("defaults", {})
    place = found.get("gridPos", {})
    return Panel(
        found.get("id", 0),
        found.get("type", ""),
        found.get("title", ""),
        found.get("description", ""),
        defaults.get("unit", ""),
        defaults.get("decimals"),
        [(step.get("value"), step["color"]) for step in defaults.get("thresholds", {}).get("steps", [])],
        Place(*(place.get(key, 0) for key in "xywh")),
        (found.get("datasource") or {}).get("uid", ""),
        defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal",
        [
            Target(one.get("refId", ""), one["expr"], one.get("legendFormat", ""), (one.get("datasource") or {}).get("uid", ""))
            for one in found.get("targets") or []
        ],
    )
