"""Prometheus reads what it was told to, under the names that rules and dashboards know, and leaves no process behind."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from cli.city.monitoring import targets
from cli.servers.mark import end_leftovers
from cli.servers.ports import HOST, free_port, listening
from cli.servers.prometheus import MISSING, Prometheus, installed
from deploy.prometheus.build import DEPLOY, RULES
from tests.support.waiting import until
from tests.support.wanted import require


@pytest.fixture
def shown() -> Iterator[tuple[Gauge, int]]:
    """A gauge that somebody shows, and on which port."""
    registry = CollectorRegistry()
    gauge = Gauge("onecard_ledger_imbalance_fen", "Of a test", registry=registry)
    port = free_port()
    server, thread = start_http_server(port, addr=HOST, registry=registry)
    yield gauge, port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[dict[str, int]], Prometheus]]:
    require("" if installed() else MISSING, "ONECARD_PROMETHEUS")
    servers: list[Prometheus] = []

    def begin(ports: dict[str, int]) -> Prometheus:
        servers.append(Prometheus(tmp_path, targets(ports), [DEPLOY / RULES]))
        servers[-1].start()
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def ask(prometheus: Prometheus, query: str) -> list[tuple[dict[str, str], float]]:
    with urlopen(f"{prometheus.url}/api/v1/query?query={quote(query)}") as answer:
        found = json.load(answer)["data"]["result"]
    return [(series["metric"], float(series["value"][1])) for series in found]


def alerts_of(prometheus: Prometheus) -> set[str]:
    with urlopen(f"{prometheus.url}/api/v1/rules?type=alert") as answer:
        return {rule["name"] for group in json.load(answer)["data"]["groups"] for rule in group["rules"]}


async def test_it_reads_each_process_under_its_job_and_its_name(
    shown: tuple[Gauge, int], start: Callable[[dict[str, int]], Prometheus]
) -> None:
    gauge, port = shown
    gauge.set(-7)
    prometheus = start({"payments-1": port, "card-api": free_port()})
    await until("it has read the gauge", lambda: ask(prometheus, "onecard_ledger_imbalance_fen") != [])
    named = {"__name__": "onecard_ledger_imbalance_fen", "job": "payments-streams", "instance": "payments-1"}
    assert ask(prometheus, "onecard_ledger_imbalance_fen") == [(named, -7.0)]
    await until("it has missed the other one", lambda: ask(prometheus, "up == 0") != [])
    away = {"__name__": "up", "job": "card", "instance": "card-api"}
    assert ask(prometheus, "up == 0") == [(away, 0.0)]


async def test_the_city_s_alerts_fire_at_what_it_reads(
    shown: tuple[Gauge, int], start: Callable[[dict[str, int]], Prometheus]
) -> None:
    _, port = shown
    prometheus = start({"payments-1": port})
    assert "LedgerImbalance" in alerts_of(prometheus)
    await until("nobody has added up the books", lambda: ask(prometheus, 'ALERTS{alertname="LedgerCheckAbsent"}') != [])
    assert ask(prometheus, 'ALERTS{alertname="TargetDown"}') == []


async def test_what_it_has_read_stays_over_a_restart(
    shown: tuple[Gauge, int], start: Callable[[dict[str, int]], Prometheus]
) -> None:
    gauge, port = shown
    prometheus = start({"payments-1": port})
    await until("it has read the gauge", lambda: ask(prometheus, "onecard_ledger_imbalance_fen") != [])
    gauge.set(1)
    url = prometheus.url
    prometheus.restart()
    assert prometheus.url == url
    assert ask(prometheus, "count_over_time(onecard_ledger_imbalance_fen[5m])") != []


def test_only_this_machine_is_heard_and_a_later_run_ends_what_was_left(
    shown: tuple[Gauge, int], start: Callable[[dict[str, int]], Prometheus], tmp_path: Path
) -> None:
    prometheus = start({"payments-1": shown[1]})
    connections = psutil.Process(prometheus.child.pid).net_connections()
    assert {connection.laddr.ip for connection in connections if connection.status == "LISTEN"} == {HOST}
    assert end_leftovers(tmp_path) == ["prometheus"]
    assert not listening(prometheus.port)
