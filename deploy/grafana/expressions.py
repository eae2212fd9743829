"""What several panels ask in the same words."""

from typing import Final

RATE: Final = "$__rate_interval"
FAULTS: Final = "Internal|Unknown|DataLoss|Unavailable|DeadlineExceeded"
"""Statuses of gRPC that are ours to answer for; all others tell callers what they did."""
LAG: Final = "onecard_consumer_lag_seconds"


def elected(metric: str) -> str:
    """Of the worker that is elected now: the others show what they measured while they were, or 0."""
    return f"({metric} and on (job, instance) topk(1, onecard_ledger_check_timestamp_seconds))"


def age(metric: str) -> str:
    """Of the newest time that any process shows; 0 is no time yet."""
    return f"time() - max({metric} > 0)"


def share(part: str, whole: str) -> str:
    """Of something a second; nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


_IMBALANCE = elected('onecard_ledger_imbalance_fen{currency="CNY"}')
IMBALANCE_YUAN: Final = f"sum(abs({_IMBALANCE})) / 100"
AGE_OF_HOTLIST: Final = age("onecard_hotlist_published_timestamp_seconds")
FAULTS_OF_CALLS: Final = (
    f'clamp_min((sum(rate(grpc_server_handled_total{{grpc_code=~"{FAULTS}"}}[{RATE}])) or vector(0))'
    f" - (sum(rate(onecard_reservations_shed_total[{RATE}])) or vector(0)), 0)"
    f" / (sum(rate(grpc_server_handled_total[{RATE}])) > 0)"
)
"""The share of calls. A slot that is full is told as UNAVAILABLE, too: that is the day's weather, and no fault of ours."""


def fresh_quantile(quantile: float) -> str:
    """From a tap to the ledger, by channel, of those that arrived within a minute of their event.

    A validator that was out of coverage brings taps of yesterday: they would say nothing of us. So the buckets end at a minute.
    """
    bucket = "onecard_tap_to_ledger_seconds_bucket"
    within = f'rate({bucket}{{le!~"60(\\\\.0)?|300(\\\\.0)?|900(\\\\.0)?|3600(\\\\.0)?|\\\\+Inf"}}[{RATE}])'
    minute = f'label_replace(rate({bucket}{{le=~"60(\\\\.0)?"}}[{RATE}]), "le", "+Inf", "", "")'
    return f"histogram_quantile({quantile}, sum by (channel, le) ({within} or {minute}))"
