"""What tests of several packages meet."""

from collections.abc import Iterator

import pytest

from tests.support.pcscd import pcscd, require


@pytest.fixture(scope="session")
def vpcd_port() -> Iterator[int]:
    """Where cards are put into the virtual reader of the operating system; one for the whole run."""
    require()
    with pcscd() as started:
        yield started
