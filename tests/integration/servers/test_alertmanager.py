"""An alert goes the whole way: what a process shows, Prometheus, Alertmanager, whoever is to be told; and back when it is over."""

import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from rich.console import Console

from cli.city.monitoring import Monitoring
from cli.city.notices import Board, Receivers
from cli.city.steps import Steps
from cli.servers.mark import end_leftovers
from cli.servers.ports import HOST, free_port, listening
from tests.support.waiting import until
from tests.support.wanted import require


class Books:
    """A worker that shows nothing but whether the books balance."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.imbalance = Gauge("onecard_ledger_imbalance_fen", "Of a test", ["currency"], registry=self._registry)
        self.checked = Gauge("onecard_ledger_check_timestamp_seconds", "Of a test", registry=self._registry)
        self.port = free_port()

    def __enter__(self) -> "Books":
        self._server, self._thread = start_http_server(self.port, addr=HOST, registry=self._registry)
        self.imbalance.labels("CNY").set(0)
        self.checked.set_function(lambda: 4e9)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def books() -> Iterator[Books]:
    with Books() as shown:
        yield shown


@pytest.fixture
def monitoring(books: Books, tmp_path: Path) -> Iterator[Monitoring]:
    watching = Monitoring(tmp_path, {"payments-1": books.port}, Steps(Console(quiet=True)), scale=20)
    require(" ".join(watching.missing), "ONECARD_PROMETHEUS")
    watching.start(lambda start: start())
    yield watching
    watching.stop()


async def test_a_page_reaches_who_is_on_call_and_is_told_as_over(books: Books, monitoring: Monitoring) -> None:
    said: list[str] = []
    monitoring.board.say = said.append
    books.imbalance.labels("CNY").set(-1)
    await until("somebody was told", lambda: "LedgerImbalance" in monitoring.board.firing, within=30)
    (notice,) = [told for told in monitoring.board.since(0) if told.alert == "LedgerImbalance"]
    assert (notice.receiver, notice.severity, notice.fires) == ("on-call", "page", True)
    assert notice.line() in said
    assert "the books are out of balance by -1 fen (docs/runbooks/imbalance.md)" in notice.line()
    assert "LedgerImbalance" in monitoring.firing()
    books.imbalance.labels("CNY").set(0)
    await until("it is told as over", lambda: "LedgerImbalance" not in monitoring.board.firing, within=40)
    assert said[-1] == "on-call: LedgerImbalance is over"


def test_only_this_machine_is_heard_and_a_later_run_ends_what_was_left(monitoring: Monitoring, tmp_path: Path) -> None:
    port = int(monitoring.alertmanager_address.rpartition(":")[2])
    (manager,) = [
        p for p in psutil.process_iter(["cmdline"]) if f"--web.listen-address={HOST}:{port}" in (p.info["cmdline"] or ())
    ]
    heard = [connection.laddr.ip for connection in manager.net_connections() if connection.status == "LISTEN"]
    assert heard == [HOST]
    assert sorted(end_leftovers(tmp_path)) == ["alertmanager", "prometheus"]
    assert not listening(port)


def test_who_is_not_alertmanager_is_refused() -> None:
    board, port = Board(), free_port()
    receivers = Receivers(board, port)
    receivers.start()
    try:
        for content, status in ((b"hello", 400), (b'{"receiver":"office","alerts":[]}', 204)):
            connection = HTTPConnection(HOST, port, timeout=5)
            connection.request("POST", "/office", content)
            assert connection.getresponse().status == status
            connection.close()
    finally:
        receivers.stop()
    assert board.since(0) == []
    assert not listening(port)


def test_without_either_program_the_city_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    screen = Console(record=True, width=200)
    watching = Monitoring(tmp_path, {}, Steps(screen))
    watching.start(lambda start: start())
    assert (watching.address, watching.alertmanager_address) == ("", "")
    said = screen.export_text()
    assert "apt-get install prometheus)" in said
    assert "apt-get install prometheus-alertmanager)" in said
    watching.stop()
