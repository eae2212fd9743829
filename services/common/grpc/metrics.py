"""What is counted of calls, under the names and labels that gRPC servers of all languages use. No caller is ever a label."""

from prometheus_client import Counter, Gauge, Histogram

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)

STARTED = Counter("grpc_server_started_total", "Calls begun", _LABELS)
HANDLED = Counter("grpc_server_handled_total", "Calls ended, by status", (*_LABELS, "grpc_code"))
HANDLING_SECONDS = Histogram(
    "grpc_server_handling_seconds", "Seconds from a call's beginning to its end", _LABELS, buckets=_BOUNDS
)
REVOCATIONS_READ = Gauge("onecard_revocations_read_timestamp_seconds", "When the revoked certificates were last read")

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


class MethodMetrics:
    """The metrics of one method; each child is looked up once."""

    def __init__(self, kind: str, service: str, method: str) -> None:
        self._labels = (kind, service, method)
        self.started = STARTED.labels(*self._labels).inc
        self._observe = HANDLING_SECONDS.labels(*self._labels).observe
        self._handled = {0: HANDLED.labels(*self._labels, CODES[0]).inc}

    def ended(self, code: int, seconds: float) -> None:
        """Count a call that ended with a status, by its number."""
        handled = self._handled.get(code)
        if handled is None:
            handled = self._handled[code] = HANDLED.labels(*self._labels, CODES[code]).inc
        handled()
        self._observe(seconds)
