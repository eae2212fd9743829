"""Resources: processor, memory, files and sessions of each process."""

from deploy.grafana.expressions import RATE
from deploy.grafana.panels import (
    BAD,
    BYTES,
    NUMBER,
    SECONDS,
    SHARE,
    WATCH,
    Query,
    Shelf,
    bars,
    dashboard,
    figure,
    lines,
    variable,
)

_CHOSEN = 'job=~"$job"'
_EACH = "{{job}} {{instance}}"
_SESSIONS = "onecard_database_sessions"


def _state(state: str) -> str:
    return f'{_SESSIONS}{{{_CHOSEN},state="{state}"}}'


RESOURCES = dashboard(
    "resources",
    "onecard · Resources",
    "What each process takes of its machine, and how much of the database's sessions it uses. Choose processes above.",
    [
        Shelf(
            "Now",
            5,
            [
                figure(
                    "Processes that answer",
                    "Of those that Prometheus knows.",
                    NUMBER,
                    Query(f"sum(up{{{_CHOSEN}}})", "processes"),
                    decimals=0,
                ),
                figure(
                    "Processors in use",
                    "All chosen processes together; 1 is one core.",
                    "suffix: cores",
                    Query(f"sum(rate(process_cpu_seconds_total{{{_CHOSEN}}}[{RATE}]))", "cores"),
                    decimals=2,
                ),
                figure(
                    "Memory in use",
                    "Resident, all chosen processes together.",
                    BYTES,
                    Query(f"sum(process_resident_memory_bytes{{{_CHOSEN}}})", "memory"),
                    decimals=1,
                ),
                figure(
                    "Fullest pool of sessions",
                    "Of the chosen processes. At 100 % whoever wants a session waits for another one's.",
                    SHARE,
                    Query(
                        f"max(max by (job, instance) ({_state('used')}) / (max by (job, instance) ({_state('allowed')}) > 0))",
                        "used",
                    ),
                    steps=[(0.9, WATCH), (1, BAD)],
                    decimals=0,
                ),
                figure(
                    "Youngest process",
                    "How long ago it began. Always young: something starts again and again.",
                    SECONDS,
                    Query(f"time() - max(process_start_time_seconds{{{_CHOSEN}}})", "age"),
                    decimals=0,
                ),
            ],
        ),
        Shelf(
            "Processor and memory",
            10,
            [
                lines(
                    "Processor by process",
                    "1 is one core. A worker near 1 is busy all the time: its lag will grow, start another one.",
                    "suffix: cores",
                    Query(f"sum by (job, instance) (rate(process_cpu_seconds_total{{{_CHOSEN}}}[{RATE}]))", _EACH),
                ),
                lines(
                    "Memory by process",
                    "Resident. It is flat after some minutes; one that climbs for hours loses something.",
                    BYTES,
                    Query(f"max by (job, instance) (process_resident_memory_bytes{{{_CHOSEN}}})", _EACH),
                ),
            ],
        ),
        Shelf(
            "Sessions and files",
            9,
            [
                lines(
                    "Sessions with PostgreSQL in use",
                    "By process. Flat at its limit: postings wait for a session, and so does everything behind them.",
                    NUMBER,
                    Query(f"max by (job, instance) ({_state('used')})", _EACH),
                ),
                bars(
                    "Sessions that each process may open",
                    "Together they must be fewer than PostgreSQL allows (`max_connections`).",
                    NUMBER,
                    Query(f"max by (job, instance) ({_state('allowed')})", _EACH),
                ),
                lines(
                    "Files and sockets open, of those allowed",
                    "By process. A share that rises and never falls: connections are not closed.",
                    SHARE,
                    Query(
                        f"max by (job, instance) (process_open_fds{{{_CHOSEN}}}) / max by (job, instance) (process_max_fds{{{_CHOSEN}}})",
                        _EACH,
                    ),
                ),
                bars(
                    "Versions that run",
                    "Processes by version. Two versions side by side are an upgrade, or one that was forgotten.",
                    NUMBER,
                    Query(f"count by (version) (onecard_build_info{{{_CHOSEN}}})", "{{version}}"),
                ),
            ],
            widths=[8, 6, 6, 4],
        ),
    ],
    variables=[variable("job", "Process", "By what it does; all of them at first", "up, job")],
)
