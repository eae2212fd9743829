"""Servers of a test: in a folder of their own, and nothing is left of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.broker import Broker, Kind, make_broker
from cli.servers.postgres import Postgres


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path)
    yield server
    server.remove()


@pytest.fixture
def broker(broker_kind: Kind, tmp_path: Path) -> Iterator[Broker]:
    server = make_broker(broker_kind, tmp_path)
    yield server
    server.stop()
