"""Every metric of payments, declared in one place. No card, person or terminal is ever a label."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate
from time import time

from prometheus_client import Counter, Gauge, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot to annotate it

TAPS = Counter("onecard_taps_total", "Taps decided, by what became of them", ["channel", "outcome", "reason"])
DEAD_LETTERS = Counter("onecard_dead_letters_total", "Records without a verdict", ["topic", "reason"])
ADJUSTMENTS = Counter("onecard_adjustments_total", "Fares that a late tap has changed, repeats included")
LATE_TAPS = Counter("onecard_late_taps_total", "Accepted taps that were put before other rides of their holder")
OPERATIONS = Counter("onecard_operations_total", "Online operations, by what became of them", ["kind", "outcome", "reason"])
BATCHES = Counter("onecard_batches_total", "Posting transactions committed")
DATABASE_TROUBLE = Counter("onecard_database_trouble_total", "Posting transactions that failed", ["sqlstate", "then"])
IMBALANCE = Gauge(
    "onecard_ledger_imbalance_fen", "Debits minus credits over all accounts; anything but 0 is a fault", ["currency"]
)
CHECKED = Gauge("onecard_ledger_check_timestamp_seconds", "When the books were last checked")
PENDING_IMBALANCE = Gauge("onecard_ledger_pending_imbalance_fen", "The same of what holds keep pending", ["currency"])
DIFFERENT_ACCOUNTS = Gauge(
    "onecard_ledger_difference_accounts", "Accounts that differ from their transfers or their holds; anything but 0 is a fault"
)
AUDITED = Gauge("onecard_ledger_audit_timestamp_seconds", "When accounts were last compared with their transfers")
AUDITED_BATCH = Gauge("onecard_ledger_audited_batch", "The highest batch whose transfers the auditor has added up")
SEALED_BATCH = Gauge("onecard_ledger_sealed_batch", "The highest batch that is sealed")
SEALED_AT = Gauge("onecard_ledger_seal_timestamp_seconds", "When the newest seal was made")
UNSEALED_AGE = Gauge("onecard_ledger_unsealed_age_seconds", "Age of the oldest batch that is not sealed; 0: there is none")
BACKUP_TAKEN = Gauge("onecard_backup_timestamp_seconds", "When the newest verified backup was begun; 0: there is none")
BACKUP_RECEIVERS = Gauge("onecard_backup_receivers", "1 while the write-ahead log is received in a second place, otherwise 0")
BACKUP_BEHIND = Gauge("onecard_backup_receiver_behind_bytes", "Bytes of the write-ahead log that are not there yet")
PROJECTION_AGE = Gauge("onecard_card_projection_age_seconds", "Age of the oldest partition of the card projection")
TERMINALS_WITH_GAPS = Gauge("onecard_terminals_with_gaps", "Terminals of whose numbers some have no verdict")
MISSING_SEQUENCES = Gauge(
    "onecard_missing_sequences", "Numbers of all terminals that have no verdict, below each one's highest"
)
TODAY_TAPS = Gauge("onecard_today_taps", "Taps of the city's day that are decided and sealed", ["channel", "outcome"])
TODAY_FARES = Gauge("onecard_today_fares_fen", "Fares of the city's day, by who paid them", ["channel", "paid_by"])
TODAY_FUND_PAID = Gauge("onecard_today_fund_paid_fen", "What a fund of the city has paid since its day began", ["fund"])
OLDEST_UNSETTLED = Gauge(
    "onecard_settlement_oldest_unsettled_timestamp_seconds",
    "When the oldest day began of which a merchant is owed something; 0: there is none",
)
HOLDS = Gauge("onecard_holds", "Payments and reservations that are held at this moment", ["kind"])
HELD = Gauge("onecard_held_fen", "Money that payments hold at this moment")
HOLDS_OVERDUE = Gauge("onecard_holds_overdue", "Holds that ran out more than a minute ago and were not let go")
RESERVATIONS_SHED = Counter(
    "onecard_reservations_shed_total", "Reservations that were sent away because a slot was full a moment ago"
)
RATE_LIMITS_LOCAL = Gauge("onecard_rate_limits_local", "1 while each process limits callers by itself, without Redis")
OUTCOME_SUBSCRIBERS = Gauge("onecard_outcome_subscribers", "Streams of outcomes that merchants have open")
OUTCOMES_SENT = Counter("onecard_outcomes_sent_total", "Outcomes sent to merchants, repeats included")

LIVE_RECORDS = Counter("onecard_live_records_total", "Records that the live windows looked at, repeats included", ["outcome"])
LIVE_ALERTS = Counter("onecard_live_alerts_total", "Alerts raised by the live windows", ["kind"])


@cache
def operation(kind: str, outcome: str, reason: str) -> Counter:
    """The counter of one kind of answer; looking its labels up costs more than counting."""
    return OPERATIONS.labels(kind, outcome, reason)


_BOUNDS = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class TapToLedger(Collector):
    """Seconds from the terminal's clock to the commit. Observed a batch at a time: one tap costs a tenth of `observe()`."""

    name = "onecard_tap_to_ledger_seconds"

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe_batch(self, channel: str, seconds: list[float]) -> None:
        """Count the latencies of one batch."""
        seconds.sort()
        counts = self._counts.setdefault(channel, [0] * (len(_BOUNDS) + 1))
        at = 0
        for index, bound in enumerate(_BOUNDS):
            upto = bisect_left(seconds, bound, lo=at)
            counts[index] += upto - at
            at = upto
        counts[-1] += len(seconds) - at
        self._sums[channel] = self._sums.get(channel, 0.0) + sum(seconds)

    def collect(self) -> Iterable[Metric]:
        """As a Prometheus histogram."""
        family = HistogramMetricFamily(self.name, "Seconds from the terminal's clock to the commit", labels=["channel"])
        bounds = [*map(str, _BOUNDS), "+Inf"]
        for channel, counts in list(self._counts.items()):
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([channel], buckets, sum_value=self._sums[channel])
        yield family


class ConsumerLag(Collector):
    """Now minus the broker's append time of the oldest record that is fetched and not yet acknowledged."""

    name = "onecard_consumer_lag_seconds"
    group = "payments-streams"

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], deque[int]] = {}

    def opened(self, runs: Iterable[tuple[str, int, int]]) -> None:
        """(topic, partition, append time in ms of the first record) of runs that were fetched."""
        for topic, partition, append_time_ms in runs:
            self._open.setdefault((topic, partition), deque()).append(append_time_ms)

    def closed(self, runs: Iterable[tuple[str, int]]) -> None:
        """(topic, partition) of runs that are acknowledged, in the order in which they were opened."""
        for place in runs:
            self._open[place].popleft()

    def collect(self) -> Iterable[Metric]:
        """Measured when somebody looks."""
        family = GaugeMetricFamily(self.name, self.__doc__ or "", labels=["topic", "partition", "consumergroup"])
        now_ms = time() * 1000
        for (topic, partition), waiting in list(self._open.items()):
            try:
                seconds = max(0.0, now_ms - waiting[0]) / 1000
            except IndexError:
                seconds = 0.0  # nothing waits; asking first would race with the worker's own thread
            family.add_metric([topic, str(partition), self.group], seconds)
        yield family


OTHER = "other"
_MOST_NAMES = 50


def busiest(counts: Mapping[str, int]) -> dict[str, int]:
    """The 50 greatest by name, and what the rest amount to: names come from terminals, and each is a time series."""
    if len(counts) <= _MOST_NAMES:
        return dict(counts)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    found = {name: counts[name] for name in names[:_MOST_NAMES]}
    found[OTHER] = found.get(OTHER, 0) + sum(counts[name] for name in names[_MOST_NAMES:])
    return found


class Busiest(Collector):
    """A figure of each of the busiest, set anew as a whole: who is no longer among them is not shown."""

    def __init__(self, name: str, documentation: str, label: str) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._figures: Mapping[str, int] = {}

    def set(self, counts: Mapping[str, int]) -> None:
        """What is shown from now on."""
        self._figures = busiest(counts)

    def collect(self) -> Iterable[Metric]:
        """As a gauge."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=[self._label])
        for name, figure in self._figures.items():
            family.add_metric([name], figure)
        yield family


LINE_RIDERS = Busiest("onecard_live_line_riders", "Riders of the last full minute, of the busiest lines", "line")
MERCHANT_TAKINGS = Busiest("onecard_live_merchant_takings_fen", "Prices that merchants named today", "merchant")
MERCHANT_TAPS = Busiest("onecard_live_merchant_taps", "Taps at merchants today", "merchant")
UNSETTLED = Busiest("onecard_settlement_unsettled_fen", "What the city owes merchants at this moment", "counterparty")
TAP_TO_LEDGER = TapToLedger()
CONSUMER_LAG = ConsumerLag()
REGISTRY.register(TAP_TO_LEDGER)
REGISTRY.register(CONSUMER_LAG)
REGISTRY.register(UNSETTLED)
REGISTRY.register(LINE_RIDERS)
REGISTRY.register(MERCHANT_TAKINGS)
REGISTRY.register(MERCHANT_TAPS)
