"""Tests here take brokers away: the Kafka library leaves a socket open whenever a connection is refused."""

import gc
import warnings
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Collect such sockets with their test, after the log that holds them; elsewhere an open socket fails the run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        result = yield
        gc.collect()
    return result
