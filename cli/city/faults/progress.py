"""What became of the alerts of faults that were begun: fired, told to whom they are for, and over again."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cli.city.faults.fault import Fault, fired_by
from cli.city.notices import Notice
from deploy.prometheus.alerts import Table

PAGE = "page"


@dataclass(slots=True)
class Awaited:
    """One alert that must fire, with the seconds that everything took."""

    fault: str
    alert: str
    receiver: str
    fired_after: float | None = None
    told_after: float | None = None
    over_after: float | None = None
    """From when it was mended to when its receiver was told that it is over."""
    firing: set[str] = field(default_factory=set)
    """Which of that name."""

    @property
    def is_over(self) -> bool:
        """Whether its receiver was told of it, and that none is left."""
        return self.told_after is not None and not self.firing

    @property
    def seconds(self) -> float | None:
        """How long it takes where nothing else is waited for."""
        return None if self.told_after is None or self.over_after is None else self.told_after + self.over_after

    @property
    def succeeded(self) -> bool:
        """Whether it went the whole way."""
        return self.is_over and self.over_after is not None


class Progress:
    """Of faults that were begun at one moment. `now` is always the wall clock: alerts say by it when they began."""

    def __init__(self, awaited: Iterable[Awaited], also: Collection[str], began: datetime) -> None:
        """`also`: alerts that may fire, too."""
        self.awaited = {one.alert: one for one in awaited}
        self._also = also
        self._began = began
        self._mended: datetime | None = None
        self.problems: list[str] = []
        self.besides: set[str] = set()
        """Other alerts that fired."""

    def take(self, notice: Notice, now: datetime) -> str:
        """A receiver was told something; answers what there is to say about it, or nothing."""
        one = self.awaited.get(notice.alert)
        if one is None:
            return self._besides(notice)
        if notice.receiver != one.receiver:
            self.problems.append(f"{notice.alert} went to {notice.receiver}, not to {one.receiver}")
            return ""
        if not notice.fires:
            one.firing.discard(notice.which)
            if one.firing or self._mended is None:
                return ""
            one.over_after = (now - self._mended).total_seconds()
            return f"{one.alert}: {one.receiver} told that it is over, {one.over_after:.0f} s after the fault was mended"
        if notice.began < self._began:
            return ""  # of an earlier trouble
        one.firing.add(notice.which)
        if one.told_after is not None:
            return ""
        one.fired_after = (notice.began - self._began).total_seconds()
        one.told_after = (now - self._began).total_seconds()
        return f"{one.alert} fired after {one.fired_after:.0f} s, {one.receiver} told after {one.told_after:.0f} s"

    def _besides(self, notice: Notice) -> str:
        if not notice.fires or notice.began < self._began:
            return ""
        self.besides.add(notice.alert)
        if notice.severity == PAGE and notice.alert not in self._also:
            problem = f"{notice.alert} fired, which nobody expects here: {notice.summary}"
            self.problems.append(problem)
            return problem
        return f"{notice.alert} fires, too; {notice.receiver} told"

    def mend(self, now: datetime) -> None:
        """From now on they should end. What is over already, because it looks at nothing older, was over at once."""
        self._mended = now
        for one in self.awaited.values():
            if one.is_over:
                one.over_after = 0.0

    @property
    def silent(self) -> list[str]:
        """Alerts of which nobody was told yet."""
        return [one.alert for one in self.awaited.values() if one.told_after is None]

    @property
    def standing(self) -> list[str]:
        """Alerts that are not over."""
        return [one.alert for one in self.awaited.values() if not one.is_over]

    @property
    def succeeded(self) -> bool:
        """Whether each went the whole way, and nothing unexpected happened."""
        return not self.problems and all(one.succeeded for one in self.awaited.values())


def begin_progress(faults: Iterable[Fault], table: Table, began: datetime) -> Progress:
    """Which alerts are awaited at which receiver stands in the table of alerts alone."""
    faults = list(faults)
    awaited = [
        Awaited(fault.name, alert, receiver_of(table, alert)) for fault in faults for alert in fired_by(table, fault.name)
    ]
    return Progress(awaited, frozenset().union(*(fault.also for fault in faults)), began)


def receiver_of(table: Table, alert: str) -> str:
    """Whom its severity names."""
    return table.severities[table.alerts[alert].severity].receiver


def alerts_by_fault(table: Table, faults: Iterable[Fault]) -> Mapping[str, set[str]]:
    """What each is for."""
    return {fault.name: set(fired_by(table, fault.name)) for fault in faults}
