"""Servers of a test: in a folder of their own, and nothing is left of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.broker import Broker, kind_of, make_broker
from cli.servers.postgres import Postgres


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path)
    yield server
    server.remove()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = make_broker(kind_of(os.environ.get("BROKER", "tansu")), tmp_path)
    yield server
    server.stop()
