"""gRPC: what is called, what fails, how long it takes."""

from deploy.grafana.expressions import FAULTS, RATE, age
from deploy.grafana.panels import BAD, SECONDS, WATCH, Query, Shelf, bars, dashboard, figure, lines, per_second, variable

_CHOSEN = 'grpc_service=~"$service"'
_PLAIN = f'{_CHOSEN},grpc_type="unary"'
_WHO = "sum by (grpc_service, grpc_method)"
_METHOD = "{{grpc_method}}"


def _quantile(quantile: float) -> str:
    return (
        f"histogram_quantile({quantile}, sum by (grpc_method, le) (rate(grpc_server_handling_seconds_bucket{{{_PLAIN}}}[{RATE}])))"
        f" and on (grpc_method) sum by (grpc_method) (rate(grpc_server_handling_seconds_count{{{_PLAIN}}}[{RATE}])) > 0"
    )


CALLS = dashboard(
    "calls",
    "onecard · Calls",
    "gRPC of all services: rate, errors and duration, by method. Choose services above; callers are never shown here, the log has them.",
    [
        Shelf(
            "Now",
            5,
            [
                figure(
                    "Calls a second",
                    "That ended, of the services that are chosen, whatever their status.",
                    per_second("calls"),
                    Query(f"sum(rate(grpc_server_handled_total{{{_CHOSEN}}}[{RATE}]))", "calls"),
                    decimals=1,
                ),
                figure(
                    "Failed by our fault",
                    "A minute: Internal, Unknown, DataLoss, Unavailable, DeadlineExceeded. Any Internal has a `call_failed` in the log.",
                    "suffix: /min",
                    Query(
                        f'sum(rate(grpc_server_handled_total{{{_CHOSEN},grpc_code=~"{FAULTS}"}}[{RATE}])) * 60 or vector(0)',
                        "calls",
                    ),
                    steps=[(0.1, WATCH), (6, BAD)],
                    decimals=1,
                ),
                figure(
                    "99 of 100 plain calls within",
                    "Of all chosen services together; streams are left out, they stay open.",
                    SECONDS,
                    Query(
                        f"histogram_quantile(0.99, sum by (le) (rate(grpc_server_handling_seconds_bucket{{{_PLAIN}}}[{RATE}])))",
                        "p99",
                    ),
                    steps=[(0.5, WATCH), (2, BAD)],
                ),
                figure(
                    "Open now",
                    "Calls that began and have not ended, streams of merchants among them.",
                    "locale",
                    Query(f"sum(grpc_server_started_total{{{_CHOSEN}}}) - sum(grpc_server_handled_total{{{_CHOSEN}}})", "open"),
                    decimals=0,
                ),
                figure(
                    "Revoked certificates read",
                    "How long ago. From 60 s on every call is refused.",
                    SECONDS,
                    Query(age("onecard_revocations_read_timestamp_seconds"), "age"),
                    steps=[(10, WATCH), (60, BAD)],
                    decimals=0,
                ),
                figure(
                    "Processes that limit alone",
                    "Redis is away: each process limits callers by itself, and a caller of many gets more than its share.",
                    "locale",
                    Query("sum(onecard_rate_limits_local)", "processes"),
                    steps=[(1, WATCH)],
                    decimals=0,
                ),
            ],
        ),
        Shelf(
            "What is called",
            10,
            [
                lines(
                    "Calls by method",
                    "The ten busiest. A method that stops has lost its callers, or they their way.",
                    per_second("calls"),
                    Query(
                        f"topk(10, {_WHO} (rate(grpc_server_handled_total{{{_CHOSEN}}}[{RATE}])) > 0)",
                        _METHOD + " ({{grpc_service}})",
                    ),
                    stacked=True,
                ),
                bars(
                    "Calls of this page's time, by method",
                    "The fifteen most called in the time that is chosen above.",
                    "locale",
                    Query(
                        f"topk(15, round({_WHO} (increase(grpc_server_handled_total{{{_CHOSEN}}}[$__range]))) > 0)",
                        _METHOD + " ({{grpc_service}})",
                    ),
                ),
            ],
            widths=[14, 10],
        ),
        Shelf(
            "What fails, and how long it takes",
            10,
            [
                lines(
                    "Calls that did not end with OK",
                    "By status and method. FailedPrecondition, NotFound and InvalidArgument are refusals; Internal is a fault of ours.",
                    "suffix: /min",
                    Query(
                        f'sum by (grpc_code, grpc_method) (rate(grpc_server_handled_total{{{_CHOSEN},grpc_code!="OK"}}[{RATE}])) * 60 > 0',
                        "{{grpc_code}} {{grpc_method}}",
                    ),
                ),
                lines(
                    "Duration: 99 of 100 within",
                    "By method, of those that were called. Issuing streams are left out: a card takes the time of its chip.",
                    SECONDS,
                    Query(_quantile(0.99), _METHOD),
                ),
                lines(
                    "Duration: half of them within",
                    "The ordinary case. When this rises with the other, everything is slow; when only the other does, something is locked.",
                    SECONDS,
                    Query(_quantile(0.5), _METHOD),
                ),
            ],
        ),
    ],
    variables=[
        variable("service", "Service", "Of gRPC; all of them at first", "grpc_server_handled_total, grpc_service"),
    ],
)
