"""Valkey starts, shares, forgets, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from cli.servers.mark import end_leftovers
from cli.servers.ports import listening
from cli.servers.valkey import Valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    yield server
    server.stop()


def test_it_shares_what_it_keeps_and_forgets_it_with_a_restart(valkey: Valkey, tmp_path: Path) -> None:
    valkey.start()
    with Redis(port=valkey.port) as one, Redis(port=valkey.port) as other:
        one.set("taps", 7)
        assert other.get("taps") == b"7"
        address = valkey.address
        valkey.restart()
        assert valkey.address == address
        assert one.get("taps") is None
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "run"}, "nothing is written but log and mark"


def test_only_this_machine_is_heard(valkey: Valkey) -> None:
    valkey.start()
    heard = {
        connection.laddr.ip
        for connection in psutil.Process(valkey.child.pid).net_connections()
        if connection.status == "LISTEN"
    }
    assert heard == {"127.0.0.1"}


def test_a_kill_leaves_no_process_and_it_comes_back(valkey: Valkey, tmp_path: Path) -> None:
    valkey.start()
    process = psutil.Process(valkey.child.pid)
    valkey.kill()
    assert not process.is_running()
    assert not listening(valkey.port)
    valkey.start()
    assert end_leftovers(tmp_path) == ["valkey"], "a later run finds and ends it"
    assert not valkey.child.alive
