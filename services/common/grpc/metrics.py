"""What is counted of calls, under the names and labels that gRPC servers of all languages use. No caller is ever a label."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

LABELS = ["grpc_type", "grpc_service", "grpc_method"]
BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
"""How the label grpc_code spells a status, by its number."""

REVOCATIONS_READ = Gauge("onecard_revocations_read_timestamp_seconds", "When the revoked certificates were last read")


class MethodCounts:
    """Calls of one method, counted by the event loop's thread alone; plain numbers cost a tenth of the library's."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = [0] * len(CODES)
        self.by_bound = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def end(self, code: int, seconds: float) -> None:
        """Count a call that ended with a status, by its number."""
        self.ended[code] += 1
        self.by_bound[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Calls(Collector):
    """Calls of every method that this process serves."""

    def __init__(self) -> None:
        self._methods: dict[tuple[str, str, str], MethodCounts] = {}

    def of(self, kind: str, service: str, method: str) -> MethodCounts:
        """The counts of one method, which start once for a process."""
        return self._methods.setdefault((kind, service, method), MethodCounts())

    def collect(self) -> Iterable[Metric]:
        """As a Prometheus client would show them."""
        started = CounterMetricFamily("grpc_server_started", "Calls begun", labels=LABELS)
        handled = CounterMetricFamily("grpc_server_handled", "Calls ended, by status", labels=[*LABELS, "grpc_code"])
        handling = HistogramMetricFamily("grpc_server_handling_seconds", "Seconds from beginning to end", labels=LABELS)
        for labels, counts in list(self._methods.items()):
            started.add_metric(labels, counts.started)
            for code, number in zip(CODES, counts.ended, strict=True):
                if number or code == "OK":
                    handled.add_metric([*labels, code], number)
            buckets = list(zip([*map(str, BOUNDS), "+Inf"], accumulate(counts.by_bound), strict=True))
            handling.add_metric(labels, buckets, sum_value=counts.seconds)
        yield from (started, handled, handling)


CALLS = Calls()
REGISTRY.register(CALLS)
