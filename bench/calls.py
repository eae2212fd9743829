"""What a closed loop of calls found: so many calls are in flight, and for each answer the next call goes out."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from bench.errors import BenchError
from bench.statistics import percentile

_EDGE: Final = 0.1
"""At the beginning not everybody is at work yet, at the end not any more: so much of the time does not count."""
_OK: Final = 200


class Answered(NamedTuple):
    """A call."""

    start: float
    """Unix seconds."""
    seconds: float


class Answers(NamedTuple):
    """The calls that were answered in the middle of a load."""

    calls: int
    start: float
    """Unix seconds."""
    end: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """By the clock on the wall."""
        return self.calls / (self.end - self.start)


def read_log(text: str) -> list[Answered]:
    """A log of calls: microseconds since 1970, status, microseconds until the answer. Raises BenchError when one failed."""
    calls = []
    for line in text.splitlines():
        start, status, took, *_ = line.split("\t")
        if int(status) != _OK:
            raise BenchError(f"a call ended with status {status}")
        calls.append(Answered(int(start) / 1e6, int(took) / 1e6))
    return calls


def log_of(calls: Iterable[Answered]) -> str:
    """The same log, written."""
    return "".join(f"{call.start * 1e6:.0f}\t{_OK}\t{call.seconds * 1e6:.0f}\n" for call in calls)


def middle(calls: list[Answered]) -> Answers:
    """What was answered between the edges of a load; raises BenchError when that is nothing."""
    if not calls:
        raise BenchError("no call was answered")
    first, last = min(call.start for call in calls), max(call.start + call.seconds for call in calls)
    edge = (last - first) * _EDGE
    start, end = first + edge, last - edge
    waits = [call.seconds * 1000 for call in calls if start < call.start + call.seconds <= end]
    if not waits:
        raise BenchError(f"{len(calls)} calls are too few: none was answered in the middle of the load")
    return Answers(len(waits), start, end, percentile(waits, 50), percentile(waits, 99))
