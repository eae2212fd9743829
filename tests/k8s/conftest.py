"""`make check-k8s` renders the overlays and says where; without it there is nothing to look at."""

import os
from pathlib import Path

import pytest

from tests.k8s.manifests import Overlay

RENDERED = os.environ.get("ONECARD_K8S_RENDERED", "")


@pytest.fixture(scope="session", params=["dev", "city", "province"])
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay, rendered."""
    if not RENDERED:
        pytest.skip("`make check-k8s` renders the overlays first")
    return Overlay(Path(RENDERED) / f"{request.param}.json")
