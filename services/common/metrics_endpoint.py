"""Where a process shows its metrics to Prometheus."""

import os
from collections.abc import Mapping
from typing import Final

from prometheus_client import start_http_server

LOOPBACK: Final = "127.0.0.1"


def show_metrics(port: int, env: Mapping[str, str] = os.environ) -> None:
    """On ONECARD_METRICS_HOST, which is loopback unless a container says otherwise; a port of 0 shows none."""
    if port:
        start_http_server(port, addr=env.get("ONECARD_METRICS_HOST") or LOOPBACK)
