"""What tests of several packages meet."""

from collections.abc import Iterator

import pytest

from tests.support.pcscd import pcscd, require


@pytest.fixture(scope="module")
def vpcd_port() -> Iterator[int]:
    """Where cards are put into the virtual reader of the operating system. One a machine: it is given back soon."""
    require()
    with pcscd() as started:
        yield started
