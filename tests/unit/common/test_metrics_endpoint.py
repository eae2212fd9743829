from collections.abc import Iterator
from urllib.request import urlopen

import prometheus_client
import pytest

from services.common import metrics_endpoint
from services.common.metrics_endpoint import show_metrics


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, str]]]:
    """Where it was begun, on a port that is free; it ends with the test."""
    servers, asked = [], list[tuple[int, str]]()

    def start(port: int, addr: str) -> None:
        asked.append((port, addr))
        server, thread = prometheus_client.start_http_server(0, addr=addr)
        servers.append((server, thread))
        with urlopen(f"http://{addr}:{server.server_port}/metrics") as answer:
            assert answer.status == 200

    monkeypatch.setattr(metrics_endpoint, "start_http_server", start)
    yield asked
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def test_metrics_are_shown_to_this_machine_alone(began: list[tuple[int, str]]) -> None:
    show_metrics(9100, {})
    assert began == [(9100, "127.0.0.1")]


def test_a_container_shows_them_where_it_is_told_to(began: list[tuple[int, str]]) -> None:
    show_metrics(9100, {"ONECARD_METRICS_HOST": "0.0.0.0"})
    assert began == [(9100, "0.0.0.0")]


def test_without_a_port_there_are_none(began: list[tuple[int, str]]) -> None:
    show_metrics(0, {"ONECARD_METRICS_HOST": "0.0.0.0"})
    assert began == []
