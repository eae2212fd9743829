"""What the city's metrics say, as plain values: rates, quantiles, counts by reason."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cli.city.metrics import Counters, Scrape

RATE_SECONDS = 3.0
QUANTILE_SECONDS = 10.0
HISTORY = 60

Buckets = Mapping[float, float]
"""Upper bound → how many were at most that, as Prometheus counts."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One reading. Counts are since the city came to life; None is unknown."""

    taps_per_second: float = 0.0
    posted: int = 0
    repeated: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    lag_seconds: float | None = None
    imbalance_fen: int | None = None
    projection_age_seconds: float | None = None
    windows: Mapping[str, int] = field(default_factory=dict)
    """What was done at the service windows, by act."""
    window_refusals: Mapping[str, int] = field(default_factory=dict)
    messages_sent: int = 0
    """Short messages to holders."""
    messages_waiting: int = 0
    history: Sequence[float] = ()
    """Taps a second, oldest first."""


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value below which that share lies, read between the bounds of a histogram; None when it is empty."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    wanted = share * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        upto = buckets[bound]
        if upto >= wanted and upto > below:
            if bound == float("inf"):
                return lower  # all that is known: more than that
            return lower + (bound - lower) * (wanted - below) / (upto - below)
        lower, below = bound, upto
    return lower


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    taps: float
    buckets: Buckets


class Watch:
    """Turns readings of all processes, taken about once a second, into figures."""

    def __init__(self) -> None:
        self._counters = Counters()
        self._moments: deque[_Moment] = deque()
        self._history: deque[float] = deque(maxlen=HISTORY)

    def observe(self, at: float, readings: Mapping[str, Scrape | None]) -> Figures:
        """The figures at a moment (monotonic seconds); a process that did not answer is None."""
        answered = {process: reading for process, reading in readings.items() if reading is not None}
        for process, reading in answered.items():
            self._counters.take(process, reading)
        outcomes: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for labels, total in self._counters.named("onecard_taps_total"):
            outcomes[labels["outcome"]] += int(total)
            if labels["outcome"] == "refused" and total:
                refused[labels["reason"]] += int(total)
        dead: Counter[str] = Counter()
        for labels, total in self._counters.named("onecard_dead_letters_total"):
            if total:
                dead[labels["reason"]] += int(total)
        done: Counter[str] = Counter()
        turned_away: Counter[str] = Counter()
        for labels, total in self._counters.named("onecard_simulation_window_acts_total"):
            if labels["outcome"] == "done":
                done[labels["act"]] += int(total)
            elif total:
                turned_away[labels["outcome"]] += int(total)
        told: Counter[str] = Counter()
        for labels, total in self._counters.named("onecard_notifications_total"):
            told[labels["outcome"]] += int(total)
        buckets: Counter[float] = Counter()
        for labels, total in self._counters.named("onecard_tap_to_ledger_seconds_bucket"):
            buckets[float(labels["le"])] += int(total)
        now = _Moment(at, outcomes["posted"] + outcomes["refused"], dict(buckets))
        self._remember(now)
        rate = self._rate(now)
        self._history.append(rate)
        recent = self._since(now.at - QUANTILE_SECONDS)
        lately = {bound: count - recent.buckets.get(bound, 0) for bound, count in now.buckets.items()}
        imbalance = _gauge(answered, "onecard_ledger_imbalance_fen")
        return Figures(
            taps_per_second=rate,
            posted=outcomes["posted"],
            repeated=outcomes["repeated"],
            refused=dict(refused.most_common()),
            dead_letters=dict(dead.most_common()),
            p50_seconds=quantile(lately, 0.50),
            p99_seconds=quantile(lately, 0.99),
            lag_seconds=_gauge(answered, "onecard_consumer_lag_seconds"),
            imbalance_fen=None if imbalance is None else int(imbalance),
            projection_age_seconds=_gauge(answered, "onecard_card_projection_age_seconds"),
            windows=dict(done.most_common()),
            window_refusals=dict(turned_away.most_common()),
            messages_sent=told["SENT"],
            messages_waiting=int(_gauge(answered, "onecard_notifications_waiting") or 0),
            history=tuple(self._history),
        )

    def _remember(self, now: _Moment) -> None:
        self._moments.append(now)
        while len(self._moments) > 2 and self._moments[1].at <= now.at - QUANTILE_SECONDS:
            self._moments.popleft()

    def _since(self, at: float) -> _Moment:
        """The last moment at or before that, or the first there is."""
        return next((moment for moment in reversed(self._moments) if moment.at <= at), self._moments[0])

    def _rate(self, now: _Moment) -> float:
        before = self._since(now.at - RATE_SECONDS)
        seconds = now.at - before.at
        return (now.taps - before.taps) / seconds if seconds > 0 else 0.0


def _gauge(readings: Mapping[str, Scrape], name: str) -> float | None:
    """The value that is farthest from zero over all processes and labels."""
    values = [value for reading in readings.values() for (sample, _), value in reading.items() if sample == name]
    return max(values, key=abs, default=None)
