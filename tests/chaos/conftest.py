"""Tests here take brokers away: the Kafka library leaves a socket open whenever a connection is refused."""

import gc
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect such sockets with their test, after the log that holds them; elsewhere an open socket fails the run.

    pytest calls this for every test of the run.
    """
    if Path(__file__).parent not in item.path.parents:
        return (yield)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        result = yield
        gc.collect()
    return result
