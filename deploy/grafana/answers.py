"""What Prometheus may answer to the queries of a panel: something, and each series under a name of its own."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.grafana.pages import Page, Panel, Target

_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
ONE_VALUE: Final = frozenset({"stat"})
"""Kinds of panels that show one number."""

MAY_BE_EMPTY: Final[Mapping[tuple[str, str], str]] = {
    ("health", "What fires"): "no alert fires in a healthy city",
    ("taps", "Postings that were tried again"): "transactions need not collide",
    ("money", "Oldest day that is not paid out"): "merchants may all be paid",
    ("money", "Operations that were declined, by reason"): "everything that is asked may be granted",
    ("cards", "Overdue by kind and way of making"): "the service levels are looked at now and then, and may not have been yet",
    ("cards", "Applications overdue"): "as above",
    ("cards", "Blanks spoiled, by reason"): "no blank need be spoiled",
    ("cards", "PINs that were tried"): "no holder need use a PIN",
    ("cards", "What the vault of chips refused"): "the vault refuses nothing in a healthy city",
    ("calls", "Calls that did not end with OK"): "every call may end well",
}
"""(page, panel) → why nothing may come in a healthy run. What these ask for must be exported all the same."""


@dataclass(frozen=True, slots=True)
class Series:
    """One of an answer: its labels, and (time, value) pairs."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def empty(self) -> bool:
        """Whether it has no number anywhere."""
        return all(math.isnan(value) for _, value in self.points)

    def name(self, legend: str) -> str:
        """As the panel shows it."""
        return _LABEL.sub(lambda match: self.labels.get(match[1], ""), legend)


Answer = Sequence[tuple[Target, Sequence[Series]]]
"""What came to each query of a panel."""


def refusals(page: Page, panel: Panel, answer: Answer) -> list[str]:
    """Whatever is wrong with what came, with the page and the panel."""
    return [f"{page.name} / {panel.title}: {text}" for text in _wrong(page, panel, answer)]


def _wrong(page: Page, panel: Panel, answer: Answer) -> Iterator[str]:
    shown = [(target, [one for one in series if not one.empty]) for target, series in answer]
    if (page.name, panel.title) not in MAY_BE_EMPTY:
        for target, series in shown:
            if not series:
                yield f"{target.ref} is empty: {target.expr}"
    for target, series in shown:
        for label in _LABEL.findall(target.legend):
            if any(label not in one.labels for one in series):
                yield f"{target.ref} is named by the label {label}, which a series lacks"
    names = Counter(one.name(target.legend) for target, series in shown for one in series)
    for name, times in names.items():
        if times > 1:
            yield f"{times} series are called “{name}”"
        if not name.strip():
            yield "a series has no name"
    if panel.kind in ONE_VALUE and sum(names.values()) > 1:
        yield f"shows one number and gets {sum(names.values())}"
